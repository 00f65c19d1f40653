"""Where a delivery holds several series, each is shown with a picture and can be chosen."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from assistant.page import viewer
from assistant.page.choosing import read_choices, thumbnail, write_choices
from assistant.page.store import owner_of
from assistant.page.work import Request
from assistant.study import choices, read_study
from tests.hostile.make import dicom_slices
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


def test_a_thumbnail_of_nothing_is_black_and_not_an_error():
    empty = np.full((300, 200), np.nan, np.float32)
    image = thumbnail(empty)
    assert max(image.size) <= 112
    assert image.getextrema() == (0, 0)


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
