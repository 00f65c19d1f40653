"""Two windows of one browser, and what is stopped or deleted in its middle."""

import pytest

from tests.browser.conftest import visits
from tests.browser.rounds import SETTLED_MS, coarse_sample
from tests.browser.serving import held, started

pytestmark = pytest.mark.slow
PATH = "/en/?no-webgl=1"
FILES = "#vx-upload input[type=file] >> nth=0"
DRAFTED = ".vx-report [data-act]"
SAID = "#vx-status [role=status]"
BROKEN = {"name": "broken.nii", "mimeType": "x/y", "buffer": b"no scan"}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return coarse_sample(tmp_path_factory.mktemp("scan") / "coarse.nii.gz")


@pytest.fixture
def window(visit, served):
    """Open a window; one after the first is another of the same browser."""
    opened = []

    def opening():
        page = opened[0].context.new_page() if opened else visit(PATH, token="2" * 43)
        if opened:
            page.goto(served + PATH)
            page.wait_for_selector("#vx-status .vx-said, #vx-status .vx-progress")
        opened.append(page)
        return page

    return opening


def drafted(page, scan):
    """Draft the scan unless a test before has."""
    page.wait_for_selector("#vx-draft .vx-empty, .vx-report")
    if page.locator(DRAFTED).count() == 0:
        page.set_input_files(FILES, scan)
    page.wait_for_selector(DRAFTED)


def delete(page):
    page.locator("button.label-wrap", has_text="Delete this study").click()
    page.get_by_role("button", name="Delete with everything").click()


def test_what_one_window_changed_is_shown_to_another_before_it_signs(window, scan):
    first = window()
    drafted(first, scan)
    second = window()
    drafted(second, scan)
    for page, name in ((first, "Dr One"), (second, "Dr Two")):
        page.get_by_label("Your name").fill(name)
    first.locator('.vx-line [data-act="accept"]').first.click()
    first.wait_for_selector("text=accepted by Dr One")
    second.get_by_role("button", name="Sign the report").click()
    second.wait_for_selector("text=changed in another window")
    second.wait_for_selector("text=accepted by Dr One")
    assert second.locator(".vx-signed").count() == 0
    second.get_by_role("button", name="Sign the report").click()
    second.wait_for_selector(".vx-signed")


def test_a_file_that_is_being_written_is_stopped_and_not_in_the_trail(window, scan, hold):
    page = window()
    drafted(page, scan)
    page.locator("button.label-wrap", has_text="Export").click()
    with hold("exporting"):
        page.locator('.vx-exports a[href*="/markdown?"]').click()
        assert "Markdown" in page.locator("#vx-exporting").inner_text()
        page.get_by_role("button", name="Stop writing").click()
        page.wait_for_selector("text=Stopped; no file was kept.")
        page.wait_for_timeout(1000)  # the server hears of it a little later
        assert not page.locator("#vx-exporting").is_visible()
    with page.expect_download():
        page.locator('.vx-exports a[href*="/json?"]').click()
    page.wait_for_timeout(1000)
    page.reload()
    page.wait_for_selector(DRAFTED)
    page.locator("button.label-wrap", has_text="Audit trail").click()
    trail = page.inner_text(".vx-trail")
    assert ("format json" in trail, "format markdown" in trail) == (True, False)


def test_a_study_is_deleted_while_it_is_drafted_and_another_window_finds_out(
    window, scan, hold, kept
):
    page = window()
    drafted(page, scan)
    before = page.evaluate("window.voxcite.feed.study")
    with hold("segmenting"):
        page.set_input_files(FILES, scan)
        page.wait_for_function("window.voxcite.ready && window.voxcite.feed.stage === 'scan'")
        study = page.evaluate("window.voxcite.feed.study")
        other = window()
        other.wait_for_selector("#vx-status .vx-progress")
        delete(page)
        page.wait_for_function(f"window.voxcite.feed.study === '{before}'")
        page.wait_for_selector(DRAFTED)
        other.wait_for_selector("text=No study is open")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.voxcite.feed.study") == before
    assert page.locator(DRAFTED).count() > 0
    assert not (kept / "kept" / "studies" / study).exists()


def test_a_window_goes_to_and_fro_between_studies_that_are_being_drafted(window, scan, hold):
    page = window()
    drafted(page, scan)
    studies, told = page.get_by_label("Open studies"), []
    with hold("segmenting"):
        for place in range(2):  # the second waits for its turn
            page.set_input_files(FILES, scan)
            page.wait_for_selector(f"#vx-status >> text={('Seg', 'Waiting')[place]}")
        for _ in range(2):
            for place in (1, 0):
                page.wait_for_timeout(SETTLED_MS)  # nobody chooses from a list as it is drawn anew
                studies.click()
                page.get_by_role("option").nth(place).click()
                said = page.wait_for_selector(f"{SAID} >> text={('Waiting', 'Seg')[place]}")
                told.append(said.inner_text().split()[0])
    page.wait_for_selector(DRAFTED)
    assert told == ["Segmenting", "Waiting;", "Segmenting", "Waiting;"]


def test_leaving_the_list_of_studies_chooses_none(window, scan):
    page = window()
    drafted(page, scan)
    before = page.evaluate("window.voxcite.feed.study")
    page.set_input_files(FILES, files=[BROKEN])
    page.wait_for_selector("#vx-status .vx-refusal")
    page.get_by_label("Open studies").click()
    page.wait_for_selector("[role=option]")
    page.keyboard.press("Escape")
    delete(page)
    page.wait_for_selector(DRAFTED)
    page.wait_for_function("study => window.voxcite.feed.study === study", arg=before)


@pytest.fixture
def warming(chromium, tmp_path):
    """A page whose networks are still being read; yield what opens it, and its address."""
    with (
        held(tmp_path, "warming"),
        started(tmp_path) as (address, _),
        visits(chromium, address) as visit,
    ):
        yield visit, address


def test_a_window_that_opens_while_the_networks_are_read_shows_what_another_opens(warming):
    visit, address = warming
    first = visit(PATH, token="3" * 43)
    second = first.context.new_page()
    second.goto(address + PATH)
    for page in (first, second):
        page.wait_for_selector("text=networks are being read in the background")
    first.set_input_files(FILES, files=[BROKEN])
    for page in (first, second):
        page.wait_for_selector("#vx-status .vx-refusal")
        assert "broken.nii" in page.get_by_label("Open studies").input_value()
