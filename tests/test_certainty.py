"""Three numbers beside each volume, on members that differ by a formula."""

import json

import nibabel
import numpy as np
import pytest

from assistant.cli import main
from assistant.cli.terminal import OK
from segment import organs
from segment.certainty import certainty
from segment.infer import Missing, segment_crop
from segment.measurement import Reason
from segment.predicted_dice import DiceCurve
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid
from tests.test_cli import violations

ORGAN = organs.load("hippocampus")
BALL = ball(grid(field_mm=40), 9)
CURVES = {"hippocampus": DiceCurve((0.5, 1.0), (0.4, 0.9), 0.03, 17, 300)}


def of(offsets, structures=("hippocampus",), curves=CURVES):
    found = segment_crop(BALL.volume, "left", ThresholdSegmenter(offsets=offsets))
    return certainty([found], ORGAN, structures, curves)


def test_members_that_are_alike_leave_nothing_in_doubt():
    (one,) = of((0.0, 0.0))
    assert (one.members, one.volume_cv, one.pairwise_dice) == (2, 0, 1)
    assert (one.predicted_dice, one.predicted_dice_error) == (0.9, 0.03)


def test_a_member_that_sees_nothing_differs_by_all():
    (one,) = of((0.0, 0.0, -0.6))
    assert one.volume_cv == pytest.approx(np.sqrt(3) / 2)
    assert one.pairwise_dice == pytest.approx(1 / 3)
    assert one.predicted_dice == pytest.approx(0.4)


def test_one_member_has_nobody_to_be_compared_with():
    (one,) = of((0.0,))
    assert (one.volume_cv, one.pairwise_dice, one.predicted_dice) == (None, None, None)


def test_a_structure_without_a_curve_has_no_predicted_dice():
    part = of((0.0, 0.0), ("hippocampus anterior",))[0]
    assert part.predicted_dice is None
    assert part.pairwise_dice == 1


def test_members_that_all_see_nothing_predict_nothing():
    (one,) = of((-0.6, -0.6))
    assert one.predicted_dice is None


def test_what_was_not_looked_at_has_no_certainty():
    missing = Missing("right", Reason.OUTSIDE_FIELD)
    assert certainty([missing], ORGAN, ("hippocampus",), CURVES) == ()


def test_the_command_tells_it_and_writes_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    monkeypatch.setattr("segment.models.dice_curves", lambda name: CURVES)
    image = nibabel.Nifti1Image(BALL.volume.array, BALL.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "crop.nii.gz")
    files = [tmp_path / name for name in ("crop.nii.gz", "labels.nii.gz", "m.json")]
    options = ["-o", files[1], "--json", files[2], "--crop", "--side", "left"]
    assert main(["segment", str(files[0]), *map(str, options)]) == OK
    told = "volumes differ by 0.0% (CV), pairwise Dice 1.000; predicted Dice 0.900, off by 0.030"
    assert f"left hippocampus, members 2: {told}" in capsys.readouterr().out
    table = json.loads(files[2].read_text(encoding="utf-8"))
    assert [one["structure"] for one in table["certainty"]] == [s.name for s in ORGAN.structures]
    assert violations("measurements", files[2]) == []
