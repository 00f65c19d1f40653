"""A DICOM series whose tags are markup: chosen as a folder, drafted, changed, signed, exported."""

import json

import pydicom
import pytest

from assistant import exports
from assistant.study import read_study
from tests.browser.conftest import visits
from tests.browser.rounds import coarse_sample
from tests.exported import OF_PIXELS, PAGES, exporter, instance_of, items_of, resources
from tests.hostile.objects import everywhere
from tests.planted import series_of

pytestmark = pytest.mark.slow
READER = "d" * 43
FOLDER = "#vx-upload input[webkitdirectory]"
MARKUP = "<img src=x onerror=alert(1)>"
TAGS = ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "ProtocolName")
WHO, RECORD, ENTERED = "Dr Reader", "m4", {"Value": "4.44", "Lower bound": "4.1"}
ENTERED |= {"Upper bound": "4.7"}


def listening(page):
    """Gather what a script of the page would say, were one to run."""
    page.said = []
    page.on("dialog", lambda dialog: (page.said.append(dialog.message), dialog.dismiss()))
    return page


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


@pytest.fixture(scope="module")
def signed(chromium, served, tmp_path_factory):
    """A page with the series drafted, a measurement overridden, and the report signed."""
    folder = tmp_path_factory.mktemp("delivery")
    volume = read_study(coarse_sample(folder / "coarse.nii.gz")).volume
    with pydicom.config.disable_value_validation():
        series_of(volume, folder / "study", planted_in=0, **dict.fromkeys(TAGS, MARKUP))
    with visits(chromium, served) as visit:
        page = listening(visit("/en/?no-webgl=1", token=READER))
        page.set_input_files(FOLDER, folder / "study")
        page.wait_for_selector(".vx-report [data-act]")
        page.get_by_label("Your name").fill(WHO)
        page.get_by_role("button", name="Override a measurement").click()
        page.get_by_label("Record", exact=True).click()
        page.get_by_role("option", name=RECORD).click()
        for label, value in ENTERED.items():
            page.get_by_label(label, exact=True).fill(value)
        press(page, "Use this value")
        page.wait_for_selector(".vx-report >> text=4.44 mL")
        press(page, "Sign the report")
        page.wait_for_selector(f".vx-paper >> text=SIGNED by {WHO}")
        page.locator("button", has_text="Export").first.click()
        page.wait_for_selector(".vx-exports a")
        yield page


def test_every_export_there_is_is_offered(signed):
    links = signed.locator(".vx-exports a")
    offered = links.evaluate_all(
        "links => links.map((link) => new URL(link.href).pathname.split('/').pop())"
    )
    assert sorted(offered) == sorted(exports.available())


def downloaded(page, name):
    """Press a link and return the bytes of the file that the browser keeps."""
    with page.expect_download() as waiting:
        page.locator(f'.vx-exports a[href*="/{name}?"]').click()
    return waiting.value.path().read_bytes()


def of_json(data):
    (record,) = [one for one in json.loads(data)["measurements"] if one["id"] == RECORD]
    return record["value"], record["unit"], json.loads(data)["signed_by"]


def of_fhir(data):
    found = resources(data)
    (value,) = [
        one["valueQuantity"]
        for one in found
        if any(i["value"] == RECORD for i in one.get("identifier", ())) and "valueQuantity" in one
    ]
    (report,) = [one for one in found if one["resourceType"] == "DiagnosticReport"]
    (who,) = report["resultsInterpreter"]
    return value["value"], value["unit"], who["display"]


def of_sr(data):
    instance = instance_of(data)
    numbers = [item for item in items_of(instance) if item.ValueType == "NUM"]
    (value,) = {
        (float(one.NumericValue), one.MeasurementUnitsCodeSequence[0].CodeValue)
        for item in numbers
        for one in item.MeasuredValueSequence
        if one.NumericValue == 4.44
    }
    (observer,) = instance.VerifyingObserverSequence
    return *value, observer.VerifyingObserverName.family_name


def of_text(name):
    """Find value and name in the text of a file."""

    def found(data):
        text = " ".join("\n".join(PAGES[name](data)).split())  # a narrow space is a space
        return 4.44 if "4.44 mL" in text else None, "mL", WHO if WHO in text else None

    return found


READ = {"json": of_json, "fhir": of_fhir, "dicom_sr": of_sr}


@pytest.mark.parametrize("name", sorted({*exports.available()} - OF_PIXELS))
def test_a_file_has_the_value_that_was_entered_and_who_signed(signed, name):
    exporter(name)
    data = downloaded(signed, name)
    assert READ.get(name, of_text(name))(data) == (4.44, "mL", WHO)
    assert "DRAFT" not in "\n".join(PAGES[name](data))


@pytest.mark.parametrize("name", sorted(OF_PIXELS))
def test_a_file_of_pixels_has_them_and_who_signed(signed, name):
    exporter(name)
    data = downloaded(signed, name)
    instance = instance_of(data)
    assert instance.pixel_array.any()
    assert instance.NumberOfFrames > 10
    assert f"SIGNED by {WHO}" in instance.ImageComments


def test_tags_that_are_markup_run_nothing_on_the_page(signed):
    assert signed.locator('img[src="x"]').count() == 0
    assert signed.said == []


def test_a_tag_that_tells_volumes_apart_is_shown_as_plain_text(visit, tmp_path):
    for number in (1, 2):
        everywhere(tmp_path / str(number), StackID=f"{MARKUP}{number}", SeriesInstanceUID="1.2.3")
    page = listening(visit("/en/?no-webgl=1", token="m" * 43))
    page.set_input_files(FOLDER, tmp_path)
    page.wait_for_selector(".vx-choice >> nth=1")
    shown = [page.inner_text(where) for where in ("#vx-status .vx-refusal", ".vx-choice >> nth=0")]
    assert all("stack" in text and "<" not in text for text in shown)
    assert page.locator('img[src="x"]').count() == 0
    assert page.said == []
