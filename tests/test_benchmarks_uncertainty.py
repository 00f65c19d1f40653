"""What the tables on uncertainty rest on: shifts, scores and intervals, by formulas."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from segment.calibration import volume_interval
from segment.crossfit import Case, score
from segment.pools import LEAST, Pool
from tests.benchmarks.calibration_error import told as calibration_error
from tests.benchmarks.scoring import aurc, crps_gaussian, crps_samples
from tests.benchmarks.shifts import NONE, SHIFTS, STRENGTHS, Shift
from tests.benchmarks.uncertainty import (
    Row,
    expected_calibration_error,
    in_order,
    read_rows,
    run,
    run_again,
)
from tests.benchmarks.uncertainty_table import (
    BEGIN,
    DOCUMENT,
    END,
    MONDRIAN,
    NORMALISED,
    SIGNED,
    SPLIT,
    Conformal,
)
from tests.phantoms import ball, grid

BALL = ball(grid(field_mm=30), 8).volume
GREYS = np.random.default_rng(1).uniform(0, 300, BALL.array.shape).astype(np.float32)
VOLUME = replace(BALL, array=BALL.array + GREYS)


def shifted(shift, seed=0, axis=1):
    return shift(VOLUME, axis, np.random.default_rng(seed))


def cases(n=60):
    rng = np.random.default_rng(0)
    true = rng.uniform(2, 4, n)
    value = true * np.exp(rng.normal(0.05, 0.08, n))
    members = value[:, None] * np.exp(rng.normal(0, 0.03, (n, 2)))
    return [
        Case(2 * i + 1, i % 3, 1, "hippocampus", t, v, tuple(m), 0.9)
        for i, (t, v, m) in enumerate(
            zip(true.tolist(), value.tolist(), members.tolist(), strict=True)
        )
    ]


def row(case, shift):
    numbers = dict.fromkeys(("true_ml", "value_ml", "dice", "ece", "entropy", "agreement"), 1.0)
    named = (case, shift.name, float(shift.strength), "ensemble", "hippocampus")
    bounds = {"lower_ml": 0.5, "upper_ml": 1.5, "reason": ""}
    return Row(*named, **numbers, samples_ml=(1.0, 2.0), **bounds)


class Counting:
    """Measures nothing and keeps what it was asked."""

    def __init__(self, **changes):
        self.asked, self.changes = [], changes

    def rows(self, case, shift):
        self.asked.append((case, shift))
        return [replace(row(case, shift), **self.changes)]


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: f"{shift.name} {shift.strength}")
def test_a_shift_changes_the_scan_the_same_way_each_time(shift):
    first, again = shifted(shift), shifted(shift)
    assert np.array_equal(first.array, again.array)
    assert np.isfinite(first.array).all()
    same = first.array.shape == VOLUME.array.shape and np.allclose(first.array, VOLUME.array)
    assert same is (shift.name == NONE)


@pytest.mark.parametrize("name", sorted(set(STRENGTHS) - {"slices", "contrast"}))
def test_a_stronger_shift_changes_more(name):
    weak, strong = (
        np.abs(shifted(Shift(name, s)).array - VOLUME.array).mean() for s in STRENGTHS[name]
    )
    assert strong > weak > 0


def test_thick_slices_lie_along_the_axis_and_keep_the_field():
    thick = shifted(Shift("slices", 3), axis=1)
    assert thick.geometry.spacing_mm == pytest.approx((1, 3, 1))
    assert thick.array.shape == (30, 10, 30)


def test_missing_slices_are_as_many_as_said():
    blank = (shifted(Shift("missing", 3), axis=2).array == 0).all(axis=(0, 1))
    assert blank.sum() == 3


def test_the_crps_of_many_draws_is_the_integral_of_its_definition():
    draws = norm.ppf((np.arange(4000) + 0.5) / 4000, loc=3, scale=0.4)
    below, _ = quad(lambda x: norm.cdf(x, 3, 0.4) ** 2, -1, 3.5)
    above, _ = quad(lambda x: (norm.cdf(x, 3, 0.4) - 1) ** 2, 3.5, 8)
    assert crps_gaussian(3, 0.4, 3.5) == pytest.approx(below + above, abs=1e-4)
    assert crps_samples(draws, 3.5) == pytest.approx(below + above, abs=1e-3)


def test_the_crps_of_one_value_is_its_distance():
    assert crps_samples([2.0], 2.5) == crps_gaussian(2.0, 0.0, 2.5) == pytest.approx(0.5)


def test_a_right_order_of_doubts_has_the_smallest_area():
    risks = [0.1, 0.2, 0.4, 0.8]
    right, wrong = aurc([1, 2, 3, 4], risks), aurc([4, 3, 2, 1], risks)
    assert right == pytest.approx(np.mean([0.1, 0.15, 0.7 / 3, 0.375]))
    assert right < aurc([1, 1, 1, 1], risks) < wrong
    assert aurc([1, 1, 1, 1], risks) == pytest.approx(np.mean(risks))


def test_shares_that_are_as_said_have_no_calibration_error():
    probability = np.repeat([0.25, 0.75], 400)
    truth = np.tile([True, False, False, False], 100).tolist() + [True, True, True, False] * 100
    assert expected_calibration_error(probability, np.array(truth)) == pytest.approx(0)
    assert expected_calibration_error(probability, np.ones(800, bool)) == pytest.approx(0.5)


def test_the_calibration_error_of_each_structure_is_its_own_mean_over_unshifted_crops():
    plain, noisy = SHIFTS[0], SHIFTS[1]
    errors = {(1, "whole"): 0.1, (3, "whole"): 0.3, (1, "part"): 0.5, (3, "part"): 0.7}
    rows = [
        replace(row(case, plain), structure=name, ece=ece) for (case, name), ece in errors.items()
    ]
    rows.append(replace(row(5, noisy), structure="whole", ece=0.9))
    head, _, *lines = calibration_error(rows)
    assert head.endswith("| whole | part |")
    assert lines == ["| ensemble | 2 | 2 | 0.200 | 0.600 |"]


@pytest.mark.parametrize("method", [SPLIT, NORMALISED, SIGNED, MONDRIAN])
def test_a_conformal_interval_holds_its_share_of_its_own_cases(method):
    mine = cases(180)
    say = Conformal(method, mine, 0.03)
    said = [say(c.case, c.true_ml, c.value_ml, c.member_ml) for c in mine]
    assert 0.9 <= np.mean([one.is_covered for one in said]) < 0.96
    assert all(one.lower_ml < one.value_ml < one.upper_ml for one in said)


def test_the_signed_interval_is_the_products():
    mine = cases(100)
    said = Conformal(SIGNED, mine, 0.03)(1, 3.0, 3.2, (3.1, 3.3))
    u = Conformal(SIGNED, mine, 0.03).u((3.1, 3.3))
    interval = volume_interval(3.2, u, Pool(tuple(score(case, 0.03) for case in mine)), 0.9)
    assert (said.lower_ml, said.upper_ml) == pytest.approx((interval.lower, interval.upper))


def test_bins_that_hold_too_few_cases_are_pooled():
    few, many = cases(3 * LEAST - 6), cases(3 * LEAST + 6)
    assert len(Conformal(MONDRIAN, few, 0.03).scores(3.0)) == len(few)
    assert len(Conformal(MONDRIAN, many, 0.03).scores(3.0)) < len(many)


def test_a_measuring_that_was_stopped_goes_on_with_what_is_missing(tmp_path):
    path, first, second = tmp_path / "rows.csv", Counting(), Counting()
    for done, _ in enumerate(run(first, [1, 2], path, 60)):
        if done == 2:
            break
    assert len(list(run(second, [1, 2], path, 60))) == 2 * len(SHIFTS) - 3
    assert set(first.asked).isdisjoint(second.asked)
    assert list(run(Counting(), [1, 2], path, 60)) == []


def test_what_is_measured_again_stands_where_it_stood_and_the_rest_is_as_it_was(tmp_path):
    path = tmp_path / "rows.csv"
    list(run(Counting(), [1, 3], path, 60))
    before = path.read_text(encoding="utf-8").splitlines()
    better = Counting(dice=0.25)
    list(run_again(better, "blur", path))
    assert [(case, shift.name) for case, shift in better.asked] == [(1, "blur"), (3, "blur")] * 2
    after = path.read_text(encoding="utf-8").splitlines()
    changed = [line for line, other in zip(after, before, strict=True) if line != other]
    assert [line.split(",")[:3] for line in changed] == [
        [str(case), "blur", strength] for strength in ("2", "3.5") for case in (1, 3)
    ]
    assert {row.dice for row in read_rows(path) if row.shift == "blur"} == {0.25}


def test_under_shift_each_subject_comes_once_before_any_comes_twice():
    order = list(in_order([1, 2, 3, 5, 6]))
    assert [case for shift, case in order if shift.name == NONE] == [1, 2, 3, 5, 6]
    shifted = [case for shift, case in order if shift.name != NONE]
    assert len(order) == len(set(order)) == 5 * len(SHIFTS)
    assert set(shifted[: 3 * (len(SHIFTS) - 1)]) == {1, 3, 5}


def test_no_time_measures_nothing(tmp_path):
    assert list(run(Counting(), [1, 2], tmp_path / "rows.csv", -1)) == []


def test_the_document_holds_what_the_script_prints():
    printed = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    for title in ("Methods", "Coverage under shift", "Finding failures", "Robustness and size"):
        assert f"### {title}" in printed
