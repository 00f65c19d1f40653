"""Intervals that hold what they promise, checked against the definition and by simulation."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from segment.calibration import (
    Calibrated,
    Level,
    asymmetry_interval,
    calibration_of,
    spread,
    volume_interval,
)
from segment.crossfit import FLOORS, WIDTH_GIVEN_UP, Case, best_floor, calibrate, score
from segment.evaluate import acceptance_band
from segment.organs import load
from segment.pools import Pool
from segment.quantiles import cases_needed, quantile, reach

COVERAGES = ["0.5", "0.55", "0.7", "0.8", "0.9", "0.95"]
SCORES = tuple(np.linspace(0.05, 2.0, 40).tolist())
SIGNED = tuple(np.linspace(-2.0, 2.0, 41).tolist())


def interval_of(value, u, scores, coverage):
    return volume_interval(value, u, Pool(tuple(scores)), coverage)


def by_definition(scores, coverage):
    """The smallest score that at least (n + 1) coverage of n + 1 exchangeable scores reach."""
    ranks = range(1, len(scores) + 1)
    enough = [r for r in ranks if Fraction(r, len(scores) + 1) >= Fraction(coverage)]
    return sorted(scores)[enough[0] - 1]


def levels(*spacings_mm):
    return tuple(Level(mm, {"a": SCORES, "b": SCORES}, {"a": SCORES}) for mm in spacings_mm)


def calibrated(*spacings_mm):
    return Calibrated(
        id="out-of-fold",
        source="split.json",
        floor={"a": 0.05, "b": 0.1},
        least_agreement={"a": 0.7, "b": 0.6},
        temperature=(1.0, 1.1, 0.9),
        levels=levels(*spacings_mm),
    )


def simulated(rng, count):
    """Cases whose counts scatter more where their members differ more, as five members do."""
    sigma = rng.uniform(0.02, 0.15, count)
    true = rng.uniform(2.0, 4.0, count)
    value = true * np.exp(rng.normal(0, 1, count) * sigma)
    members = value[:, None] * np.exp(rng.normal(0, 1, (count, 5)) * sigma[:, None])
    return [
        Case(1 + 2 * n, 0, 1, "hippocampus", t, v, tuple(m), 0.9)
        for n, (t, v, m) in enumerate(
            zip(true.tolist(), value.tolist(), members.tolist(), strict=True)
        )
    ]


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("n", [19, 20, 29, 52, 99, 208])
def test_the_quantile_is_the_one_of_the_definition(n, coverage):
    scores = np.random.default_rng(n).exponential(size=n).tolist()
    assert quantile(scores, float(coverage)) == by_definition(scores, coverage)


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_a_level_that_the_cases_cannot_support_is_refused(coverage, needed):
    with pytest.raises(
        ValueError, match=f"needs {needed} calibration cases, there are {needed - 1}"
    ):
        quantile([1.0] * (needed - 1), coverage)


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_just_enough_cases_give_the_largest_score(coverage, needed):
    assert quantile([float(n) for n in range(needed)], coverage) == needed - 1


def test_more_coverage_is_never_narrower():
    reached = [quantile(SCORES, float(coverage)) for coverage in COVERAGES]
    assert reached == sorted(reached)


def test_the_order_of_the_scores_does_not_matter():
    assert quantile(SCORES[::-1], 0.9) == quantile(SCORES, 0.9)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_simulated_exchangeable_cases_are_covered_as_promised(coverage):
    rng = np.random.default_rng(1)
    cases, fresh = simulated(rng, 200), simulated(rng, 4000)
    scores = [score(case, 0.03) for case in cases]
    intervals = [
        interval_of(c.value_ml, spread(c.member_ml, 0.03), scores, coverage) for c in fresh
    ]
    held = [i.lower <= c.true_ml <= i.upper for i, c in zip(intervals, fresh, strict=True)]
    assert float(np.mean(held)) in acceptance_band(200, 4000, coverage, probability=0.99)


def test_simulated_asymmetries_are_covered_as_promised():
    rng = np.random.default_rng(2)
    true, sigma = rng.normal(0, 0.05, 3000), rng.uniform(0.02, 0.1, 3000)
    counted = true + rng.normal(0, 1, 3000) * sigma
    scores = (np.abs(true - counted) / sigma)[:200].tolist()
    intervals = [
        asymmetry_interval(3 * math.exp(r), 3.0, u, scores, 0.9)
        for r, u in zip(counted[200:], sigma[200:], strict=True)
    ]
    truth = 200 * np.tanh(true[200:] / 2)
    held = [i.lower <= t <= i.upper for i, t in zip(intervals, truth, strict=True)]
    assert float(np.mean(held)) in acceptance_band(200, 2800, 0.9, probability=0.99)


def test_scores_without_a_bias_make_an_interval_symmetric_in_the_logarithm():
    interval = interval_of(3.2, 0.07, SIGNED, 0.9)
    assert math.log(interval.upper / 3.2) == pytest.approx(math.log(3.2 / interval.lower))
    assert math.log(interval.upper / 3.2) == pytest.approx(0.07 * quantile(SIGNED, 0.95))
    assert interval.coverage == 0.9


def test_networks_that_draw_too_much_move_the_interval_down_and_not_the_value():
    plain = interval_of(3.2, 0.07, SIGNED, 0.9)
    biased = interval_of(3.2, 0.07, [score - 0.5 for score in SIGNED], 0.9)
    assert biased.lower < plain.lower
    assert biased.upper < plain.upper
    assert biased.upper / biased.lower == pytest.approx(plain.upper / plain.lower)


@pytest.mark.parametrize("bias", [-50.0, 50.0])
def test_an_interval_holds_its_value_however_biased_the_scores_are(bias):
    interval = interval_of(3.2, 0.07, [score + bias for score in SIGNED], 0.9)
    assert interval.lower <= 3.2 <= interval.upper


@pytest.mark.parametrize("coverage", ["0.5", "0.8", "0.9"])
def test_each_side_may_miss_half_of_what_may_be_missed(coverage):
    scores = np.random.default_rng(3).normal(0.2, 1, 99).tolist()
    below, above = reach(scores, float(coverage))
    one_sided = str((1 + Fraction(coverage)) / 2)
    assert above == by_definition(scores, one_sided)
    assert below == -by_definition([-score for score in scores], one_sided)


def test_an_interval_that_the_cases_cannot_support_on_each_side_is_refused():
    with pytest.raises(ValueError, match="needs 19 calibration cases, there are 18"):
        reach([0.1] * 18, 0.9)


def test_an_interval_scales_with_its_value():
    one, two = (interval_of(value, 0.1, SIGNED, 0.9) for value in (1.5, 3.0))
    assert two.lower == pytest.approx(2 * one.lower)
    assert two.upper == pytest.approx(2 * one.upper)


@pytest.mark.parametrize(("left", "right"), [(3.0, 3.0), (3.2, 2.9), (1.1, 4.5), (2.0, 2.001)])
def test_an_asymmetry_is_the_hyperbolic_tangent_of_half_the_log_ratio(left, right):
    index = 200 * (left - right) / (left + right)
    interval = asymmetry_interval(left, right, 1e-9, SCORES, 0.9)
    assert interval.lower == pytest.approx(index, abs=1e-6)
    assert interval.upper == pytest.approx(index, abs=1e-6)
    assert interval.lower <= index <= interval.upper


def test_an_asymmetry_of_the_sides_swapped_is_its_negative():
    one = asymmetry_interval(3.2, 2.9, 0.05, SCORES, 0.9)
    other = asymmetry_interval(2.9, 3.2, 0.05, SCORES, 0.9)
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower))


def test_an_asymmetry_never_leaves_its_range():
    interval = asymmetry_interval(6.0, 0.1, 5.0, SCORES, 0.9)
    assert -200 <= interval.lower <= interval.upper <= 200


def test_the_spread_is_the_variation_of_the_members_and_the_floor():
    members = (2.9, 3.0, 3.2)
    cv = np.std(members, ddof=1) / np.mean(members)
    assert spread(members, 0.04) == pytest.approx(math.sqrt(cv**2 + 0.04**2))


@pytest.mark.parametrize("members", [(3.0,), (3.0, 3.0, 3.0), (0.0, 0.0)])
def test_members_that_agree_leave_the_floor(members):
    assert spread(members, 0.04) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("spacing_mm", "expected"),
    [
        ((1.0, 1.0, 1.0), 1.0),
        ((0.5, 0.5, 0.5), 1.0),
        ((1.05, 1.0, 1.0), 1.0),
        ((1.0, 1.2, 1.0), 2.0),
        ((0.9, 0.9, 1.5), 2.0),
        ((2.0, 1.0, 1.0), 2.0),
        ((1.0, 3.0, 1.0), 3.0),
        ((4.8, 0.5, 0.5), 5.0),
        ((2.0, 2.0, 2.0), 3.0),
        ((1.0, 3.0, 1.6), 5.0),
    ],
)
def test_the_level_is_the_finest_that_is_no_finer_than_the_scan(spacing_mm, expected):
    level = calibrated(5.0, 1.0, 3.0, 2.0).level(spacing_mm)
    assert level is not None
    assert level.spacing_mm == expected


@pytest.mark.parametrize("spacing_mm", [(6.0, 1.0, 1.0), (1.0, 5.2, 1.0), (5.0, 2.0, 1.0)])
def test_a_scan_coarser_than_every_level_has_none(spacing_mm):
    assert calibrated(1.0, 2.0, 5.0).level(spacing_mm) is None


def test_a_calibration_is_read_back_as_it_was_written():
    rounded = tuple(round(s, 5) for s in SCORES)
    written = replace(
        calibrated(),
        levels=(Level(1.0, {"a": rounded, "b": rounded}, {"a": rounded}),),
    )
    assert Calibrated.from_json(written.to_json()) == written


def test_a_calibration_is_named_with_its_level_and_its_cases():
    found = calibrated(1.0, 2.0)
    named = calibration_of(found, found.levels[1], Pool(SCORES))
    assert (named.id, named.n) == ("out-of-fold@2mm", 40)


@pytest.mark.slow
def test_the_floor_is_low_where_the_members_tell_the_error():
    rng = np.random.default_rng(3)
    told = simulated(rng, 300)
    untold = [replace(case, member_ml=(case.value_ml,) * 5) for case in told]
    mixed = [
        replace(c, member_ml=tuple((c.value_ml * np.exp(rng.normal(0, 0.05, 5))).tolist()))
        for c in untold
    ]
    assert best_floor(told) < best_floor(mixed)


@pytest.mark.slow
def test_the_floor_is_the_lowest_whose_intervals_are_nearly_the_narrowest():
    cases = simulated(np.random.default_rng(4), 200)
    widths = []
    for floor in FLOORS:
        below, above = reach([score(case, floor) for case in cases], 0.9)
        spreads = np.array([spread(case.member_ml, floor) for case in cases])
        widths.append(float(np.mean(np.exp(above * spreads) - np.exp(below * spreads))))
    chosen = FLOORS.tolist().index(best_floor(cases))
    most = min(widths) * (1 + WIDTH_GIVEN_UP)
    assert widths[chosen] <= most
    assert all(width > most for width in widths[:chosen])


def test_cases_become_sorted_scores_by_structure_and_thickness():
    organ = load("hippocampus")
    rng = np.random.default_rng(4)
    cases = [
        replace(case, case=number, structure=structure.name, thickness_mm=thickness)
        for thickness in (1, 2, 3, 5)
        for structure in organ.structures
        for number, case in enumerate(simulated(rng, 40), start=1)
    ]
    found = calibrate(cases, organ, [1.0, 1.0, 1.0], "split.json")
    assert [level.spacing_mm for level in found.levels] == [1.0, 2.0, 3.0, 5.0]
    for level in found.levels:
        assert set(level.volume) == {structure.name for structure in organ.structures}
        assert all(len(s) == 40 and list(s) == sorted(s) for s in level.volume.values())
        assert all(len(s) == 20 and list(s) == sorted(s) for s in level.asymmetry.values())
    assert found.id == "out-of-fold-20-subjects"


def cases_of(subjects):
    """Judge both sides of some subjects at every thickness."""
    rng = np.random.default_rng(4)
    return [
        replace(case, case=number, structure=structure.name, thickness_mm=thickness)
        for thickness in (1, 2, 3, 5)
        for structure in load("hippocampus").structures
        for number, case in enumerate(simulated(rng, 2 * subjects), start=1)
    ]


def test_sides_that_are_alike_do_not_pass_for_two_cases():
    organ = load("hippocampus")
    left = [case for case in cases_of(30) if case.case % 2]
    alike = [*left, *(replace(case, case=case.case + 1) for case in left)]
    found = calibrate(alike, organ, [1.0] * 3, "split.json", is_by_subject=True)
    for level in found.levels:
        for name, scores in level.volume.items():
            assert len(scores) == 30
            of_subjects = sorted(
                score(case, found.floor[name])
                for case in left
                if (case.structure, case.thickness_mm) == (name, level.spacing_mm)
            )
            assert reach(scores, 0.9)[1] == pytest.approx(of_subjects[29])
    assert len(found.levels[0].asymmetry["hippocampus"]) == 30


def test_either_side_of_a_subject_is_drawn():
    sided = [replace(case, value_ml=case.true_ml * (1 + case.case % 2)) for case in cases_of(40)]
    found = calibrate(sided, load("hippocampus"), [1.0] * 3, "split.json", is_by_subject=True)
    right = sum(scored == 0 for scored in found.levels[0].volume["hippocampus"])
    assert 10 < right < 30


@pytest.mark.parametrize(("subjects", "coverage"), [(18, 0.9), (6, 0.75)])
def test_too_few_subjects_get_no_scores_though_both_sides_of_them_would_do(subjects, coverage):
    organ = load("hippocampus")
    few = calibrate(cases_of(subjects), organ, [1.0] * 3, "split.json", coverage)
    enough = calibrate(cases_of(subjects + 1), organ, [1.0] * 3, "split.json", coverage)
    assert not any(scores for level in few.levels for scores in level.volume.values())
    assert not any(scores for level in few.levels for scores in level.asymmetry.values())
    assert all(scores for level in enough.levels for scores in level.volume.values())
    assert cases_needed(coverage, is_two_sided=True) == subjects + 1
