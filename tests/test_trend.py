"""A robust slope, against scipy's own and against straight lines."""

import math

import numpy as np
import pytest
from scipy.stats import theilslopes

from assistant.ledger import evaluate
from segment.trend import slope, slope_expression, slope_reach

DAYS = [0, 400, 700, 1500, 1800]
VOLUMES = [3.2, 3.1, 3.15, 2.8, 2.9]


def test_the_slope_is_that_of_scipy():
    expected = theilslopes(VOLUMES, np.array(DAYS) / 365.25).slope / VOLUMES[0] * 100
    assert slope(DAYS, VOLUMES) == pytest.approx(expected)


def test_the_expression_gives_the_slope():
    ids = [f"m{n}" for n in range(1, 6)]
    found = evaluate(slope_expression(DAYS, ids), dict(zip(ids, VOLUMES, strict=True)))
    assert found == pytest.approx(slope(DAYS, VOLUMES), rel=1e-12)


def test_one_wild_volume_hardly_moves_the_slope():
    line = [3 - day / 10000 for day in DAYS]
    wild = [*line[:2], 5.0, *line[3:]]
    assert slope(DAYS, wild) == pytest.approx(slope(DAYS, line), rel=0.3)
    assert np.polyfit(DAYS, wild, 1)[0] != pytest.approx(np.polyfit(DAYS, line, 1)[0], rel=0.3)


def test_of_two_dates_the_reach_is_that_of_a_difference():
    below, above = slope_reach([0, 36525], [3.0, 3.0], [0.01, 0.01], 0.9)
    expected = 1.645 * math.sqrt(2) * 0.01
    assert (-below, above) == pytest.approx((expected, expected), rel=0.05)


def test_the_reach_is_the_same_in_every_run():
    assert slope_reach(DAYS, VOLUMES, [0.01] * 5, 0.9) == slope_reach(
        DAYS, VOLUMES, [0.01] * 5, 0.9
    )


def test_two_visits_on_one_day_have_no_slope():
    with pytest.raises(ValueError, match="a day of its own"):
        slope([0, 10, 10], [3.0, 3.0, 3.0])
