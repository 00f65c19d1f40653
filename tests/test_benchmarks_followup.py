"""The deformation that stands for a true change makes a body exactly as much larger as it says."""

import numpy as np
import pytest

from segment.deform import Deformation
from tests.benchmarks.followup import by_subject, within_binomial

MIDDLE, SEMI_AXES_MM = np.array([1.0, -2.0, 0.5]), np.array([6.0, 16.0, 8.0])


def points_around(edge_mm):
    """Lay a grid of points around an ellipsoid; tell which lie in it."""
    reach = SEMI_AXES_MM + 3
    axes = [np.arange(-r, r, edge_mm) + m for r, m in zip(reach, MIDDLE, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points, inside(points)


def inside(points):
    return (((points - MIDDLE) / SEMI_AXES_MM) ** 2).sum(axis=1) <= 1


@pytest.mark.parametrize("ratio", [0.95, 1.05])
def test_a_deformed_body_is_larger_by_its_ratio(ratio):
    coarse, is_in = points_around(1.0)
    change = Deformation.growing(coarse[is_in], ratio)
    fine, was_in = points_around(0.4)
    assert inside(change.back(fine)).sum() / was_in.sum() == pytest.approx(ratio, abs=0.005)


def test_a_point_comes_back_to_where_it_was():
    points, _ = points_around(3.0)
    change = Deformation(MIDDLE, 0.02)
    assert np.allclose(change.back(change.forward(points)), points, atol=1e-6)


def test_the_interval_of_a_share_is_the_exact_one():
    assert within_binomial(0, 100)[1] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert within_binomial(5, 100) == pytest.approx((0.0164, 0.1128), abs=1e-3)


def test_a_bound_over_subjects_is_wider_where_one_subject_has_all_hits():
    alone = [(1, True)] * 10 + [(n, False) for n in range(2, 20) for _ in range(10)]
    spread = [(n, k == 0) for n in range(1, 11) for k in range(10)]
    spread += [(n, False) for n in range(11, 20) for _ in range(10)]
    assert by_subject(alone) > by_subject(spread)
