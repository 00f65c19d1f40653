"""Only an MR of the right size goes on; everything else is told what to do."""

import re
from dataclasses import replace

import numpy as np
import pytest

from assistant import exams
from assistant.cli import parser
from assistant.gate import (
    LARGEST_FITTING,
    LEAST_LOOKING,
    LOOKS,
    check_crop,
    check_head,
    check_pictures,
    has_hounsfield_air,
)
from assistant.readers.siglip.facts import KINDS, PARTS
from assistant.score import UNCALIBRATED
from assistant.study import read_study
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.volume import Volume
from tests.scores import HEAD, scores_of
from tests.shared_data import shared_data

EXAM = exams.load("hippocampus")
CHEST_CT = {"kind.mr_t1": 0.01, "kind.ct": 0.99, "part.head": 0.02, "part.trunk": 0.98}
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


def test_a_crop_given_as_a_head_is_told_of_the_command_that_measures_crops():
    error = refusal(check_head, scan((36, 50, 36), (1, 1, 1)))
    assert error.code is Refusal.FIELD_TOO_SMALL
    assert "give one, or" in str(error)
    (command,) = re.findall(r"`voxcite (.*)`", str(error))
    chosen = parser().parse_args([*command.split(), "-o", "labels.nii.gz"])
    assert (chosen.crop, chosen.side) == (True, "left")


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


@pytest.mark.slow
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


def wrong_picture(probabilities, exam=EXAM):
    """Return the sentence by which pictures that look like this are refused."""
    with pytest.raises(ScanError) as refused:
        check_pictures(scores_of(probabilities), exam)
    assert refused.value.code is Refusal.WRONG_PICTURE
    assert ". " not in str(refused.value)
    return str(refused.value)


def test_a_t1_of_a_head_is_what_the_exam_needs():
    check_pictures(scores_of(HEAD), EXAM)


def test_a_flair_is_refused_with_what_was_expected_what_it_looks_like_and_what_to_do():
    assert wrong_picture({"kind.mr_t1": 0.02, "kind.mr_flair": 0.97, "kind.ct": 0.01}) == (
        "the pictures: expected T1-weighted MR or T1-weighted MR with contrast, found what looks"
        " like FLAIR MR (probability 97 %, read from the image); give T1-weighted MR of the head"
    )


def test_a_chest_ct_is_refused_as_a_ct():
    assert "looks like CT (probability 99 %" in wrong_picture(CHEST_CT)


@pytest.mark.parametrize(("part", "words"), [("trunk", "the trunk"), ("phantom", "a phantom")])
def test_another_part_of_the_body_in_t1_is_refused(part, words):
    found = wrong_picture({"kind.mr_t1": 1.0, "part.head": 0.03, f"part.{part}": 0.97})
    assert f"found what looks like {words} (probability 97 %" in found


def test_no_refusal_claims_to_be_certain():
    assert "(probability >99 %" in wrong_picture({"kind.mr_t1": 0.0, "kind.ct": 1.0})


def test_contrast_leaves_a_t1_a_t1():
    found = {"kind.mr_t1": 0.02, "kind.mr_t1_contrast": 0.97, "kind.mr_t2": 0.01}
    check_pictures(scores_of(found), EXAM)


def test_a_close_up_of_the_hippocampus_shows_the_hippocampus():
    check_pictures(scores_of({"part.head": 0.0, "part.hippocampus": 1.0}), EXAM)


def test_what_is_improbable_but_may_be_is_not_refused():
    at, above = LARGEST_FITTING, LARGEST_FITTING + 0.001
    assert wrong_picture({"kind.mr_t1": at, "kind.ct": 1 - at})
    check_pictures(scores_of({"kind.mr_t1": above, "kind.ct": 1 - above}), EXAM)


def test_an_undecided_reader_refuses_nothing():
    at, above = LEAST_LOOKING, LEAST_LOOKING + 0.001
    check_pictures(scores_of({"kind.mr_t1": 0.0, "kind.ct": at, "kind.mr_t2": 1 - at}), EXAM)
    assert wrong_picture({"kind.mr_t1": 0.0, "kind.ct": above, "kind.mr_t2": 1 - above})


@pytest.mark.parametrize("scores", [(), scores_of(CHEST_CT, UNCALIBRATED)])
def test_without_a_calibrated_score_nothing_is_refused(scores):
    check_pictures(scores, EXAM)


def test_a_reader_that_does_not_know_what_the_exam_needs_refuses_nothing():
    check_pictures(scores_of({"kind.mr_t2": 0.01, "kind.ct": 0.99}), EXAM)


def test_an_exam_that_asks_for_no_kind_and_no_part_refuses_nothing():
    check_pictures(scores_of(CHEST_CT), replace(EXAM, kinds=(), parts=()))


def test_an_exam_that_asks_for_a_part_alone_says_so():
    found = wrong_picture(CHEST_CT, replace(EXAM, kinds=()))
    assert found.endswith("give the head")


@pytest.mark.parametrize("name", exams.available())
def test_an_exam_asks_for_what_the_shipped_reader_tells_apart(name):
    exam = exams.load(name)
    assert set(exam.kinds) <= set(KINDS)
    assert set(exam.parts) <= set(PARTS)


@pytest.mark.parametrize("value", [*KINDS, *PARTS])
def test_whatever_the_shipped_reader_tells_apart_has_words(value):
    assert value in LOOKS
