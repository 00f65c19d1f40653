"""A series arrives whole in whichever way it is sent: as files, a folder, a zip, or dropped."""

import pytest

from assistant.gate import check_head
from assistant.study import read_study
from segment.errors import ScanError
from tests.hostile.make import dicom_slices
from tests.test_study import zipped

pytestmark = pytest.mark.slow
FILES = "#vx-upload input[type=file]:not([webkitdirectory])"
FOLDER = "#vx-upload input[webkitdirectory]"
REFUSAL = "#vx-status .vx-refusal"


@pytest.fixture
def study(tmp_path):
    """Six slices, half of them in a folder below the first, all too small to be a head."""
    folder = dicom_slices(tmp_path / "study")
    (folder / "below" / "this").mkdir(parents=True)
    for path in sorted(path for path in folder.iterdir() if path.is_file())[:3]:
        path.rename(folder / "below" / "this" / path.name)
    return folder


@pytest.fixture
def sentence(study):
    """What is said of the six of them, with their size; of five of them it would be another."""
    with pytest.raises(ScanError) as refusal:
        check_head(read_study(study).volume)
    return str(refusal.value)


def as_files(page, study):
    files = [path for path in study.rglob("*") if path.is_file()]
    page.set_input_files(FILES, files)


def as_a_folder(page, study):
    page.set_input_files(FOLDER, study)


def as_a_zip(page, study):
    page.set_input_files(FILES, zipped(study, study.parent / "study.zip"))


def dropped(page, study):
    """Drag the folder from outside of the browser to where files are dropped."""
    box = page.locator("#vx-upload").bounding_box()
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 10}
    data = {"items": [], "files": [str(study)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})


def test_a_folder_without_files_is_told_to_be_empty(visit, tmp_path):
    (tmp_path / "nothing" / "below").mkdir(parents=True)
    page = visit("/en/?no-webgl=1", token="e" * 43)
    dropped(page, tmp_path / "nothing")
    page.wait_for_selector("#vx-viewer-status >> text=There are no files in what was dropped.")
    assert "No study is open" in page.inner_text("#vx-status")


@pytest.mark.parametrize("send", [as_files, as_a_folder, as_a_zip, dropped])
def test_a_series_arrives_whole(visit, study, sentence, send):
    page = visit("/en/?no-webgl=1", token=f"{send.__name__:f<43}")
    send(page, study)
    page.wait_for_selector(REFUSAL)
    assert sentence in page.inner_text(REFUSAL)
    named = page.get_by_label("Open studies").input_value().partition(" · ")[0]
    assert named == ("study.zip" if send is as_a_zip else "6 files")
