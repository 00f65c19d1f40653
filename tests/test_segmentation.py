"""A segmentation is probabilities that make sense, and says what they mean."""

import dataclasses

import numpy as np
import pytest

from segment.segmentation import Segmentation
from tests.phantoms import STRUCTURES, ball, grid, segmentation_of


@pytest.fixture
def segmentation():
    return segmentation_of(ball(grid(field_mm=20), 6), members=2)


def test_labels_are_the_most_probable_structure(segmentation):
    expected = np.argmax(np.asarray(segmentation.probability)[0], axis=0)
    assert np.array_equal(segmentation.labels, expected)
    assert set(np.unique(segmentation.labels)) == {0, 1, 2}


def test_a_mask_of_two_structures_is_their_union(segmentation):
    anterior = segmentation.mask("hippocampus anterior")
    posterior = segmentation.mask("hippocampus posterior")
    assert not (anterior & posterior).any()
    assert np.array_equal(segmentation.mask(*STRUCTURES[1:]), anterior | posterior)


def test_a_mask_of_an_unknown_structure_is_refused(segmentation):
    with pytest.raises(ValueError, match="not in"):
        segmentation.mask("spleen")


def test_members_may_disagree_and_the_mean_decides(segmentation):
    probability = np.zeros((3, 3, 20, 20, 20), np.float32)
    probability[0, 1], probability[1, 1], probability[2, 2] = 1, 1, 1
    mixed = dataclasses.replace(segmentation, probability=probability)
    assert (mixed.labels == 1).all()
    assert [np.unique(member).tolist() for member in mixed.member_labels] == [[1], [1], [2]]
    assert mixed.mean[1] == pytest.approx(2 / 3)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_another_grid_is_refused(segmentation, axis):
    cut = np.take(segmentation.probability, range(10), axis=axis)
    with pytest.raises(ValueError, match="has shape"):
        dataclasses.replace(segmentation, probability=cut)


def test_another_number_of_structures_is_refused(segmentation):
    with pytest.raises(ValueError, match="has shape"):
        dataclasses.replace(segmentation, structures=STRUCTURES[:2])


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_probabilities_that_do_not_sum_to_one_are_refused(segmentation, factor):
    scaled = (segmentation.probability * factor).astype(np.float32)
    with pytest.raises(ValueError, match="not 1"):
        dataclasses.replace(segmentation, probability=scaled)


def test_one_member_that_does_not_sum_to_one_is_refused(segmentation):
    probability = segmentation.probability.copy()
    probability[1, :, 3, 4, 5] = 0
    with pytest.raises(ValueError, match="not 1"):
        dataclasses.replace(segmentation, probability=probability)


def test_probabilities_are_read_only(segmentation):
    with pytest.raises(ValueError, match="read-only"):
        segmentation.probability[0, 0, 0, 0, 0] = 1


def test_probabilities_of_the_wrong_rank_are_caught_at_the_border():
    geometry = grid(field_mm=4)
    with pytest.raises(Exception, match="member structure i j k"):
        Segmentation(np.ones((1, 4, 4, 4), np.float32), ("a",), "none", geometry, "x")
