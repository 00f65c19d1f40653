"""Only an MR of the right size goes on; everything else is told what to do."""

import numpy as np
import pytest

from assistant.gate import check_crop, check_head, has_hounsfield_air
from assistant.study import read_study
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.volume import Volume
from tests.shared_data import shared_data

HEADS = [
    "ms_crosssectional/patient07/t1.nii.gz",
    "ms_crosssectional/patient07/t1post.nii.gz",
    "ms_crosssectional/patient07/t2.nii.gz",
    "ms_crosssectional/patient07/flair.nii.gz",
    "ms_longitudinal/patient01/flair_t1.nii.gz",
    "ms_longitudinal/patient03/flair_t2.nii.gz",
    "dicom/mr_t1_head_2mm_jpeg_lossless_fragments",
    "dicom/mr_t1_one_person_two_positions/supine",
    "dicom/mr_t1_one_person_two_positions/left_side",
]


def scan(field_mm, spacing_mm=(4, 4, 4), *, modality="unknown", lowest=0.0):
    shape = tuple(round(f / s) for f, s in zip(field_mm, spacing_mm, strict=True))
    array = np.random.default_rng(0).uniform(0, 500, shape).astype(np.float32)
    array[: shape[0] // 4] = lowest
    affine = np.diag([*map(float, spacing_mm), 1.0])
    return Volume(array, Geometry(shape, affine), sha256="phantom", modality=modality)


def refusal(check, volume):
    with pytest.raises(ScanError) as refused:
        check(volume)
    assert ". " not in str(refused.value)
    return refused.value


def test_a_whole_head_passes():
    check_head(scan((160, 200, 180)))


def test_a_crop_passes_as_a_crop():
    check_crop(scan((36, 50, 36), (1, 1, 1)))


def test_a_crop_given_as_a_head_is_told_of_the_crop_option():
    error = refusal(check_head, scan((36, 50, 36), (1, 1, 1)))
    assert error.code is Refusal.FIELD_TOO_SMALL
    assert "--crop and --side" in str(error)


def test_a_head_given_as_a_crop_is_told_to_leave_the_option_out():
    error = refusal(check_crop, scan((160, 200, 180)))
    assert error.code is Refusal.BAD_OPTION
    assert "leave --crop out" in str(error)


@pytest.mark.parametrize("field_mm", [(80, 200, 180), (160, 92, 180), (160, 200, 60)])
def test_a_field_that_cuts_the_head_is_refused(field_mm):
    error = refusal(check_head, scan(field_mm))
    assert error.code is Refusal.FIELD_TOO_SMALL
    assert "whole head" in str(error)


def test_a_sliver_is_no_crop():
    assert refusal(check_crop, scan((36, 50, 12), (1, 1, 1))).code is Refusal.FIELD_TOO_SMALL


def test_too_few_coarse_slices_are_refused():
    error = refusal(check_head, scan((160, 200, 180), (2, 2, 7.5)))
    assert error.code is Refusal.TOO_COARSE
    assert "7.5 mm" in str(error)


def test_coarse_voxels_are_refused_in_a_crop():
    assert refusal(check_crop, scan((36, 50, 36), (1, 1, 4))).code is Refusal.TOO_COARSE


@pytest.mark.parametrize("check", [check_head, check_crop])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_another_modality_is_refused_by_its_tag(check, modality):
    error = refusal(check, scan((160, 200, 180), modality=modality))
    assert error.code is Refusal.NOT_MR
    assert modality in str(error)


def test_a_ct_without_a_tag_is_told_by_its_air():
    error = refusal(check_head, scan((160, 200, 180), lowest=-1000.0))
    assert error.code is Refusal.NOT_MR
    assert "-1000" in str(error)


def test_values_slightly_below_zero_are_no_ct():
    check_head(scan((160, 200, 180), lowest=-75.0))


def test_an_mr_by_its_tag_may_hold_any_value():
    check_head(scan((160, 200, 180), modality="MR", lowest=-1000.0))


@pytest.mark.parametrize("name", HEADS)
def test_every_real_head_passes(name):
    check_head(read_study(shared_data(*name.split("/"))).volume)


@pytest.mark.parametrize("name", ["ct_body/ct.nii.gz", "dicom/ct_jpeg2000_20slices"])
def test_every_real_ct_is_refused(name):
    assert (
        refusal(check_head, read_study(shared_data(*name.split("/"))).volume).code is Refusal.NOT_MR
    )


def test_every_real_crop_is_a_crop_and_no_head():
    for path in sorted(shared_data("hippocampus", "images").glob("*.nii.gz"))[::10]:
        volume = read_study(path).volume
        check_crop(volume)
        assert "--crop" in str(refusal(check_head, volume))
        assert not has_hounsfield_air(volume)
