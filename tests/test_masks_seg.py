"""A DICOM segmentation, as highdicom writes it, lands on the voxels of its series."""

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import RLELossless

from assistant import read_study
from assistant.exports.dicom.codes import SIDES
from segment import organs
from segment.errors import Refusal, ScanError
from segment.masks import read_mask
from tests.sources import series

highdicom = pytest.importorskip("highdicom")
SHAPE = (8, 10, 9)  # i j k of the series
CT = {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}


def masks():
    """Draw three structures; the third overlaps nothing, and no slice at the ends is touched."""
    drawn = np.zeros((*SHAPE, 3), bool)
    drawn[1:4, 2:5, 2:6, 0] = True
    drawn[5:7, 2:5, 3:7, 1] = True
    drawn[1:3, 6:8, 2:4, 2] = True
    return drawn


def described(number, label, code, side=None):
    """Describe one segment."""
    from highdicom.seg import SegmentDescription

    description = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=code,
        algorithm_type="MANUAL",
    )
    if side is not None:
        (kind,) = description.SegmentedPropertyTypeCodeSequence
        kind.SegmentedPropertyTypeModifierCodeSequence = [SIDES[side]]
    return description


SEGMENTS = (
    described(1, "a", codes.SCT.Liver),
    described(2, "b", codes.SCT.Kidney, "left"),
    described(3, "adrenal_gland_right", codes.SCT.Neoplasm),
)


def written(folder, drawn=None, kind="BINARY", segments=SEGMENTS, syntax=None):
    """Write a series and its segmentation; return the folder of one and the path of the other."""
    scan = series(folder / "ct", **CT)
    slices = [pydicom.dcmread(path) for path in scan.iterdir()]
    axes = np.reshape(slices[0].ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(*axes)
    slices.sort(key=lambda one: np.dot(np.array(one.ImagePositionPatient, float), normal))
    pixels = (masks() if drawn is None else drawn).transpose(2, 1, 0, 3)
    if kind == "FRACTIONAL":
        pixels = pixels.astype(np.float32)
    elif kind == "LABELMAP":
        pixels = (pixels * np.arange(1, pixels.shape[-1] + 1)).max(axis=-1).astype(np.uint8)
    instance = highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid="2.25.1",
        series_number=9,
        sop_instance_uid="2.25.2",
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        **({} if syntax is None else {"transfer_syntax_uid": syntax}),
    )
    path = folder / "seg.dcm"
    instance.save_as(path)
    return scan, path


def read(folder, **options):
    """Read a segmentation onto the grid of its series."""
    scan, path = written(folder, **options)
    return read_mask(path, read_study(scan).volume.geometry)


def values(mask, name, side="none"):
    """List the numbers of an organ of a side."""
    return mask.table.values(organs.load(name).structures[0], side)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_each_segment_lies_where_it_was_drawn(tmp_path, kind):
    mask = read(tmp_path, kind=kind)
    assert not mask.is_resampled
    for number in (1, 2, 3):
        assert np.array_equal(mask.labels == number, masks()[..., number - 1])


def test_segments_are_known_by_code_and_side_else_by_name(tmp_path):
    mask = read(tmp_path)
    assert values(mask, "liver") == (1,)
    assert values(mask, "kidney", "left") == (2,)
    assert values(mask, "kidney", "right") == ()
    assert values(mask, "adrenal_gland", "right") == (3,)


def test_an_organ_of_two_sides_without_its_side_is_of_none(tmp_path):
    mask = read(tmp_path, segments=[described(1, "kidney", codes.SCT.Kidney), *SEGMENTS[1:]])
    assert values(mask, "kidney", "left") == (2,)
    assert mask.table.left_out([1, 2, 3]) == ("kidney",)


def test_a_slice_without_a_frame_is_no_end_of_the_field(tmp_path):
    assert read(tmp_path).cut == frozenset()


def test_a_segment_on_the_edge_of_the_series_is_cut(tmp_path):
    drawn = masks()
    drawn[0, 2:5, 2:6, 0] = True
    assert read(tmp_path, drawn=drawn).cut == {1}


def test_organs_that_overlap_are_refused(tmp_path):
    drawn = masks()
    drawn[1, 2, 3, 1] = True
    with pytest.raises(ScanError, match="do not overlap, found 1 and 2 in one voxel"):
        read(tmp_path, drawn=drawn)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kind": "FRACTIONAL"}, "expected a segmentation of whole voxels"),
        (
            {"kind": "LABELMAP", "syntax": RLELossless},
            "segmentation without compression",
        ),
    ],
)
def test_what_is_stored_in_another_way_is_refused(tmp_path, options, match):
    with pytest.raises(ScanError, match=match) as caught:
        read(tmp_path, **options)
    assert caught.value.code is Refusal.WRONG_LABELS


def test_a_picture_is_refused_as_a_segmentation(tmp_path):
    scan = series(tmp_path / "ct", **CT)
    with pytest.raises(ScanError, match="expected a DICOM segmentation, found another"):
        read_mask(next(scan.iterdir()), read_study(scan).volume.geometry)


def test_a_file_that_ends_early_is_refused(tmp_path):
    scan, path = written(tmp_path)
    instance = pydicom.dcmread(path)
    instance.PixelData = instance.PixelData[:4]
    instance.save_as(path)
    with pytest.raises(ScanError, match="found a shorter file"):
        read_mask(path, read_study(scan).volume.geometry)


def test_frames_that_make_no_stack_are_refused(tmp_path):
    scan, path = written(tmp_path)
    instance = pydicom.dcmread(path)
    frame = instance.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    frame.ImagePositionPatient = [float(x) + 1 for x in frame.ImagePositionPatient]
    instance.save_as(path)
    with pytest.raises(ScanError, match="expected frames in even, straight steps"):
        read_mask(path, read_study(scan).volume.geometry)
