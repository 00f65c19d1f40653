"""The page as ``app.py`` serves it, whose writer takes its time where a test asks for it.

So a test can stop an answer in its middle, or watch a draft grow. Knows nothing of browsers.
"""

import os
import sys
import time
from unittest.mock import patch

import app
from assistant.writers.template import Template

SLOWLY, PAUSE_S = "Slowly:", 3.0
PACE = "VOXCITE_TEST_PACE_S"  # seconds after each statement of a draft
ANSWER, WRITE = Template.answer, Template.write


def paced(self, brief, question, turns=()):
    """Answer as the template does, after a pause where that is asked for."""
    if question.startswith(SLOWLY):
        time.sleep(PAUSE_S)
    return (yield from ANSWER(self, brief, question, turns))


def written(self, brief):
    """Write as the template does, at the pace of the environment."""
    return (yield from pausing(WRITE(self, brief), float(os.environ.get(PACE, "0"))))


def pausing(statements, pause_s):
    """Yield the statements with a pause after each; return what they return."""
    while True:
        try:
            statement = next(statements)
        except StopIteration as end:
            return end.value
        yield statement
        time.sleep(pause_s)


if __name__ == "__main__":
    with patch.object(Template, "answer", paced), patch.object(Template, "write", written):
        sys.exit(app.main())
