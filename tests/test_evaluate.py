"""Agreement and coverage are right against geometry, MONAI and simulation."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import betabinom

from segment.evaluate import (
    Judged,
    acceptance_band,
    bootstrap_interval,
    compare,
    compare_masks,
    coverage_table,
    summarise,
    surface_distances_mm,
)
from segment.measurement import Interval
from tests.phantoms import ball, ellipsoid, grid

GRIDS = {
    "isotropic": grid(field_mm=40),
    "anisotropic": grid((0.8, 1.0, 2.5), field_mm=40),
    "oblique": grid((1.0, 1.2, 1.5), field_mm=44, rotation_deg=(10, 25, 40)),
    "sheared": grid((1.0, 1.0, 1.5), field_mm=44, shear=0.3),
}
# MONAI 1.6 warns of an argument that it passes itself.
of_monai = pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
SPACINGS = [(1.0, 1.0, 1.0), (0.7, 1.0, 2.0)]


@pytest.fixture(scope="module", params=SPACINGS, ids=str)
def pair(request):
    """Two overlapping bodies on one grid, as boolean masks."""
    geometry = grid(request.param, field_mm=36)
    first = ellipsoid(geometry, (6, 12, 5), (0.4, 0, 0)).mask
    second = ellipsoid(geometry, (5, 11, 6), (-1, 1.5, 0.7)).mask
    return first, second, geometry


def as_batch(mask):
    return torch.from_numpy(mask)[None, None]


@of_monai
def test_mean_surface_distance_is_monais(pair):
    from monai.metrics.surface_distance import compute_average_surface_distance

    first, second, geometry = pair
    theirs = compute_average_surface_distance(
        as_batch(first),
        as_batch(second),
        include_background=True,
        symmetric=True,
        spacing=list(geometry.spacing_mm),
    )
    mine = compare_masks(first, second, geometry).mean_surface_distance_mm
    assert mine == pytest.approx(theirs.item(), rel=1e-5)


@of_monai
def test_hausdorff95_is_monais(pair):
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    first, second, geometry = pair
    theirs = compute_hausdorff_distance(
        as_batch(first),
        as_batch(second),
        include_background=True,
        percentile=95,
        spacing=list(geometry.spacing_mm),
    )
    mine = compare_masks(first, second, geometry).hausdorff95_mm
    assert mine == pytest.approx(theirs.item(), rel=1e-5)


@of_monai
def test_surface_dice_is_monais(pair):
    from monai.metrics.surface_dice import compute_surface_dice

    first, second, geometry = pair
    theirs = compute_surface_dice(
        as_batch(first),
        as_batch(second),
        class_thresholds=[1.0],
        include_background=True,
        spacing=list(geometry.spacing_mm),
    )
    assert compare_masks(first, second, geometry).surface_dice == pytest.approx(theirs.item())


def test_dice_is_monais(pair):
    from monai.metrics.meandice import compute_dice

    first, second, geometry = pair
    theirs = compute_dice(as_batch(first), as_batch(second), include_background=True)
    assert compare_masks(first, second, geometry).dice == pytest.approx(theirs.item())


@pytest.mark.parametrize("name", GRIDS)
def test_concentric_balls_are_apart_by_the_difference_of_their_radii(name):
    inner, outer = ball(GRIDS[name], 10), ball(GRIDS[name], 13)
    agreement = compare_masks(inner.mask, outer.mask, GRIDS[name])
    voxel_mm = max(GRIDS[name].spacing_mm)
    assert agreement.mean_surface_distance_mm == pytest.approx(3, abs=0.35 * voxel_mm)
    assert agreement.hausdorff95_mm == pytest.approx(3, abs=0.8 * voxel_mm)


@pytest.mark.parametrize("name", GRIDS)
def test_overlap_of_concentric_balls_is_the_ratio_of_their_volumes(name):
    inner, outer = ball(GRIDS[name], 10), ball(GRIDS[name], 13)
    agreement = compare_masks(inner.mask, outer.mask, GRIDS[name])
    ratio = inner.volume_ml / outer.volume_ml
    assert agreement.precision == 1
    assert agreement.recall == pytest.approx(ratio, rel=0.03)
    assert agreement.relative_volume_error == pytest.approx(ratio - 1, rel=0.03)
    assert agreement.dice == pytest.approx(2 * ratio / (1 + ratio), rel=0.02)
    assert agreement.expert_ml == pytest.approx(outer.volume_ml, rel=0.02)


def test_two_planes_on_a_sheared_grid_are_apart_by_their_world_distance():
    geometry = grid((1.0, 1.0, 2.0), field_mm=40, shear=1.0)
    lower, upper = (np.zeros(geometry.shape, dtype=bool) for _ in range(2))
    lower[:, :, 5] = True
    upper[:, :, 8] = True
    up, down = surface_distances_mm(lower, upper, geometry)
    assert float(np.median(up)) == pytest.approx(6.0, abs=0.3)
    assert float(np.median(down)) == pytest.approx(6.0, abs=0.3)


def test_a_mask_agrees_with_itself():
    phantom = ball(GRIDS["oblique"], 9)
    agreement = compare_masks(phantom.mask, phantom.mask, phantom.geometry)
    assert (agreement.dice, agreement.surface_dice) == (1, 1)
    assert (agreement.hausdorff95_mm, agreement.mean_surface_distance_mm) == (0, 0)
    assert (agreement.precision, agreement.recall, agreement.relative_volume_error) == (1, 1, 0)


def test_two_empty_masks_agree():
    geometry = GRIDS["isotropic"]
    empty = np.zeros(geometry.shape, dtype=bool)
    agreement = compare_masks(empty, empty, geometry)
    assert (agreement.dice, agreement.surface_dice) == (1, 1)
    assert (agreement.hausdorff95_mm, agreement.mean_surface_distance_mm) == (0, 0)
    assert (agreement.precision, agreement.recall, agreement.relative_volume_error) == (1, 1, 0)


def test_a_missed_structure_is_a_diagonal_of_the_grid_away():
    phantom = ball(grid(field_mm=21), 5)
    empty = np.zeros(phantom.mask.shape, dtype=bool)
    agreement = compare_masks(empty, phantom.mask, phantom.geometry)
    assert agreement.mean_surface_distance_mm == pytest.approx(20 * math.sqrt(3))
    assert (agreement.dice, agreement.surface_dice, agreement.recall) == (0, 0, 0)
    assert (agreement.precision, agreement.relative_volume_error) == (0, -1)


def test_an_invented_structure_has_no_relative_error():
    phantom = ball(grid(field_mm=21), 5)
    empty = np.zeros(phantom.mask.shape, dtype=bool)
    agreement = compare_masks(phantom.mask, empty, phantom.geometry)
    assert agreement.relative_volume_error is None
    assert (agreement.precision, agreement.recall) == (0, 0)
    assert agreement.hausdorff95_mm == pytest.approx(20 * math.sqrt(3))


def test_a_structure_may_be_several_labels():
    geometry = grid(field_mm=20)
    predicted = np.zeros(geometry.shape, dtype=np.int64)
    predicted[5:10, 5:10, 5:10] = 1
    expert = np.where(predicted == 1, 2, 0)
    part, whole = compare(predicted, expert, geometry, {"part": [1], "whole": [1, 2]})
    assert (part.structure, part.dice) == ("part", 0)
    assert (whole.structure, whole.dice) == ("whole", 1)


@pytest.mark.parametrize("wrong", ["predicted", "expert"])
def test_labels_that_do_not_fill_the_grid_are_refused(wrong):
    geometry = grid(field_mm=10)
    labels = {name: np.zeros(geometry.shape, dtype=np.int64) for name in ("predicted", "expert")}
    labels[wrong] = labels[wrong][1:]
    with pytest.raises(ValueError, match=wrong):
        compare(**labels, geometry=geometry, structures={"a": [1]})


def test_a_summary_averages_the_error_with_and_without_its_sign():
    geometry = grid(field_mm=30)
    small, middle, large = (ball(geometry, r).mask for r in (7, 8, 9))
    agreements = [
        compare_masks(small, middle, geometry),
        compare_masks(large, middle, geometry),
    ]
    rows = summarise(agreements, ["a", "b"], np.random.default_rng(0))
    means = {row.quantity: row.estimate.mean for row in rows}
    errors = [a.relative_volume_error for a in agreements]
    assert means["relative_volume_error"] == pytest.approx(np.mean(errors))
    assert means["absolute_relative_volume_error"] == pytest.approx(np.mean(np.abs(errors)))
    assert json.loads(json.dumps([row.to_dict() for row in rows]))[0]["structure"] == "mask"


def test_a_summary_leaves_out_an_error_that_does_not_exist():
    geometry = grid(field_mm=20)
    body, empty = ball(geometry, 5).mask, np.zeros(geometry.shape, dtype=bool)
    rows = summarise([compare_masks(body, empty, geometry)], ["a"], np.random.default_rng(0))
    quantities = {row.quantity for row in rows}
    assert "dice" in quantities
    assert "relative_volume_error" not in quantities


def test_an_agreement_is_strict_json():
    geometry = grid(field_mm=20)
    body, empty = ball(geometry, 5).mask, np.zeros(geometry.shape, dtype=bool)
    text = json.dumps(compare_masks(body, empty, geometry).to_dict(), allow_nan=False)
    assert json.loads(text)["relative_volume_error"] is None


def test_a_bootstrap_interval_holds_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        estimate = bootstrap_interval(list(rng.normal(5, 2, size=60)), rng, coverage=0.9)
        held.append(estimate.lower <= 5 <= estimate.upper)
    low, high = betabinom(200, 0.9 * 100, 0.1 * 100).ppf([0.001, 0.999]) / 200
    assert low <= np.mean(held) <= high


def test_resampling_subjects_widens_the_interval_of_doubled_values():
    values = list(np.random.default_rng(2).normal(size=40).repeat(2))
    alone = bootstrap_interval(values, np.random.default_rng(3))
    paired = bootstrap_interval(
        values, np.random.default_rng(3), groups=[i // 2 for i in range(80)]
    )
    ratio = (paired.upper - paired.lower) / (alone.upper - alone.lower)
    assert ratio == pytest.approx(math.sqrt(2), rel=0.12)
    assert (paired.n, paired.groups) == (80, 40)


def test_one_subject_has_a_mean_and_no_interval():
    estimate = bootstrap_interval([1.0, 3.0], np.random.default_rng(0), groups=["a", "a"])
    assert (estimate.mean, estimate.n, estimate.groups) == (2.0, 2, 1)
    assert (estimate.lower, estimate.upper) == (None, None)


def test_a_stratum_of_few_subjects_is_marked():
    rng = np.random.default_rng(5)
    every, *_, hardest = coverage_table(judged(45, width=0.2, rng=rng), 100, rng)
    assert (every.to_dict()["is_too_small"], hardest.to_dict()["is_too_small"]) == (False, True)


def test_the_same_generator_gives_the_same_interval():
    first, second = (
        bootstrap_interval([1.0, 2.0, 4.0], np.random.default_rng(7)) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(("values", "groups"), [([], None), ([1.0, 2.0], ["a"])])
def test_a_bootstrap_without_a_group_for_each_value_is_refused(values, groups):
    with pytest.raises(ValueError, match="a group for each value"):
        bootstrap_interval(values, np.random.default_rng(0), groups=groups)


def test_the_band_holds_the_coverage_of_simulated_calibrations():
    rng = np.random.default_rng(4)
    n, m = 52, 40
    band = acceptance_band(n, m)
    rank = math.ceil((n + 1) * 0.9)
    quantile = np.sort(rng.exponential(size=(4000, n)), axis=1)[:, rank - 1]
    share = (rng.exponential(size=(4000, m)) <= quantile[:, None]).mean(axis=1)
    inside = ((share >= band.lower) & (share <= band.upper)).mean()
    assert 0.95 <= inside <= 0.99


def test_the_band_narrows_towards_the_nominal_level():
    few, many = acceptance_band(20, 20), acceptance_band(2000, 2000)
    assert few.lower < many.lower < 0.9 < many.upper < few.upper


def test_a_level_that_the_calibration_cannot_support_is_refused():
    with pytest.raises(ValueError, match="needs 9 calibration cases"):
        acceptance_band(8, 10)
    assert acceptance_band(9, 10).lower > 0


def judged(count, *, width, rng):
    """Cases whose value misses the truth by up to 10 %, with intervals of +-``width``."""
    true = rng.uniform(1, 4, size=count)
    value = true * (1 + rng.uniform(-0.1, 0.1, size=count))
    return [
        Judged(
            "whole", i // 2, float(t), float(v), Interval(v * (1 - width), v * (1 + width), 0.9), t
        )
        for i, (t, v) in enumerate(zip(true, value, strict=True))
    ]


def test_wide_intervals_cover_everything_at_their_width():
    rng = np.random.default_rng(5)
    rows = coverage_table(judged(60, width=0.2, rng=rng), 100, rng)
    assert [row.stratum for row in rows] == [
        "all",
        "smallest third",
        "middle third",
        "largest third",
        "hardest fifth",
    ]
    assert [row.coverage.n for row in rows] == [60, 20, 20, 20, 12]
    assert all(row.coverage.mean == 1 for row in rows)
    assert rows[0].relative_width.mean == pytest.approx(0.4)


def test_narrow_intervals_fall_out_of_the_band():
    rng = np.random.default_rng(6)
    rows = coverage_table(judged(60, width=0.05, rng=rng), 100, rng)
    assert not rows[0].is_inside_band
    assert rows[0].to_dict()["is_inside_band"] is False


def test_thirds_are_by_the_experts_value_and_the_fifth_by_difficulty():
    case = Judged("whole", 0, 1.0, 1.0, Interval(0.9, 1.1, 0.9), 0.0)
    cases = [
        dataclasses.replace(case, group=i, true=1.0 if i < 3 else 2.0, difficulty=float(i == 1))
        for i in range(9)
    ]
    rows = {row.stratum: row for row in coverage_table(cases, 50, np.random.default_rng(0))}
    assert rows["smallest third"].coverage.mean == 1
    assert rows["largest third"].coverage.mean == 0
    assert (rows["hardest fifth"].coverage.n, rows["hardest fifth"].coverage.mean) == (1, 1)


def test_too_few_cases_for_a_stratum_leave_it_out():
    case = Judged("whole", 0, 1.0, 1.0, Interval(0.9, 1.1, 0.9), 0.0)
    rows = coverage_table([case], 50, np.random.default_rng(0))
    assert [row.stratum for row in rows] == ["all", "smallest third"]
    json.dumps([row.to_dict() for row in rows], allow_nan=False)
