"""Slices without a picture withhold a volume; a padded edge does not."""

import json
from dataclasses import replace

import numpy as np
import pytest

import prompts
from assistant.study import Study
from assistant.verify import verify_report
from segment import models, organs
from segment.blank import LEAST_SPREAD, has_blank_slices, least_spread
from segment.infer import head_boxes, segment_crop
from segment.measure import Wanted, measure
from segment.measurement import Reason, Reliability
from segment.models.training.plan import case_name
from segment.reading import read_nifti
from segment.register import register
from tests.benchmarks.heads import HEADS, volume_of
from tests.benchmarks.shifts import Shift
from tests.phantoms import ThresholdSegmenter, head, registered
from tests.shared_data import shared_data
from tests.test_pipeline import assistant_of

ORGAN = organs.load("hippocampus")


def noise(shape=(30, 40, 30), seed=0):
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def blanked(array, axis, slices, value=0.0, deviation=0.0):
    changed = np.moveaxis(array.copy(), axis, 0)
    rest = np.random.default_rng(1).normal(0, 1, changed[slices].shape)
    changed[slices] = value + deviation * rest
    return np.moveaxis(changed, 0, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("value", [0.0, 100.0, -5.0])
def test_a_slice_of_one_value_between_pictured_ones_has_no_spread(axis, value):
    assert least_spread(blanked(noise(), axis, slice(12, 13), value)) == 0
    assert least_spread(noise()) > 0.9


@pytest.mark.parametrize(("deviation", "is_blank"), [(1.0, True), (4.0, False)])
def test_a_slice_of_next_to_one_value_counts_as_blank(deviation, is_blank):
    array = blanked(noise(), 1, slice(10, 13), deviation=deviation)
    assert (least_spread(array) < LEAST_SPREAD) is is_blank


@pytest.mark.parametrize("padding", [slice(0, 9), slice(22, None), slice(0, 20)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_padded_edge_is_left_out(axis, padding):
    assert least_spread(blanked(noise(), axis, padding)) > 0.9


def test_a_blank_slice_behind_a_padded_edge_is_found():
    array = blanked(blanked(noise(), 2, slice(0, 10)), 2, slice(14, 15))
    assert least_spread(array) == 0


def test_of_a_picture_of_one_value_nothing_is_said():
    assert least_spread(np.full((4, 5, 6), 7, np.float32)) == 1


def test_only_where_the_scan_is_looked_at_slices_count():
    volume = head(field_mm=110).volume
    array = blanked(noise(volume.array.shape), 0, slice(2, 4))
    volume = replace(volume, array=array)
    near = volume.geometry.block((10, 10, 10), (20, 20, 20))
    assert has_blank_slices(volume, volume.geometry)
    assert not has_blank_slices(volume, near)


@pytest.mark.parametrize("strength", [1, 3])
def test_a_real_crop_that_lost_slices_is_withheld(strength):
    data = shared_data("hippocampus")
    case = json.loads((data / "split.json").read_text())["val"][0]
    crop = read_nifti(data / "images" / case_name(case))
    lost = Shift("missing", strength)(crop, 0, np.random.default_rng(0))
    wanted = Wanted(("hippocampus", "hippocampus anterior"), (), 0.9, 0.5)
    shipped, ensemble = models.calibrated("unet"), models.load("unet")
    records = [
        measure([segment_crop(one, "left", ensemble)], ORGAN, wanted, shipped, (1.0, 1.0, 1.0))
        for one in (crop, lost)
    ]
    assert [record.reason for record in records[0]] == [None, None]
    assert {record.reason for record in records[1]} == {Reason.BLANK_SLICES}
    assert {record.reliability for record in records[1]} == {Reliability.NOT_RELIABLE}


def test_no_real_crop_has_a_blank_slice():
    paths = sorted(shared_data("hippocampus", "images").glob("*.nii.gz"))
    assert min(least_spread(read_nifti(path).array) for path in paths) > 5 * LEAST_SPREAD


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_no_real_head_has_a_blank_slice_where_it_is_looked_at(name):
    volume = volume_of(HEADS[name])
    grids, _ = head_boxes(volume, ORGAN, register(volume))
    assert not any(has_blank_slices(volume, grid) for grid in grids.values())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_says_why_the_volumes_of_a_head_that_lost_slices_are_withheld(
    language, monkeypatch
):
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())
    phantom = head(field_mm=110)
    place = int(np.argwhere(phantom.mask)[:, 1].mean())
    array = blanked(phantom.volume.array, 1, slice(place, place + 1))
    volume = replace(phantom.volume, array=array)
    report = assistant_of(ThresholdSegmenter(), language)(Study(volume, "head.nii.gz"))
    volumes = [record for record in report.measurements if record.quantity == "volume"]
    assert {record.reason for record in volumes} == {Reason.BLANK_SLICES}
    words = prompts.load(language).reasons[Reason.BLANK_SLICES]
    assert any(words in line.text for line in report.lines)
    assert verify_report(report.to_json()) == ()
