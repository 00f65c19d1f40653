"""Hostile files are sent by a real browser; each is refused there by its reason code, as text."""

import pytest

from segment.errors import Refusal
from tests.hostile.case import ANY
from tests.hostile.cases import CASES
from tests.hostile.doors import DOORS

pytestmark = pytest.mark.slow
REFUSAL = "#vx-status .vx-refusal"
NEW = f"{REFUSAL}:not([data-seen])"
SEE = "(shown) => { shown.dataset.seen = 'before'; }"
ODD = ("HTML, damaged", "ANSI escapes, damaged", "a change of direction, damaged", "HTML")


def first_of_all(folder):
    """Yield each case that shows a kind or a code for the first time, and odd names, with its file.

    Only what a browser can send; what is read and refused by nothing before is too small a head.
    """
    seen = set()
    for number, case in enumerate(CASES):
        place = folder / str(number)
        is_new = not {case.kind, case.code} <= seen or case.name in ODD
        if not is_new or case.command != "draft":
            continue
        place.mkdir()
        path = case.path(place)
        if DOORS["page"].takes(case, path):
            seen |= {case.kind, case.code}
            yield case, path


def expected(case, path):
    """Say which codes may be shown."""
    code = DOORS["page"].code(case, path)
    return set(Refusal) if code == ANY else {code or Refusal.FIELD_TOO_SMALL}


def refused(page, path):
    """Send a file or a folder and return the code that is shown for it."""
    page.locator("#vx-upload input[type=file]").nth(int(path.is_dir())).set_input_files(path)
    shown = page.locator(NEW)
    shown.wait_for()
    code = shown.locator("code").inner_text()
    shown.evaluate(SEE)
    return code


def test_a_browser_is_told_the_code_of_each_hostile_file(visit, tmp_path):
    page = visit("/en/?no-webgl=1", token="h" * 43)
    given, wrong, said = [], [], []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    for case, path in first_of_all(tmp_path):
        given.append(case)
        code = refused(page, path)
        wrong += [f"{case.kind}: {case.name}: {code}"] * (code not in expected(case, path))
    assert wrong == []
    drafted = [case for case in CASES if case.command == "draft"]
    assert {case.kind for case in given} == {case.kind for case in drafted}
    assert {case.code for case in given} == {case.code for case in drafted}
    assert page.locator(f"{REFUSAL} img, .vx-report").count() == 0
    assert said == []
