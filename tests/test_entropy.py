"""Maps of uncertainty against formulas and scipy."""

import numpy as np
import pytest
from scipy.stats import entropy as entropy_of

from assistant.entropy import entropy, mutual_information
from segment.segmentation import Segmentation
from tests.phantoms import STRUCTURES, grid


def segmentation_of(*members):
    """Give every voxel of a small grid the same probabilities, a row a member."""
    geometry = grid((10.0, 10.0, 10.0), field_mm=20.0)
    probability = np.broadcast_to(
        np.array(members, np.float32)[..., None, None, None],
        (len(members), len(STRUCTURES), *geometry.shape),
    )
    return Segmentation(probability.copy(), STRUCTURES, "left", geometry, "test")


def test_networks_that_are_sure_of_different_structures_disagree_by_all_their_entropy():
    found = segmentation_of((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert entropy(found) == pytest.approx(1)
    assert mutual_information(found) == pytest.approx(1)


def test_networks_that_are_unsure_alike_do_not_disagree():
    found = segmentation_of((0.5, 0.5, 0), (0.5, 0.5, 0))
    assert entropy(found) == pytest.approx(np.log(2) / np.log(3))
    assert mutual_information(found) == pytest.approx(0, abs=1e-6)


def test_one_network_cannot_disagree():
    assert mutual_information(segmentation_of((0.2, 0.3, 0.5))) == pytest.approx(0, abs=1e-6)


def test_mutual_information_is_scipys_mean_divergence_from_the_mean():
    members = np.random.default_rng(0).dirichlet(np.ones(3), size=4)
    divergence = np.mean([entropy_of(member, members.mean(axis=0), base=3) for member in members])
    assert mutual_information(segmentation_of(*members)) == pytest.approx(divergence, abs=1e-5)
