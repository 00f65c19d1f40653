"""Within-subject variation: read back as written, and estimated from repeats whose own is known."""

import math

import numpy as np
import pytest

from segment.repeatability import Repeatability, RepeatLevel, Within
from segment.retest import (
    CROP,
    DEFORMED,
    HEAD,
    Retest,
    differences,
    estimate,
    read_retests,
    repeated,
    within,
    write_retests,
)
from tests.phantoms import ball, grid

SD = 0.02


def retests(sd, *, source=CROP, cases=60, repeats=12, half=0.1, reason=""):
    """Draw repeats of cases whose logarithms vary by ``sd``."""
    rng = np.random.default_rng(0)
    return [
        Retest(
            source, case, case, 1, n, "hippocampus", 3 * math.exp(rng.normal(0, sd)), half, reason
        )
        for case in range(1, cases + 1)
        for n in range(repeats)
    ]


def test_what_is_written_is_read_back():
    found = Repeatability("id", "source", (RepeatLevel(2.0, {"a b": Within(0.01, 0.9, 17, 84)}),))
    assert Repeatability.from_toml(found.to_toml()) == found


@pytest.mark.parametrize("text", ['id = "a"', 'id = "a"\nsource = "b"\nlevels = []\ncolour = 3'])
def test_an_unknown_or_missing_key_is_refused(text):
    with pytest.raises(ValueError, match="missing or unknown"):
        Repeatability.from_toml(text)


@pytest.mark.parametrize(("sd_log", "correlation"), [(0.0, 0.5), (-1.0, 0.5), (0.1, 1.1)])
def test_a_variation_that_is_none_is_refused(sd_log, correlation):
    with pytest.raises(ValueError, match="SD above 0"):
        Within(sd_log, correlation, 2, 4)


def test_the_coefficient_is_two_point_seven_seven_standard_deviations():
    assert Within(0.01, 0.9, 17, 84).coefficient_log == pytest.approx(0.0277, abs=1e-4)
    assert Within(0.01, 0.9, 17, 84).cv == pytest.approx(0.01, abs=1e-6)


def test_a_coarser_scan_has_the_variation_of_its_thickness():
    levels = tuple(RepeatLevel(mm, {}) for mm in (1.0, 2.0, 5.0))
    found = Repeatability("id", "source", levels)
    assert found.level((1.0, 1.0, 4.8)).spacing_mm == 5.0
    assert found.level((0.4, 0.4, 1.0)).spacing_mm == 1.0
    assert found.level((1.0, 1.0, 6.0)) is None


def test_the_variation_of_normal_repeats_is_found():
    found = within(retests(SD))
    assert found.sd_log == pytest.approx(SD, rel=0.07)
    assert (found.subjects, found.repeats) == (60, 720)


def test_the_larger_variation_of_crops_and_heads_stands():
    both = [*retests(SD), *retests(2 * SD, source=HEAD)]
    assert within(both).sd_log == pytest.approx(2 * SD, rel=0.07)


def test_long_tails_raise_the_variation_until_it_holds_nineteen_of_twenty():
    rng = np.random.default_rng(1)
    rows = [
        Retest(CROP, c, c, 1, n, "hippocampus", 3 * math.exp(rng.standard_t(2) * SD), 0.1, "")
        for c in range(200)
        for n in range(6)
    ]
    coefficient = within(rows).coefficient_log
    held = [abs(ratio) <= coefficient for ratio, _, _ in differences(rows)]
    assert np.mean(held) >= 0.94


def test_the_correlation_makes_nine_tenths_of_intervals_hold_no_change():
    rows = retests(SD, half=0.1)
    correlation = within(rows).correlation
    held = [
        abs(r) <= math.sqrt(a * a + b * b - 2 * correlation * a * b)
        for r, a, b in differences(rows)
    ]
    assert np.mean(held) == pytest.approx(0.9, abs=0.01)


def test_true_changes_that_are_understated_widen_the_interval_and_not_the_error():
    true = math.log(1.05)
    rows = [
        Retest(DEFORMED, c, c, 1, n, "hippocampus", 3 * math.exp(n * 0.6 * true), 0.1, "", n * true)
        for c in range(30)
        for n in range(2)
    ]
    plain = retests(SD / 10)
    found = within([*plain, *rows])
    half = math.sqrt(2 * 0.1**2 * (1 - found.correlation))
    assert half == pytest.approx(0.4 * true, rel=0.01)
    assert found.sd_log == within(plain).sd_log


def test_withheld_repeats_do_not_count():
    rows = [*retests(SD), *retests(1.0, source=HEAD, reason="truncated")]
    level = estimate(rows, "id", "source").levels[0]
    assert level.structures["hippocampus"] == within(retests(SD))


def test_too_few_repeats_that_are_not_withheld_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"slices of 1 mm: expected at least 9 .* found 8"):
        estimate(retests(SD, cases=4, repeats=3), "id", "source")
    with pytest.raises(ValueError, match="plain repeats that are not withheld, found 0"):
        estimate(retests(SD, reason="truncated"), "id", "source")


def test_a_source_without_two_repeats_of_a_case_says_nothing():
    rows = [*retests(SD), *retests(1.0, source=HEAD, repeats=1)]
    assert within(rows) == within(retests(SD))


def test_repeats_are_read_back_as_they_were_written(tmp_path):
    rows = retests(SD, cases=2, repeats=2)
    write_retests(tmp_path / "retests.csv", rows)
    found = read_retests(tmp_path / "retests.csv")
    assert [row.value_ml for row in found] == pytest.approx(
        [row.value_ml for row in rows], abs=1e-4
    )
    assert [(row.case, row.repeat, row.source) for row in found] == [
        (row.case, row.repeat, row.source) for row in rows
    ]


def test_a_repeat_is_the_same_head_moved_and_not_the_same_picture():
    volume = ball(grid(field_mm=40), 9).volume
    one, other = (repeated(volume, np.random.default_rng(n), 2.0) for n in (1, 2))
    bright = [(scan.array > 600).sum() for scan in (volume, one, other)]
    assert bright[1:] == pytest.approx([bright[0]] * 2, rel=0.02)
    assert not np.array_equal(one.array, other.array)
    assert np.array_equal(one.array, repeated(volume, np.random.default_rng(1), 2.0).array)


def test_a_warp_says_where_a_repeat_is_read():
    volume = ball(grid(field_mm=40), 9).volume
    shrunk = repeated(volume, np.random.default_rng(1), 0.0, warp=lambda world: world / 0.8)
    assert (shrunk.array > 600).sum() == pytest.approx(
        (volume.array > 600).sum() * 0.8**3, rel=0.05
    )
