"""Each fault does to a picture what its physics says, in proportion to its strength."""

import numpy as np
import pytest
from scipy.special import j0, j1

from assistant.readers.siglip.artefacts import (
    CLIPPED_SHARE,
    LOWEST_RESOLUTION,
    MAKE,
    NOISE_SHARE,
    bias_field,
    can_have,
    clipping,
    ghosted,
    low_resolution,
    motion,
    noise,
)
from assistant.readers.siglip.facts import ARTEFACTS, KINDS

SIDE = 96


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def grey(rng):
    """A bright disc with some texture on black."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    disc = (rows**2 + columns**2 < 30**2) * rng.uniform(0.4, 1.0, (SIDE, SIDE))
    return disc.astype(np.float32)


def test_every_fault_can_be_made():
    assert tuple(MAKE) == ARTEFACTS


@pytest.mark.parametrize("name", ARTEFACTS)
def test_strength_0_leaves_a_picture_as_it_is(name, grey, rng):
    assert np.array_equal(MAKE[name](grey, 0.0, rng, (1.0, 1.0)), grey)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_stronger_fault_changes_more(name, grey):
    weak, strong = (
        np.abs(MAKE[name](grey, s, np.random.default_rng(1), (1.0, 1.0)) - grey).mean()
        for s in (0.3, 0.9)
    )
    assert 0 < weak < strong


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_fault_keeps_the_pictures_size_and_type(name, grey, rng):
    found = MAKE[name](grey[:, :80], 0.7, rng, (2.3, 1.1))
    assert (found.shape, found.dtype) == ((SIDE, 80), np.float32)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_ghosts_stand_at_the_length_over_the_period(axis):
    point = np.zeros((SIDE, SIDE), np.float32)
    point[10, 20] = 1.0
    found = np.moveaxis(ghosted(point, 0.8, 8, axis), axis, 0)
    line = found[:, 20 if axis == 0 else 10]
    start = 10 if axis == 0 else 20
    assert line[start] == pytest.approx(j0(0.8), abs=1e-4)
    assert line[(start + SIDE // 8) % SIDE] == pytest.approx(j1(0.8), abs=1e-4)
    assert line[(start - SIDE // 8) % SIDE] == pytest.approx(j1(0.8), abs=1e-4)


def test_motion_neither_adds_nor_loses_energy(grey, rng):
    found = motion(grey, 1.0, rng)
    assert (found**2).sum() == pytest.approx((grey**2).sum(), rel=1e-4)


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_noise_in_the_air_is_of_rayleighs_mean(strength, rng):
    found = noise(np.zeros((SIDE, SIDE), np.float32), strength, rng)
    assert found.mean() == pytest.approx(strength * NOISE_SHARE * np.sqrt(np.pi / 2), rel=0.03)


def test_noise_on_bright_tissue_has_the_stated_deviation(rng):
    found = noise(np.ones((SIDE, SIDE), np.float32), 0.5, rng)
    assert found.std() == pytest.approx(0.5 * NOISE_SHARE, rel=0.05)


def test_the_grain_of_noise_is_the_scans_voxel(rng):
    found = noise(np.ones((SIDE, SIDE), np.float32), 0.5, rng, (4.0, 1.0))
    down, right = (np.abs(np.diff(found, axis=axis)).mean() for axis in (0, 1))
    assert down < right / 2


@pytest.mark.parametrize("native_px", [1.0, 3.0])
def test_low_resolution_leaves_nothing_above_the_cut(native_px, rng):
    smooth = np.full((SIDE, SIDE), 5.0) + rng.normal(0, 0.5, (SIDE, SIDE))
    found = low_resolution(smooth.astype(np.float32), 0.6, rng, (native_px, native_px))
    spectrum = np.abs(np.fft.fft2(found))
    cut = 0.5 / ((1 + 0.6 * (LOWEST_RESOLUTION - 1)) * native_px)
    above = np.abs(np.fft.fftfreq(SIDE)) > cut
    assert spectrum[above].max() < 1e-4 * spectrum[0, 0]
    assert spectrum[np.ix_(~above, ~above)].min() > 1e-4 * spectrum[0, 0]


def test_a_bias_field_spans_its_range_and_is_smooth(rng):
    field = np.log(bias_field(np.ones((SIDE, SIDE), np.float32), 0.7, rng))
    assert (field.min(), field.max()) == pytest.approx((-0.7, 0.7), abs=1e-5)
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 0.1


def test_a_bias_field_leaves_the_air_black(grey, rng):
    assert (bias_field(grey, 1.0, rng)[grey == 0] == 0).all()


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_clipping_saturates_the_stated_share_of_the_tissue(strength, grey, rng):
    found = clipping(grey, strength, rng)
    tissue = grey > 0.05
    assert (found[tissue] == found.max()).mean() == pytest.approx(
        strength * CLIPPED_SHARE, abs=0.01
    )
    assert np.array_equal(found[found < found.max()], grey[found < found.max()])


def test_clipping_of_a_black_picture_is_black(rng):
    assert clipping(np.zeros((8, 8), np.float32), 1.0, rng).max() == 0


def test_ct_has_no_ghosts_and_no_coils():
    lacking = {(kind, a) for kind in KINDS for a in ARTEFACTS if not can_have(kind, a)}
    assert lacking == {("ct", "motion"), ("ct", "bias_field")}
