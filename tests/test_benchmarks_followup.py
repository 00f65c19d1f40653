"""The deformation that stands for a true change makes a body exactly as much larger as it says."""

import numpy as np
import pytest

from segment.deform import Deformation
from tests.benchmarks.followup import by_subject, within_binomial
from tests.phantoms import ellipsoid, grid


@pytest.mark.parametrize("ratio", [0.95, 1.05])
def test_a_deformed_body_is_larger_by_its_ratio(ratio):
    phantom = ellipsoid(grid((1.0, 1.0, 1.0), field_mm=60), (6.0, 16.0, 8.0), (1.0, -2.0, 0.5))
    geometry = phantom.geometry
    inside = geometry.to_world(np.argwhere(phantom.mask)[::7].astype(np.float64))
    change = Deformation.growing(inside, ratio)
    world = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T.astype(np.float64))
    distance = (change.back(world) - (1.0, -2.0, 0.5)) / (6.0, 16.0, 8.0)
    grown = ((distance**2).sum(axis=1) <= 1).sum()
    assert grown / phantom.mask.sum() == pytest.approx(ratio, abs=0.01)


def test_the_interval_of_a_share_is_the_exact_one():
    assert within_binomial(0, 100)[1] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert within_binomial(5, 100) == pytest.approx((0.0164, 0.1128), abs=1e-3)


def test_a_bound_over_subjects_is_wider_where_one_subject_has_all_hits():
    alone = [(1, True)] * 10 + [(n, False) for n in range(2, 20) for _ in range(10)]
    spread = [(n, k == 0) for n in range(1, 11) for k in range(10)]
    spread += [(n, False) for n in range(11, 20) for _ in range(10)]
    assert by_subject(alone) > by_subject(spread)
