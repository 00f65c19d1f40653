"""Groups of cases are tabulated by themselves, over subjects, and small ones are marked."""

import numpy as np
import pytest

from assistant.cli.evaluate import _of_group
from segment.groups import LEAST_SUBJECTS, Fared, by_group


def fared(subject, group="a", error=0.1, dice=0.9, is_covered=True, structure="whole"):
    return Fared(structure, group, str(subject), error, dice, is_covered)


def rows_of(cases):
    return by_group(cases, np.random.default_rng(0))


def test_each_group_of_each_structure_has_its_own_means():
    a = [fared(n, "a", 0.1, 0.9, is_covered=n % 2 == 0) for n in range(10)]
    b = [fared(n, "b", -0.3, 0.5) for n in range(10, 20)]
    other = [fared(n, "a", 0.0, 1.0, structure="part") for n in range(10)]
    rows = {(row.structure, row.group): row for row in rows_of([*a, *b, *other])}
    assert rows.keys() == {("whole", "a"), ("whole", "b"), ("part", "a")}
    assert rows["whole", "a"].volume_error.mean == pytest.approx(0.1)
    assert rows["whole", "a"].coverage.mean == pytest.approx(0.5)
    assert rows["whole", "b"].dice.mean == pytest.approx(0.5)
    assert rows["part", "a"].dice.mean == pytest.approx(1.0)


@pytest.mark.parametrize(("subjects", "is_too_small"), [(LEAST_SUBJECTS - 1, True), (10, False)])
def test_a_group_is_too_small_by_its_subjects_and_not_by_its_cases(subjects, is_too_small):
    (row,) = rows_of([fared(n % subjects) for n in range(40)])
    assert row.n == 40
    assert row.is_too_small is is_too_small


def test_sides_of_one_subject_do_not_narrow_the_interval():
    dice = np.random.default_rng(1).uniform(0.6, 0.9, 12)
    once = rows_of([fared(n, dice=d) for n, d in enumerate(dice)])[0].dice
    twice = rows_of([fared(n, dice=d) for n, d in enumerate(dice) for _ in range(2)])[0].dice
    assert twice.upper - twice.lower == pytest.approx(once.upper - once.lower, rel=0.05)


def test_what_has_no_interval_and_no_tracing_is_left_out_of_these_means_alone():
    cases = [fared(0, error=None, is_covered=None), fared(1, error=0.2, is_covered=False)]
    (row,) = rows_of(cases)
    assert row.volume_error.n == row.coverage.n == 1
    assert row.dice.n == 2


def test_a_coverage_of_few_subjects_is_marked_though_the_group_has_many():
    cases = [fared(n, is_covered=True if n < 2 else None) for n in range(LEAST_SUBJECTS + 2)]
    (row,) = rows_of(cases)
    assert row.subjects == LEAST_SUBJECTS + 2
    assert row.is_too_small
    assert (row.to_dict()["coverage_n"], row.to_dict()["dice_n"]) == (2, LEAST_SUBJECTS + 2)
    assert "coverage 1.000 (1.000 to 1.000) of 2; too few" in _of_group(row.to_dict())


def test_a_group_of_one_is_told_without_an_interval():
    (row,) = rows_of([fared("a", dice=0.91)])
    told = _of_group(row.to_dict())
    assert "; dice 0.910; coverage 1.000; too few subjects to say" in told


def test_a_group_without_any_interval_has_no_coverage():
    (row,) = rows_of([fared(0, is_covered=None)])
    assert row.coverage is None
    assert row.to_dict()["coverage_mean"] is None
