"""What is seen while a draft is written, and what is found after a restart.

The page is one of its own, whose writer pauses after each statement.
"""

import pytest

import prompts
from tests.browser.conftest import visits
from tests.browser.paced import PACE
from tests.browser.rounds import coarse_sample
from tests.browser.serving import started

pytestmark = pytest.mark.slow
TOKEN = "k" * 43
PACE_S = "0.5"
PATH = "/en/?no-webgl=1"
FILES = "#vx-upload input[type=file] >> nth=0"
BROKEN = {"name": "broken.nii", "mimeType": "x/y", "buffer": b"no scan"}
# Keep each text of a step, and each count of lines of the draft.
WATCH = """() => {
  const seen = (window.seen = { steps: [], lines: [] });
  const note = (list, value) => { if (list[list.length - 1] !== value) list.push(value); };
  const look = () => {
    const step = document.querySelector("#vx-status .vx-progress");
    if (step) note(seen.steps, step.textContent);
    const growing = document.querySelector(".vx-report[aria-busy]");
    if (growing) note(seen.lines, growing.querySelectorAll(".vx-line").length);
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
}"""


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Where the page keeps its studies, across a restart."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def watched(chromium, state):
    """What was seen of a draft on its way, and the report that it became; the page has ended."""
    scan = coarse_sample(state / "coarse.nii.gz")
    with (
        started(state, environment={PACE: PACE_S}) as (address, _),
        visits(chromium, address) as visit,
    ):
        page = visit(PATH, token=TOKEN)
        page.set_input_files(FILES, files=[BROKEN])
        page.wait_for_selector("#vx-status .vx-refusal")
        page.evaluate(WATCH)
        page.set_input_files(FILES, scan)
        page.wait_for_selector(".vx-report [data-act]")
        return page.evaluate("window.seen") | {"report": page.inner_text(".vx-report")}


@pytest.fixture(scope="module")
def again(chromium, state, watched):
    """The page that the same browser finds at a server that was started anew."""
    with started(state) as (address, _), visits(chromium, address) as visit:
        page = visit(PATH, token=TOKEN)
        page.wait_for_selector(".vx-report [data-act]")
        yield page


def test_steps_are_named_in_their_order_with_the_time_that_is_left(watched):
    names = list(prompts.load("en").steps.values())
    told = [step for step in watched["steps"] if step.partition(" – ")[0] in names]
    shown = list(dict.fromkeys(step.partition(" – ")[0] for step in told))
    assert shown == sorted(shown, key=names.index)
    # Segmenting so coarse a scan may be over before the page looks again.
    assert {"Locating the hippocampi", "Writing the draft"} <= {*shown}
    assert any(step.endswith(" s left") for step in told)


def test_a_draft_grows_statement_by_statement(watched):
    lines = watched["lines"]
    assert lines == sorted(lines)
    assert len({*lines} - {0}) > 5


def test_a_study_is_found_again_after_a_restart(again, watched):
    assert again.inner_text(".vx-report") == watched["report"]


def switch(page, name):
    page.get_by_label("Open studies").click()
    page.get_by_role("option", name=name).click()


def test_a_browser_goes_from_one_open_study_to_another_and_back(again, watched):
    switch(again, "broken.nii")
    again.wait_for_selector("#vx-status .vx-refusal")
    assert "unreadable" in again.inner_text("#vx-status")
    assert again.locator(".vx-report").count() == 0
    switch(again, "coarse.nii.gz")
    again.wait_for_selector(".vx-report [data-act]")
    assert again.inner_text(".vx-report") == watched["report"]
