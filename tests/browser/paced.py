"""The page as ``app.py`` serves it; only questions that begin with a word of their own take long.

So a test can stop an answer in its middle. Knows nothing of browsers.
"""

import sys
import time
from unittest.mock import patch

import app
from assistant.writers.template import Template

SLOWLY, PAUSE_S = "Slowly:", 3.0
ANSWER = Template.answer


def paced(self, brief, question, turns=()):
    """Answer as the template does, after a pause where that is asked for."""
    if question.startswith(SLOWLY):
        time.sleep(PAUSE_S)
    return (yield from ANSWER(self, brief, question, turns))


if __name__ == "__main__":
    with patch.object(Template, "answer", paced):
        sys.exit(app.main())
