"""The page as ``app.py`` serves it, which waits where a test asks it to.

So a test can see a draft or an answer in its middle, and stop it there. Knows nothing of browsers.
"""

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import app
from assistant.page import scene
from assistant.page.desk import Desk
from assistant.page.server import Parts
from assistant.writers.template import Template

PACE = "VOXCITE_TEST_PACE_S"  # seconds after each statement of a draft
HOLD = "VOXCITE_TEST_HOLD"  # a folder: the page waits at a point while a file is named after it
FEW = 4  # statements that are there while a draft is held as it grows
ANSWER, WRITE = Template.answer, Template.write
WRITE_FOUND, EXPORT, WARM = scene.write_found, Desk.write, Parts._warm
PATCHES = (
    (Template, "answer", "answered"),
    (Template, "write", "written"),
    (scene, "write_found", "found"),
    (Desk, "write", "exported"),
    (Parts, "_warm", "warmed"),
)


def held(point):
    """Wait for as long as a test holds the page at this point."""
    folder = os.environ.get(HOLD)
    while folder and (Path(folder) / point).exists():
        time.sleep(0.02)


def answered(self, brief, question, turns=()):
    """Answer as the template does, held before it and after its first line."""
    held("asked")
    return (yield from holding(ANSWER(self, brief, question, turns), {1: "answering"}))


def written(self, brief):
    """Write as the template does, at the pace of the environment, held before and amid it."""
    held("measured")
    pause_s = float(os.environ.get(PACE, "0"))
    return (yield from holding(WRITE(self, brief), {FEW: "growing"}, pause_s))


def found(*given):
    """Write what was found in a scan, held before it is."""
    held("segmenting")
    WRITE_FOUND(*given)


def exported(desk, name):
    """Write a file of a report, held before it is."""
    held("exporting")
    return EXPORT(desk, name)


def warmed(parts):
    """Read the networks ahead, held before that."""
    held("warming")
    WARM(parts)


def holding(statements, points, pause_s=0.0):
    """Yield the statements, held after as many as a point says; return what they return."""
    count = 0
    while True:
        try:
            statement = next(statements)
        except StopIteration as end:
            return end.value
        yield statement
        count += 1
        time.sleep(pause_s)
        if count in points:
            held(points[count])


if __name__ == "__main__":
    with ExitStack() as stack:
        for place, name, put in PATCHES:
            stack.enter_context(patch.object(place, name, globals()[put]))
        sys.exit(app.main())
