"""A radiologist's round through the page in a real browser, on the sample and the real networks.

Each test drafts the sample unless one before it has, so any of them can run alone.
"""

import json
import re
from io import BytesIO
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from assistant.verify import verify_report
from tests.browser.rounds import ORDER, TOKEN, coarse_sample, crosshair
from tests.hostile.make import dicom_slices

pytestmark = pytest.mark.slow
OTHER = "s" * 43
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def exported(page, served, name):
    """Fetch an exported file as the link does."""
    study = page.evaluate("window.voxcite.feed.study")
    return page.request.get(f"{served}/study/{study}/export/{name}", timeout=180_000)


def test_a_number_of_the_draft_is_the_one_in_the_evidence(drafted):
    line = drafted.locator(".vx-line", has_text="The volume of the left hippocampus").first
    value = re.search(r"\d\.\d\d mL", line.inner_text())[0]
    assert value in drafted.locator("#record-m1").inner_text()


def test_an_indication_is_quoted_as_text_and_is_not_kept_for_the_next_study(drafted):
    line = drafted.locator(".vx-line", has_text="Ignore all measurements")
    assert ORDER in line.inner_text()
    assert line.locator("[data-origin=quoted]").inner_text() == "quoted, not checked"
    assert drafted.locator(".vx-report b").count() == 0
    drafted.get_by_role("button", name="Referral").click()
    assert drafted.input_value("#vx-indication textarea") == ""


def test_a_citation_moves_the_crosshair_to_its_structure(viewed):
    viewed.locator('.vx-line a[data-record="m1"]').first.click()
    left = crosshair(viewed)
    viewed.locator('.vx-line a[data-record="m4"]').first.click()
    right = crosshair(viewed)
    assert left[0] < -15
    assert right[0] > 15
    counted = viewed.locator("#details-m4").inner_text()
    assert re.search(r"\d+ voxels × [\d.]+ mm³ = [\d.]+ mL", counted)


def test_a_record_is_shown_with_its_contour_and_where_the_networks_disagree(viewed):
    nv = "window.voxcite.viewer"
    viewed.locator('.vx-line a[data-record="m1"]').first.click()
    assert viewed.evaluate(f"{nv}.overlayOutlineWidth") > 0
    assert viewed.is_checked("#vx-outline")
    assert viewed.evaluate(f"{nv}.volumes[2].opacity") == pytest.approx(0.5)
    assert viewed.input_value("#vx-entropy") == "0.5"
    viewed.uncheck("#vx-outline")  # what somebody sets stays as it was set
    viewed.locator('.vx-line a[data-record="m4"]').first.click()
    assert viewed.evaluate(f"{nv}.overlayOutlineWidth") == 0
    viewed.check("#vx-outline")


def test_a_row_of_the_evidence_and_a_citation_in_the_chat_move_the_crosshair_too(viewed):
    viewed.locator("#record-m4 td").nth(3).click()
    assert crosshair(viewed)[0] > 15
    viewed.locator("#record-m1 td").nth(1).click()
    assert crosshair(viewed)[0] < -15
    before = viewed.locator('[data-testid="bot"]').count()
    viewed.fill("#vx-question textarea", "How large is the right hippocampus?")
    viewed.get_by_role("button", name="Ask", exact=True).click()
    viewed.locator('[data-testid="bot"]').nth(before).locator('a[href="#cite-m4"]').first.click()
    assert crosshair(viewed)[0] > 15


def test_no_foreign_host_is_asked(viewed, served):
    hosts = {urlsplit(url).netloc for url in viewed.asked if not url.startswith(("blob:", "data:"))}
    assert hosts == {urlsplit(served).netloc}


@pytest.mark.parametrize(
    ("question", "expected"),
    [("How large is the left hippocampus?", "left hippocampus"), ("左侧海马有多大？", "海马")],
)
def test_a_question_is_answered_in_its_language_with_a_citation(drafted, question, expected):
    before = drafted.locator('[data-testid="bot"]').count()
    drafted.fill("#vx-question textarea", question)
    drafted.get_by_role("button", name="Ask", exact=True).click()
    answer = drafted.locator('[data-testid="bot"]').nth(before)
    answer.locator('a[href="#cite-m1"]').first.wait_for()
    assert expected in answer.inner_text()


def test_a_sentence_is_edited_in_a_persons_name(drafted):
    drafted.get_by_label("Your name").fill("Dr Test")
    line = drafted.locator(".vx-line", has_text="The volume of the left hippocampus").first
    line.locator('[data-act="edit"]').click()
    field = drafted.locator("#vx-sentence textarea")
    drafted.wait_for_function(
        "document.querySelector('#vx-sentence textarea')?.value.includes('{m1')"
    )
    field.fill("On review the volume of the {m1.name} is {m1.reading}.")
    drafted.get_by_role("button", name="Keep this sentence").click()
    drafted.wait_for_selector("text=edited by Dr Test")
    assert "On review the volume of the left hippocampus" in drafted.inner_text(".vx-report")


def test_a_sentence_that_another_one_repeats_is_taken_out(drafted):
    drafted.get_by_label("Your name").fill("Dr Test")
    line = drafted.locator(".vx-line", has_text="No difference in volume").last
    text = line.locator(".vx-text").inner_text()
    line.locator('[data-act="edit"]').click()
    drafted.get_by_role("button", name="Take this sentence out").click()
    drafted.wait_for_function(
        "text => !document.querySelector('.vx-report').innerText.includes(text)", arg=text
    )
    alone = drafted.locator(".vx-line", has_text="anterior part of the left").first
    alone.locator('[data-act="edit"]').click()
    drafted.get_by_role("button", name="Take this sentence out").click()
    drafted.wait_for_selector("#vx-notice >> text=No other sentence says this")
    assert alone.is_visible()


def test_an_overridden_value_is_followed_everywhere(drafted, served):
    drafted.get_by_label("Your name").fill("Dr Test")
    drafted.get_by_role("button", name="Override a measurement").click()
    drafted.get_by_label("Record", exact=True).click()
    drafted.get_by_role("option", name="m4").click()
    for label, value in (("Value", "3.9"), ("Lower bound", "3.6"), ("Upper bound", "4.2")):
        drafted.get_by_label(label, exact=True).fill(value)
    drafted.get_by_role("button", name="Use this value").click()
    drafted.wait_for_selector(".vx-report >> text=3.90 mL")
    table = json.loads(exported(drafted, served, "json").body())
    assert verify_report(table) == ()
    values = {record["id"]: record["value"] for record in table["measurements"]}
    assert values["m7"] == pytest.approx(200 * (values["m1"] - 3.9) / (values["m1"] + 3.9))


def test_signing_takes_the_mark_of_a_draft_from_the_page_and_the_files(drafted, served):
    assert "DRAFT" in exported(drafted, served, "markdown").text()
    drafted.get_by_label("Your name").fill("Dr Test")
    drafted.get_by_role("button", name="Sign the report").click()
    drafted.wait_for_selector("text=SIGNED by Dr Test")
    assert "DRAFT" not in exported(drafted, served, "markdown").text()


@pytest.mark.parametrize("name", ["json", "markdown", "docx", "fhir", "pdf"])
def test_every_export_is_written_after_the_changes(drafted, served, name):
    answer = exported(drafted, served, name)
    if answer.status == 409 and "not installed" in answer.text():
        pytest.skip(answer.text())
    assert answer.status == 200
    assert len(answer.body()) > 1000


def test_a_reload_finds_the_study_again(drafted):
    said = drafted.inner_text(".vx-report")
    drafted.reload()
    drafted.wait_for_selector(".vx-report [data-act]")
    assert drafted.inner_text(".vx-report") == said


def test_the_surfaces_stand_in_a_viewer_of_their_own_loaded_from_the_studys_route(drafted):
    study = drafted.evaluate("window.voxcite.feed.study")
    drafted.get_by_role("button", name="Surfaces in 3-D").click()
    link = drafted.locator("#vx-model [data-testid=model3d-download-link]")
    link.wait_for()
    assert urlsplit(link.get_attribute("href")).path == f"/study/{study}/file/surface.glb"
    canvas = drafted.locator("#vx-model canvas")
    canvas.wait_for()
    drafted.wait_for_function(
        "performance.getEntriesByType('resource').some((e) => e.name.endsWith('surface.glb'))"
    )
    drafted.wait_for_timeout(3000)
    picture = np.asarray(Image.open(BytesIO(canvas.screenshot())).convert("RGB"), dtype=int)
    red, green, blue = (picture[..., n] for n in range(3))
    is_pink, is_yellow = (
        (red > green + 40) & (blue > green + 20),
        (red > blue + 60) & (green > blue + 60),
    )
    assert is_pink.sum() > 1000
    assert is_yellow.sum() > 1000


def test_a_draft_made_again_with_its_prior_plots_the_change(drafted, tmp_path):
    before = drafted.evaluate("window.voxcite.feed.study")
    earlier = coarse_sample(tmp_path / "earlier.nii.gz", (6.0, -4.0, 3.0), times=1)
    drafted.get_by_role("button", name="Prior study", exact=False).first.click()
    drafted.set_input_files("#vx-input input[type=file] >> nth=0", earlier)
    drafted.wait_for_selector("#vx-beside .vx-said")
    drafted.get_by_role("button", name="Draft again, compared").click()
    drafted.wait_for_selector(".vx-progress >> text=earlier scan")
    drafted.locator("#vx-change svg.vx-plot").first.wait_for()
    drafted.wait_for_selector(".vx-report [data-act]")
    assert drafted.locator("#vx-change svg.vx-plot[role=img]").count() >= 2  # one a side
    assert "within measurement error" in drafted.inner_text(".vx-report")
    drafted.get_by_role("button", name="Delete this study").click()
    drafted.get_by_role("button", name="Delete with everything").click()
    drafted.wait_for_function(f"window.voxcite.feed.study === '{before}'")


def test_another_browser_sees_nothing_of_it(drafted, visit, served):
    study = drafted.evaluate("window.voxcite.feed.study")
    other = visit("/en/?no-webgl=1", token=OTHER)
    assert "No study is open" in other.inner_text("#vx-status")
    for path in ("file/scan.nii.gz", "export/json", "slices", "slice/axial/3.png"):
        assert other.request.get(f"{served}/study/{study}/{path}").status == 404


def test_a_file_named_as_a_script_is_text(visit):
    page = visit("/en/?no-webgl=1", token=OTHER)
    name = "<img src=x onerror=document.title='evil'>.nii"
    file = {"name": name, "mimeType": "x/y", "buffer": b"no scan"}
    page.set_input_files("#vx-upload input[type=file] >> nth=0", files=[file])
    page.wait_for_selector(".vx-refusal")
    assert "unreadable" in page.inner_text(".vx-refusal") or "empty-folder" in page.inner_text(
        ".vx-refusal"
    )
    assert page.locator(".vx-refusal img").count() == 0
    assert page.title() == "voxcite"


def test_nothing_of_a_study_is_seen_beside_another_that_was_refused(viewed):
    shown = "[window.voxcite.viewer.volumes.length, window.voxcite.viewer.meshes.length]"
    assert viewed.evaluate(shown) == [4, 2]
    file = {"name": "scan.nii", "mimeType": "x/y", "buffer": b"no scan"}
    viewed.set_input_files("#vx-upload input[type=file] >> nth=0", files=[file])
    viewed.wait_for_selector(".vx-refusal")
    viewed.wait_for_function(f"{shown}.join() === '0,0'")
    assert viewed.inner_text("#vx-mm") == ""
    viewed.get_by_role("button", name="Delete this study").click()
    viewed.get_by_role("button", name="Delete with everything").click()
    viewed.wait_for_selector(".vx-report [data-act]")


def test_files_on_their_way_are_stopped(visit):
    page = visit("/en/?no-webgl=1", token="w" * 43)
    page.route("**/upload", lambda route: None)  # it never arrives
    file = {"name": "scan.nii", "mimeType": "x/y", "buffer": b"no scan"}
    page.set_input_files("#vx-upload input[type=file] >> nth=0", files=[file])
    page.get_by_role("button", name="Stop sending").click()
    page.wait_for_selector("#vx-upload progress", state="hidden")
    assert "No study is open" in page.inner_text("#vx-status")


def test_a_study_is_stopped_in_the_middle(visit):
    page = visit("/en/?no-webgl=1", token="t" * 43)
    page.get_by_role("button", name="Open the built-in sample").click()
    page.wait_for_selector("#vx-status .vx-progress")
    page.get_by_role("button", name="Stop").first.click()
    page.wait_for_selector("text=Stopped.")
    assert page.locator(".vx-report [data-act]").count() == 0
    page.wait_for_selector("#vx-status .vx-progress", state="detached")


def test_without_webgl_the_server_draws_the_slices(drafted):
    page = drafted
    page.wait_for_function("window.voxcite.ready === true")
    picture = page.locator('#vx-slices img[data-plane="axial"]')
    page.wait_for_function(
        "document.querySelector('#vx-slices img[data-plane=axial]').naturalWidth > 50"
    )
    before = picture.get_attribute("src")
    page.locator('.vx-line a[data-record="m4"]').first.click()
    assert crosshair(page)[0] > 15
    page.locator('#vx-slices input[data-plane="axial"]').press("ArrowRight")
    assert picture.get_attribute("src") != before


def test_a_report_in_another_language_than_the_page_holds_the_rules_of_wcag(drafted, visit):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit("/zh/?no-webgl=1", token=TOKEN)
    page.wait_for_selector(".vx-report [data-act]")
    assert page.locator(".vx-report >> text=left hippocampus").count() > 0
    found = axe.Axe().run(page, options={"runOnly": RULES}).response["violations"]
    assert [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]] == []


def test_one_of_several_series_is_chosen_by_its_picture(visit, tmp_path):
    page = visit("/en/?no-webgl=1", token="u" * 43)
    folder = dicom_slices(tmp_path / "study", series=2)
    dicom_slices(folder, series=5, count=4)
    page.set_input_files("#vx-upload input[type=file] >> nth=0", files=sorted(folder.iterdir()))
    page.wait_for_selector(".vx-choice >> nth=1")
    loaded = "[...document.querySelectorAll('.vx-choice img')].every((i) => i.naturalWidth > 0)"
    page.wait_for_function(loaded)
    page.get_by_role("button", name="Series 5").click()
    page.wait_for_selector(".vx-choice", state="detached")
    page.wait_for_selector(".vx-refusal")  # read, and too small to be a head
    assert "several-series" not in page.inner_text(".vx-refusal")
