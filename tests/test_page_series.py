"""Where a delivery holds several series, each is shown with a picture and can be chosen."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from assistant.choices import choices
from assistant.page import viewer
from assistant.page.choosing import read_choices, thumbnail, write_choices
from assistant.page.store import owner_of
from assistant.page.work import Request
from assistant.study import read_study
from segment.errors import ScanError
from tests.hostile.make import dicom_slices, nifti, voxels
from tests.test_page_guard import OTHER, TOKEN, ask, parts  # noqa: F401  a fixture
from tests.test_study import zipped


@pytest.fixture
def delivery(tmp_path):
    """Two series, and a localiser that cannot be measured."""
    folder = tmp_path / "study"
    dicom_slices(folder, series=2, count=6)
    dicom_slices(folder, series=5, count=4)
    dicom_slices(folder, series=9, count=1)
    return folder


def test_each_readable_series_is_listed_under_the_label_that_reads_it(delivery):
    found = {choice.label: choice.described for choice in choices(delivery)}
    assert found == {"2": "MR, 6 files of 8 x 10", "5": "MR, 4 files of 8 x 10"}
    depths = [read_study(delivery, series=label).volume.geometry.shape[2] for label in found]
    assert depths == [6, 4]


def test_volumes_of_one_series_are_listed_each_with_its_own_label(tmp_path):
    folder = tmp_path / "study"
    for echo in (1, 2):
        dicom_slices(folder / str(echo), series=5, count=4, EchoTime=str(echo), EchoNumbers=echo)
    for path in folder.rglob("*"):
        if path.is_file():
            data = dcmread(path)
            data.SeriesInstanceUID = "1.2.3"
            data.save_as(path)
    labels = [choice.label for choice in choices(folder)]
    assert labels == ["5.1", "5.2"]
    assert {read_study(folder, series=label).volume.geometry.shape for label in labels} == {
        (8, 10, 4)
    }


def test_a_picture_is_the_middle_slice_as_it_is_stored(delivery):
    choice = next(iter(choices(delivery)))
    stored = [dcmread(path).pixel_array for path in delivery.iterdir()]
    assert any(np.array_equal(choice.picture(), pixels) for pixels in stored)


def test_series_in_a_zip_are_drawn_while_it_is_unpacked(delivery, tmp_path):
    packed = zipped(delivery, tmp_path / "packed.zip")
    folder = tmp_path / "kept"
    folder.mkdir()
    write_choices(folder, packed)
    shown = read_choices(folder)
    assert [one.label for one in shown] == ["2", "5"]
    assert all((folder / "series" / one.picture).is_file() for one in shown)


def test_a_series_that_cannot_be_decoded_is_listed_without_a_picture(delivery, tmp_path):
    for path in delivery.iterdir():
        if f"-{5}-" in path.name:
            data = dcmread(path)
            data.PixelData = data.PixelData[:20]
            data.save_as(path)
    folder = tmp_path / "kept"
    folder.mkdir()
    write_choices(folder, delivery)
    assert [one.picture for one in read_choices(folder)] == ["0.png", None]


@pytest.fixture
def files(tmp_path):
    """Two NIfTI files of one name, and a text beside them."""
    folder = tmp_path / "study"
    (folder / "1").mkdir(parents=True)
    nifti(folder, array=voxels((5, 6, 7)))
    nifti(folder / "1", array=voxels((8, 9, 10)))
    (folder / "notes.txt").write_text("which is which?")
    return folder


def test_each_nifti_file_is_listed_under_the_label_that_reads_it(files):
    found = {choice.label: choice.described for choice in choices(files)}
    assert found == {"1": "scan.nii.gz", "2": "1/scan.nii.gz"}
    shapes = [read_study(files, series=label).volume.geometry.shape for label in found]
    assert shapes == [(5, 6, 7), (8, 9, 10)]


def test_what_is_listed_is_what_the_refusal_lists(files):
    with pytest.raises(ScanError, match="choose one with --series N") as refusal:
        read_study(files)
    for choice in choices(files):
        assert f"series {choice.label}: {choice.described}" in str(refusal.value)


def test_nifti_files_beside_dicom_are_no_choice(delivery):
    nifti(delivery)
    assert [choice.label for choice in choices(delivery)] == ["2", "5"]


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-1, -1, 1, 1]), np.eye(4)[[2, 0, 1, 3]]])
def test_a_picture_of_a_file_has_the_front_above_and_the_right_on_the_left(tmp_path, affine):
    array = np.zeros((9, 9, 9), np.float32)
    place = np.round(np.linalg.inv(affine[:3, :3]) @ (3, 2, 0)).astype(int) + 4
    array[tuple(place)] = 1  # 3 voxels right of the middle, 2 before it
    nifti(tmp_path, "one.nii", array=array, affine=affine)
    nifti(tmp_path, "two.nii")
    picture = next(iter(choices(tmp_path))).picture()
    assert np.argwhere(picture == 1).tolist() == [[2, 1]]


def test_a_file_that_cannot_be_read_is_listed_without_a_picture(files, tmp_path):
    path = files / "scan.nii.gz"
    path.write_bytes(path.read_bytes()[:60])
    folder = tmp_path / "kept"
    folder.mkdir()
    write_choices(folder, zipped(files, tmp_path / "packed.zip"))
    assert {one.described: one.picture for one in read_choices(folder)} == {
        "study/scan.nii.gz": None,
        "study/1/scan.nii.gz": "1.png",
    }


def test_a_thumbnail_of_nothing_is_black_and_not_an_error():
    empty = np.full((300, 200), np.nan, np.float32)
    image = thumbnail(empty)
    assert max(image.size) <= 112
    assert image.getextrema() == (0, 0)


def test_one_of_several_files_is_picked_and_read(parts, files):  # noqa: F811
    kept = parts.store.add(owner_of(TOKEN), "scan", "hippocampus", "en")
    codes = []
    for series in (None, "2"):
        job = parts.workshop.begin(kept, Request(files, series))
        while not job.is_over:
            job.news(len(job.results), 0.1)
        codes.append(job.refusal[0])
    assert codes == ["several-series", "field-too-small"]
    shown = read_choices(parts.store.files(kept.id))
    assert [(one.label, one.picture) for one in shown] == [("1", "0.png"), ("2", "1.png")]


def test_a_refusal_of_several_series_leaves_their_pictures_to_their_owner(parts, delivery):  # noqa: F811
    owner = owner_of(TOKEN)
    kept = parts.store.add(owner, "scan", "hippocampus", "en")
    job = parts.workshop.begin(kept, Request(delivery))
    while not job.is_over:
        job.news(len(job.results), 0.1)
    assert job.refusal[0] == "several-series"
    address = f"/study/{kept.id}/series/1.png"
    assert Image.open(io.BytesIO(ask(parts, "GET", address).content)).format == "PNG"
    assert ask(parts, "GET", address, token=OTHER).status_code == 404
    assert ask(parts, "GET", f"/study/{kept.id}/series/7.png").status_code == 404
    told = viewer.several(kept.id, read_choices(parts.store.files(kept.id)), "en")
    assert f'src="{address}"' in told
    assert 'data-series="5"' in told
