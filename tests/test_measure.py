"""A count is a volume, checked against formulas and nibabel; each doubt withholds it by name."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from segment import organs
from segment.infer import Found, Missing, paint
from segment.measure import Wanted, agreement, count_mm3, measure, member_volumes_ml
from segment.measurement import Reason, Reliability
from segment.segmentation import Segmentation
from tests.phantoms import CASES, STRUCTURES, ball, calibrated, ellipsoid, grid, segmentation_of

ORGAN = organs.load("hippocampus")
NAMES = tuple(structure.name for structure in ORGAN.structures)
WHOLE = ORGAN.structure("hippocampus")
WANTED = Wanted(NAMES, ("hippocampus",), 0.9, 0.5)
SPACING_MM = (1.0, 1.0, 1.0)
GRIDS = {
    "1 mm": grid(field_mm=40),
    "anisotropic": grid((0.6, 0.9, 1.4), field_mm=40, axes="PSR"),
    "oblique": grid((0.8, 1.0, 1.2), field_mm=44, rotation_deg=(12, -20, 35)),
    "sheared": grid((0.8, 1.0, 1.2), field_mm=48, shear=0.4),
    "sheared and oblique": grid((1.0, 0.7, 1.1), field_mm=50, shear=0.3, rotation_deg=(40, 5, 9)),
}
every_grid = pytest.mark.parametrize("name", GRIDS)


def found(side="left", *, radius_mm=9.0, members=2, **changes):
    """One side: by default a ball of 3.05 mL, whole and in place, on which all members agree."""
    segmentation = segmentation_of(ball(GRIDS["1 mm"], radius_mm), side, members=members)
    return Found(
        **{
            "side": side,
            "segmentation": segmentation,
            "start": (0, 0, 0),
            "shift_mm": 2.0,
            "is_truncated": False,
            **changes,
        }
    )


def empty(side="left"):
    geometry = grid(field_mm=8)
    probability = np.zeros((2, 3, *geometry.shape), np.float32)
    probability[:, 0] = 1
    return found(side, segmentation=Segmentation(probability, STRUCTURES, side, geometry, "none"))


def disagreeing(side="left"):
    """Two members that mark balls beside each other; their average marks what both share."""
    one, other = (
        segmentation_of(ball(GRIDS["1 mm"], 9.0, (0, 0, z)), side, divide_y_mm=0.0).probability
        for z in (-4.0, 4.0)
    )
    both = np.concatenate([one, other])
    return found(
        side, segmentation=Segmentation(both, STRUCTURES, side, GRIDS["1 mm"], "two members")
    )


def in_two_parts(side="left"):
    """Cut a slab out of a ball, across the border of its parts, which leaves four pieces."""
    phantom = ball(GRIDS["1 mm"], 9.3)
    mask = phantom.mask.copy()
    middle = mask.shape[0] // 2
    mask[middle : middle + 2] = False
    return found(side, segmentation=segmentation_of(replace(phantom, mask=mask), members=2))


def measured(*sides, calibration=None, spacing_mm=SPACING_MM, wanted=WANTED, date=None):
    return measure(sides, ORGAN, wanted, calibration or calibrated(), spacing_mm, date)


@every_grid
@pytest.mark.parametrize(
    "semi_axes_mm", [(9.0, 9.0, 9.0), (7.0, 12.0, 6.0)], ids=["ball", "ellipsoid"]
)
def test_a_volume_is_that_of_the_formula(name, semi_axes_mm):
    phantom = ellipsoid(GRIDS[name], semi_axes_mm, (0.3, -0.2, 0.4))
    (whole, *_) = measured(found(segmentation=segmentation_of(phantom)))
    assert whole.value == pytest.approx(phantom.volume_ml, rel=0.01)


@every_grid
def test_a_volume_is_an_independent_count_times_the_determinant(name, tmp_path):
    phantom = ellipsoid(GRIDS[name], (7.0, 12.0, 6.0))
    side = found(segmentation=segmentation_of(phantom))
    path = tmp_path / "labels.nii.gz"
    painted = paint(phantom.geometry, [side])
    nibabel.Nifti1Image(painted, phantom.geometry.affine).to_filename(path)
    image = nibabel.load(path)
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    labels = np.asarray(image.dataobj)
    counts = [(labels > 0).sum(), (labels == 1).sum(), (labels == 2).sum()]
    assert [record.value for record in measured(side)[:3]] == pytest.approx(
        [count * voxel_ml for count in counts], rel=1e-5
    )


def test_a_count_is_voxels_times_the_volume_of_one():
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, 2:4, 1:5] = True
    assert count_mm3(mask, 0.75) == 16 * 0.75


def test_the_parts_make_up_the_whole():
    whole, anterior, posterior = measured(found())
    assert whole.value == pytest.approx(anterior.value + posterior.value)
    assert whole.voxels == anterior.voxels + posterior.voxels


def test_records_come_side_by_side_and_are_numbered():
    records = measured(found("left"), found("right"))
    assert [record.id for record in records] == [f"m{n}" for n in range(1, 8)]
    assert [record.side for record in records] == ["left"] * 3 + ["right"] * 3 + ["none"]
    assert [record.structure for record in records] == [*NAMES, *NAMES, "hippocampus"]
    assert [record.quantity for record in records] == ["volume"] * 6 + ["asymmetry index"]
    assert [record.unit for record in records] == ["mL"] * 6 + ["%"]


def test_whole_agreeing_sides_in_place_are_reportable():
    records = measured(found("left"), found("right"))
    assert {record.reliability for record in records} == {Reliability.REPORTABLE}
    assert {record.reason for record in records} == {None}


def test_an_interval_holds_its_value_at_the_coverage_that_was_asked_for():
    for record in measured(found("left"), found("right", radius_mm=8.5)):
        assert record.interval.lower < record.value < record.interval.upper
        assert record.interval.coverage == 0.9


def test_a_record_counts_the_voxels_of_the_mask_that_it_names():
    side = found()
    record = measured(side)[0]
    assert record.voxels == (side.segmentation.labels > 0).sum()
    assert record.voxel_volume_mm3 == 1.0
    assert record.value == record.voxels * record.voxel_volume_mm3 / 1000
    assert record.calibration.id == "phantoms@1mm"
    assert record.calibration.n == CASES
    assert "phantom" in record.method


def test_another_mask_has_another_hash():
    hashes = {measured(found(radius_mm=r))[0].mask_sha256 for r in (8.0, 8.5, 9.0)}
    assert len(hashes) == 3


def test_each_structure_carries_its_own_reference():
    for record, structure in zip(measured(found()), ORGAN.structures, strict=True):
        assert record.reference == structure.volume_reference
        assert record.code == ORGAN.code


def test_the_date_of_the_scan_stands_in_every_record():
    records = measured(found("left"), found("right"), date="2024-02-29")
    assert {record.date for record in records} == {"2024-02-29"}


REASONS = {
    Reason.BLANK_SLICES: (lambda: found(has_blank_slices=True), {}),
    Reason.EMPTY: (empty, {}),
    Reason.MISPLACED: (lambda: found(shift_mm=15.1), {}),
    Reason.TRUNCATED: (lambda: found(is_truncated=True), {}),
    Reason.MEMBERS_DISAGREE: (disagreeing, {}),
    Reason.FRAGMENTED: (in_two_parts, {}),
    Reason.OUTSIDE_CALIBRATION: (found, {"spacing_mm": (4.0, 1.0, 1.0)}),
    Reason.INTERVAL_TOO_WIDE: (found, {"calibration": calibrated(floor=0.4)}),
}


@pytest.mark.parametrize("reason", REASONS)
def test_each_doubt_withholds_every_structure_by_its_name(reason):
    side, options = REASONS[reason]
    records = measured(side(), **options)
    assert [record.reason for record in records] == [reason] * 3
    assert {record.reliability for record in records} == {Reliability.NOT_RELIABLE}


@pytest.mark.parametrize("radius_mm", [5.0, 12.5])
def test_an_implausible_volume_is_withheld(radius_mm):
    records = measured(found(radius_mm=radius_mm))
    assert {record.reason for record in records} == {Reason.IMPLAUSIBLE_VOLUME}


def test_one_implausible_part_withholds_that_part_alone():
    side = found(segmentation=segmentation_of(ball(GRIDS["1 mm"], 9.0), members=2, divide_y_mm=6.0))
    reasons = [record.reason for record in measured(side)]
    assert reasons == [None, Reason.IMPLAUSIBLE_VOLUME, None]


def test_a_side_that_was_not_looked_at_is_not_assessed_and_holds_no_value():
    records = measured(Missing("left", Reason.OUTSIDE_FIELD), found("right"))
    left = [record for record in records if record.side == "left"]
    assert {record.reason for record in left} == {Reason.OUTSIDE_FIELD}
    assert {record.reliability for record in left} == {Reliability.NOT_ASSESSED}
    assert {record.value for record in left} == {None}


def test_a_withheld_value_is_kept_beside_its_reason():
    withheld, whole = measured(found(is_truncated=True))[0], measured(found())[0]
    assert withheld.value == whole.value


def test_an_asymmetry_is_the_value_of_its_expression():
    *_, record = measured(found("left", radius_mm=9.0), found("right", radius_mm=8.5))
    left, right = (measured(found(radius_mm=r))[0].value for r in (9.0, 8.5))
    assert record.expression == "200 * (m1 - m4) / (m1 + m4)"
    assert record.value == 200 * (left - right) / (left + right)
    assert record.denominator == "mean of left and right"
    assert record.value > 0


def test_equal_sides_have_no_asymmetry():
    *_, record = measured(found("left"), found("right"))
    assert record.value == 0
    assert record.interval.lower == pytest.approx(-record.interval.upper)


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_asymmetry_depends_on_both_volumes(side):
    sides = {"left": found("left"), "right": found("right")}
    sides[side] = replace(sides[side], is_truncated=True)
    *_, record = measured(*sides.values())
    assert record.reason is Reason.DEPENDS_ON_UNRELIABLE
    assert record.reliability is Reliability.NOT_RELIABLE
    assert record.interval is None


@pytest.mark.parametrize("absent", [Missing("right", Reason.OUTSIDE_FIELD), empty("right")])
def test_an_asymmetry_without_one_side_is_not_assessed(absent):
    *_, record = measured(found("left"), absent)
    assert record.reason is Reason.DEPENDS_ON_UNRELIABLE
    assert record.reliability is Reliability.NOT_ASSESSED
    assert record.value is None


def test_two_missing_sides_give_seven_records_that_were_not_assessed():
    records = measured(*(Missing(s, Reason.REGISTRATION_UNTRUSTED) for s in ("left", "right")))
    assert [record.id for record in records] == [f"m{n}" for n in range(1, 8)]
    assert {record.reliability for record in records} == {Reliability.NOT_ASSESSED}


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_single_side_has_no_asymmetry(side):
    assert {record.quantity for record in measured(found(side))} == {"volume"}


def test_only_what_is_wanted_is_measured():
    wanted = Wanted(("hippocampus posterior",), (), 0.8, 0.5)
    (record,) = measured(found(), wanted=wanted)
    assert (record.id, record.structure) == ("m1", "hippocampus posterior")
    assert record.interval.coverage == 0.8


def test_members_that_differ_widen_the_interval():
    alike = measured(found(members=2))[0].interval
    shares = [segmentation_of(ball(GRIDS["1 mm"], r)).probability for r in (8.7, 9.0, 9.3)]
    mixed = Segmentation(np.concatenate(shares), STRUCTURES, "left", GRIDS["1 mm"], "three members")
    differing = measured(found(segmentation=mixed))[0].interval
    assert differing.upper / differing.lower > alike.upper / alike.lower


def test_each_member_is_counted_alone():
    phantoms = [ball(GRIDS["1 mm"], radius_mm) for radius_mm in (8.0, 9.0)]
    probability = np.concatenate([segmentation_of(p).probability for p in phantoms])
    segmentation = Segmentation(probability, STRUCTURES, "left", GRIDS["1 mm"], "two")
    counted = member_volumes_ml(segmentation, WHOLE)
    assert counted == pytest.approx([p.mask.sum() / 1000 for p in phantoms])


def test_agreement_is_the_dice_of_the_members():
    one, other = (ball(GRIDS["1 mm"], 9.0, (0, 0, z)).mask for z in (-4.0, 4.0))
    dice = 2 * (one & other).sum() / (one.sum() + other.sum())
    assert agreement(disagreeing().segmentation, WHOLE) == pytest.approx(dice)


@pytest.mark.parametrize("members", [1, 2, 5])
def test_equal_members_agree_in_full(members):
    assert agreement(found(members=members).segmentation, WHOLE) == 1.0


def test_every_reason_that_a_measuring_can_give_has_a_test_here():
    registration = {Reason.REGISTRATION_UNTRUSTED, Reason.ORIENTATION_IMPLAUSIBLE}
    elsewhere = {Reason.IMPLAUSIBLE_VOLUME, Reason.OUTSIDE_FIELD, Reason.DEPENDS_ON_UNRELIABLE}
    of_masks = {Reason.NO_INTERVAL, Reason.NO_VOXELS, Reason.NOT_LABELLED, Reason.NOT_HOUNSFIELD}
    of_changes = {
        *(Reason.NOT_ALIGNED, Reason.OTHER_SIZE),
        *(Reason.OTHER_RESOLUTION, Reason.OTHER_PROTOCOL),
        *(Reason.DATES_UNKNOWN, Reason.DATES_TOO_CLOSE),
    }
    here = set(REASONS) | registration | elsewhere
    of_uptake = {Reason.OUTLINE_LEAKS, Reason.HOTTER_NEIGHBOUR}
    assert here | of_masks | of_changes | of_uptake == set(Reason)
    assert not here & (of_masks | of_changes | of_uptake)


def without_scores(**kept):
    """Return a calibration of too few subjects for the volumes or the asymmetries."""
    whole = calibrated()
    none = dict.fromkeys(NAMES, ())
    levels = tuple(replace(x, **dict.fromkeys(kept, none)) for x in whole.levels)
    return replace(whole, levels=levels)


def test_a_calibration_of_too_few_subjects_leaves_a_value_without_an_interval():
    records = measured(
        found("left"), found("right"), calibration=without_scores(volume=1, asymmetry=1)
    )
    *volumes, asymmetry = records
    assert {record.reliability for record in volumes} == {Reliability.WITHOUT_INTERVAL}
    assert {record.reason for record in volumes} == {Reason.NO_INTERVAL}
    assert all(record.value > 0.5 and record.interval is None for record in volumes)
    assert (asymmetry.reliability, asymmetry.reason) == (
        Reliability.NOT_ASSESSED,
        Reason.NO_INTERVAL,
    )


def test_too_few_pairs_leave_the_asymmetry_unassessed_and_the_volumes_as_they_are():
    *volumes, asymmetry = measured(
        found("left"), found("right"), calibration=without_scores(asymmetry=1)
    )
    assert {record.reliability for record in volumes} == {Reliability.REPORTABLE}
    assert (asymmetry.reliability, asymmetry.reason) == (
        Reliability.NOT_ASSESSED,
        Reason.NO_INTERVAL,
    )


def test_what_speaks_against_a_value_counts_more_than_that_it_has_no_interval():
    record, *_ = measured(found(is_truncated=True), calibration=without_scores(volume=1))
    assert (record.reliability, record.reason) == (Reliability.NOT_RELIABLE, Reason.TRUNCATED)
    assert record.calibration is None


def test_a_structure_that_may_lie_in_pieces_is_not_withheld_for_them():
    parts = tuple(replace(structure, is_one_piece=False) for structure in ORGAN.structures)
    organ = replace(ORGAN, structures=parts)
    record = measure((in_two_parts(),), organ, WANTED, calibrated(), SPACING_MM)[0]
    assert record.reason is not Reason.FRAGMENTED
