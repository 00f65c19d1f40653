"""Nobody reaches another's study: not by Gradio's own endpoints, nor under another login."""

import json

import httpx
import pytest

from assistant.page.guard import COOKIE
from tests.browser.conftest import ANSWERS_WITHIN_MS
from tests.browser.rounds import TOKEN
from tests.browser.serving import locked

pytestmark = pytest.mark.slow
OTHER = "z" * 43
FILES = "#vx-upload input[type=file] >> nth=0"
TOLD = "#vx-status .vx-said, #vx-status .vx-refusal"
SESSION = "session-of-the-first"
QUESTION = "How large is the left hippocampus?"
PASSWORDS = {"ada": "the first of two passwords", "bea": "the second of two passwords"}
BROKEN = {"name": "of-ada.nii", "mimeType": "x/y", "buffer": b"no scan"}
LARGE = {"name": "large.nii", "mimeType": "x/y", "buffer": bytes(2**20 + 1)}


def web(served, token):
    return httpx.Client(base_url=served, headers={"cookie": f"{COOKIE}={token}"}, timeout=180)


@pytest.fixture
def study(asking):
    """A drafted study of the first browser."""
    return asking.evaluate("window.voxcite.feed.study")


def asked(browser, study):
    """Put a question into Gradio's queue, for a session that the browser names."""
    config = browser.get("/en/config").json()
    (number,) = [one["id"] for one in config["dependencies"] if one["api_name"] == "ask"]
    body = {"data": [study, QUESTION], "fn_index": number, "session_hash": SESSION}
    browser.post("/en/gradio_api/queue/join", json=body).raise_for_status()


def answered(browser):
    """Read what the queue tells of that session, until it is done or refused."""
    path = f"/en/gradio_api/queue/data?session_hash={SESSION}"
    with browser.stream("GET", path) as stream:
        if stream.status_code != 200:
            return f"refused: {stream.status_code}"
        lines = (line.removeprefix("data: ") for line in stream.iter_lines() if line)
        return next(line for line in lines if json.loads(line)["msg"] == "process_completed")


def test_the_queue_tells_a_session_to_the_browser_that_began_it(served, study):
    with web(served, TOKEN) as first, web(served, OTHER) as other:
        asked(first, study)
        assert "mL" in answered(first)
        asked(first, study)
        assert answered(other) == "refused: 404"
        assert "mL" in answered(first)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A page that asks for a login and takes a megabyte."""
    with locked(tmp_path_factory.mktemp("locked"), PASSWORDS) as address:
        yield address


@pytest.fixture
def enter(chromium, closed):
    """Open the page in a browser of its own, in which somebody logs in."""
    contexts = []

    def entered(name):
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(ANSWERS_WITHIN_MS)
        page.goto(f"{closed}/en/")
        form = page.locator("form[lang=en]")
        form.locator("input[name=name]").fill(name)
        form.locator("input[name=password]").fill(PASSWORDS[name])
        form.locator("button").click()
        page.wait_for_url(f"{closed}/en/")
        page.goto(f"{closed}/en/?no-webgl=1")
        page.wait_for_selector(TOLD)
        return page

    yield entered
    for context in contexts:
        context.close()


def test_a_login_in_two_browsers_shares_a_study_that_another_login_does_not_see(enter):
    first = enter("ada")
    first.set_input_files(FILES, files=[BROKEN])
    first.wait_for_selector("#vx-status .vx-refusal")
    again, other = enter("ada"), enter("bea")
    assert "unreadable" in again.inner_text("#vx-status")
    assert "of-ada.nii" in again.get_by_label("Open studies").input_value()
    assert "No study is open" in other.inner_text("#vx-status")
    assert other.get_by_label("Open studies").input_value() == ""


def test_a_delivery_above_the_limit_is_refused_with_its_code(enter):
    page = enter("bea")
    page.set_input_files(FILES, files=[LARGE])
    page.wait_for_selector("#vx-viewer-status >> text=[too-large]")
    assert "No study is open" in page.inner_text("#vx-status")
