"""The federated interval follows from counts alone, and is never narrower than the pooled one."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from segment import quantiles
from segment.crossfit import read_judged, score
from segment.federated.sketch import (
    BINS,
    LARGEST,
    WIDTH,
    Sketch,
    joined,
    more_cases,
    reach,
    sketch,
    volume_interval,
)
from segment.models import calibrated, place
from segment.models.training.plan import subject_of

SITES = (0.1, 0.2, 0.3, 0.4)  # shares of the subjects
SCORES = st.lists(st.floats(-9.9, 9.9), min_size=60, max_size=200)
RARE = 0.001
PART = "hippocampus"


@given(SCORES)
def test_an_interval_from_sketches_is_the_pooled_one_widened_by_a_bin_at_most(scores):
    below, above = quantiles.reach(scores, 0.9)
    found = reach(joined([sketch(scores[:20]), sketch(scores[20:])]), 0.9)
    assert below - WIDTH - 1e-9 <= found[0] <= below
    assert above <= found[1] <= above + WIDTH + 1e-9


@given(SCORES, st.integers(0, 60))
def test_it_does_not_matter_who_has_which_score(scores, cut):
    assert joined([sketch(scores[:cut]), sketch(scores[cut:])]) == sketch(scores)


def test_a_sketch_holds_every_score_once():
    assert sketch([-99.0, -LARGEST, 0.0, 0.0, LARGEST, 99.0]).n == 6


def test_an_interval_holds_its_value_and_states_its_coverage():
    found = volume_interval(3.0, 0.1, sketch([1.0] * 40), 0.9)
    assert found.lower == 3.0
    assert found.upper == pytest.approx(3.0 * math.exp(0.1))
    assert found.coverage == 0.9


def test_too_few_scores_of_all_sites_get_no_interval():
    few = joined([sketch([0.1] * 10), sketch([0.2] * 8)])
    assert more_cases(few, 0.9) == 1
    with pytest.raises(
        ValueError, match=r"coverage 0\.95 needs 19 calibration cases, there are 18"
    ):
        reach(few, 0.9)


def test_a_quantile_beyond_the_grid_is_refused():
    with pytest.raises(ValueError, match="expected scores within 10 u, found the quantile beyond"):
        reach(sketch([99.0] * 40), 0.9)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="expected finite scores"):
        sketch([0.0, math.nan])


@pytest.mark.parametrize("counts", [(1, 2), (0,) * (BINS - 1) + (-1,)])
def test_counts_of_another_grid_are_refused(counts):
    with pytest.raises(ValueError, match=f"expected {BINS} counts of 0 or more"):
        Sketch(counts)


@pytest.fixture(scope="module")
def subjects():
    """Each subject's out-of-fold cases of the shipped networks, at 1 mm."""
    cases = [
        case
        for case in read_judged(Path(str(place("unet").joinpath("cases.csv"))))
        if case.structure == PART and case.thickness_mm == 1
    ]
    return list({subject_of(case.case): case for case in cases}.values())


def test_real_volumes_lie_in_federated_intervals_as_often_as_stated(subjects):
    rng = np.random.default_rng(9)
    order = [subjects[i] for i in rng.permutation(len(subjects))]
    ends = np.round(np.cumsum(SITES) * len(order)).astype(int)
    sites = [order[a:b] for a, b in zip((0, *ends), ends, strict=False)]
    floor = calibrated("unet").floor[PART]
    told = joined([sketch([score(c, floor) for c in site[::2]]) for site in sites])
    below, above = reach(told, 0.8)
    for site in sites:
        unseen = [score(case, floor) for case in site[1::2]]
        assert _is_in_band(sum(below <= s <= above for s in unseen), len(unseen), told.n, 0.8)


def _is_in_band(held, n, calibrated_on, coverage):
    """Whether so many of n held is no rarer than RARE on either side (beta-binomial).

    A bin on each side makes coverage a little larger, never smaller.
    """
    rank = quantiles.conformal_rank(calibrated_on, (1 + coverage) / 2)
    inside = 2 * rank - calibrated_on - 1
    band = betabinom(n, inside, calibrated_on + 1 - inside)
    return band.ppf(RARE) <= held <= band.ppf(1 - RARE)
