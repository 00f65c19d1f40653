"""Lesions blended into a head lie in healthy tissue, look as was learned, and are known exactly."""

import numpy as np
import pytest
from scipy import ndimage

from segment.synthetic_lesions import (
    APART,
    SHIFT,
    SMALLEST,
    Head,
    blended,
    crops,
    learned,
    placed,
)

SHAPE = (48, 56, 44)
CONTRASTS = np.array([[-0.3, 0.4]])
REAL = np.s_[12:16, 20:24, 20:24]


def rng(seed=0):
    return np.random.default_rng(seed)


def head(noise=0.02, seed=1):
    """A head of two sequences, even tissue with fluid in its middle and one lesion in it."""
    tissue = np.zeros(SHAPE, bool)
    tissue[4:-4, 4:-4, 4:-4] = True
    tissue[22:26] = False
    lesions = np.zeros(SHAPE, bool)
    lesions[REAL] = True
    sequences = np.where(tissue, 1.0, 0.3) + rng(seed).normal(0, noise, (2, *SHAPE))
    sequences += lesions * CONTRASTS[0][:, None, None, None]
    return Head(sequences.astype(np.float32), lesions, tissue)


def mask_of(*boxes):
    mask = np.zeros(SHAPE, bool)
    for box in boxes:
        mask[box] = True
    return mask


FAR = np.s_[34:39, 30:36, 20:26]


def test_the_looks_of_a_lesion_are_learned_from_the_head():
    look = learned(head())
    assert look.contrasts == pytest.approx(CONTRASTS, abs=0.02)
    assert look.spread == pytest.approx([0.02, 0.02], abs=0.005)


def test_a_head_without_lesions_teaches_nothing_and_says_so():
    bare = Head(head().sequences, np.zeros(SHAPE, bool), head().tissue)
    with pytest.raises(ValueError, match=r"^expected a lesion of 5 voxels or more, found none; "):
        learned(bare)


def test_a_mask_of_another_shape_than_the_sequences_is_refused():
    one = head()
    with pytest.raises(ValueError, match=r"^expected lesions and tissue on the grid"):
        Head(one.sequences, one.lesions[1:], one.tissue)


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_is_placed_in_healthy_tissue_alone_and_apart_from_lesions(seed):
    one = head()
    everywhere = placed(np.ones(SHAPE, bool), one, rng(seed))
    near = ndimage.binary_dilation(one.lesions, np.ones((3, 3, 3)), iterations=APART)
    assert everywhere.any()
    assert not (everywhere & near).any()
    assert not (everywhere & ~one.tissue).any()


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_moves_a_little_or_to_the_other_side(seed):
    mask = mask_of(FAR)
    found = np.argwhere(placed(mask, head(), rng(seed))).mean(axis=0)
    same, other = (np.argwhere(one).mean(axis=0) for one in (mask, mask[::-1]))
    apart = min(np.abs(found - centre).max() for centre in (same, other))
    assert apart <= SHIFT + 3  # where a lesion of the head or the edge takes a part of it away


def test_what_is_too_small_is_left_out():
    speck = mask_of(np.s_[34:36, 30:31, 20:21])
    assert speck.sum() < SMALLEST
    assert not placed(speck, head(), rng()).any()


def test_the_inside_of_a_synthetic_lesion_differs_from_tissue_as_was_learned():
    one, mask = head(), mask_of(FAR)
    made = blended(one, mask, learned(one), rng())
    inner = ndimage.binary_erosion(mask)
    gained = made.sequences[:, inner].mean(axis=1) - one.sequences[:, inner].mean(axis=1)
    ratio = gained / CONTRASTS[0]
    assert ratio[0] == pytest.approx(ratio[1], abs=0.1)  # one strength for all sequences
    assert 0.7 < ratio.mean() < 1.5


def test_nothing_changes_far_from_a_synthetic_lesion_and_labels_are_both():
    one, mask = head(), mask_of(FAR)
    made = blended(one, mask, learned(one), rng())
    far = ~ndimage.binary_dilation(mask, iterations=6)
    assert np.array_equal(made.sequences[:, far], one.sequences[:, far])
    assert np.array_equal(made.lesions, one.lesions | mask)


def test_background_stays_background():
    one = head(noise=0.0)
    sequences = one.sequences.copy()
    sequences[:, 40:] = 0
    cut = Head(sequences, one.lesions, one.tissue)
    made = blended(cut, mask_of(FAR, np.s_[37:43, 30:36, 20:26]), learned(one), rng())
    assert not made.sequences[:, 40:].any()


def test_a_seed_decides_what_is_made():
    one, mask = head(), mask_of(FAR)
    made = [blended(one, placed(mask, one, g), learned(one), g) for g in map(rng, (3, 3, 4))]
    assert np.array_equal(made[0].sequences, made[1].sequences)
    assert not np.array_equal(made[0].sequences, made[2].sequences)


def test_crops_are_of_one_size_and_some_are_of_lesions():
    found = crops(head(), (16, 18, 16), 40, rng())
    assert {image.shape for image, _ in found} == {(2, 16, 18, 16)}
    assert {label.shape for _, label in found} == {(16, 18, 16)}
    assert 10 < sum(bool(label.any()) for _, label in found) < 40


def test_crops_of_a_head_without_lesions_are_of_tissue():
    one = head()
    bare = Head(one.sequences, np.zeros(SHAPE, bool), one.tissue)
    assert len(crops(bare, (8, 8, 8), 3, rng())) == 3
