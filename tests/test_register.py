"""A head is found in any orientation, or it is said that it was not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from assistant.study import read_sample
from segment.geometry import Geometry
from segment.measurement import Reason
from segment.register import Registration, doubt, register, template
from segment.register.pair import align
from segment.register.pair import doubt as pair_doubt
from segment.resample import sample
from segment.volume import Volume

GOOD = Registration(np.eye(4), similarity=0.8, inside=1.0)
POINTS = np.array([[-24.0, -22.0, -10.5, 1.0], [24.0, -22.0, -10.5, 1.0]])


def scaled(*factors):
    return replace(GOOD, template_to_scan=np.diag([*factors, 1.0]))


def turned(degrees):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return replace(GOOD, template_to_scan=affine)


@pytest.mark.parametrize("found", [GOOD, scaled(0.85, 0.85, 0.8), turned(20), turned(95)])
def test_a_plausible_registration_is_trusted(found):
    assert doubt(found) is None


@pytest.mark.parametrize(
    "found",
    [
        replace(GOOD, similarity=0.4),
        scaled(0.7, 0.7, 0.7),
        scaled(1.3, 1.3, 1.3),
        scaled(0.6, 0.9, 0.9),
        scaled(1.4, 1.1, 1.1),
        scaled(1.2, 1.2, 0.85),
        scaled(-1.0, 1.0, 1.0),
    ],
    ids=["dissimilar", "small", "large", "squeezed", "stretched", "askew", "mirrored"],
)
def test_an_implausible_registration_is_not_trusted(found):
    assert doubt(found) is Reason.REGISTRATION_UNTRUSTED


def test_a_head_on_its_crown_is_an_implausible_orientation():
    assert doubt(turned(170)) is Reason.ORIENTATION_IMPLAUSIBLE


def test_a_box_is_laid_around_its_point_without_scaling():
    found = scaled(0.8, 0.8, 0.8)
    box = found.box((-24.0, -22.0, -10.5), (40, 56, 40))
    assert np.allclose(box.centre_mm, 0.8 * np.array([-24.0, -22.0, -10.5]))
    assert np.allclose(box.spacing_mm, 1)


@pytest.mark.slow
def test_a_turned_head_is_found_where_it_was_turned_to():
    head = template()
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("x", 60, degrees=True).as_matrix()
    there = np.eye(4)
    there[:3, 3] = head.geometry.centre_mm - 120
    grid = Geometry((241, 241, 241), motion @ there)
    moved = Volume(sample(head, grid)[0], Geometry((241, 241, 241), there), "turned")
    found = register(moved)
    expected = POINTS @ np.linalg.inv(motion).T
    assert doubt(found) is None
    assert np.abs(POINTS @ found.template_to_scan.T - expected).max() < 2


@pytest.mark.slow
def test_the_same_head_is_found_at_the_same_bits():
    head = template()
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
    grid = Geometry((95, 110, 90), tilt @ head.geometry.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))
    noise = np.random.default_rng(0).normal(0, 0.05, grid.shape).astype(np.float32)
    read = sample(head, grid)[0]
    tilted = Volume(read + noise * read.std(), Geometry(grid.shape, head.geometry.affine), "tilted")
    found = [register(tilted).template_to_scan.tobytes() for _ in range(3)]
    assert len(set(found)) == 1


@pytest.mark.slow
def test_a_head_flipped_by_a_lying_header_is_withheld():
    head = template()
    flipped = Volume(np.ascontiguousarray(head.array[:, :, ::-1]), head.geometry, "flipped")
    assert doubt(register(flipped)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("times", [1.0, 0.98, 1.02])
def test_a_head_of_another_size_is_measured_as_such(times):
    volume = read_sample().volume
    affine = np.array(volume.geometry.affine)
    affine[:3, :3] *= times
    larger = replace(volume, geometry=replace(volume.geometry, affine=affine))
    alignment = align((volume, larger), (register(volume), register(larger)))
    assert alignment.growth == pytest.approx(times**3, abs=0.012)
    assert (pair_doubt(alignment) is None) is (times == 1.0)


@pytest.mark.slow
def test_noise_is_no_head():
    rng = np.random.default_rng(0)
    array = rng.normal(100, 20, (160, 160, 160)).astype(np.float32)
    grid = Geometry((160, 160, 160), np.diag([1.2, 1.2, 1.2, 1.0]))
    assert doubt(register(Volume(array, grid, "noise"))) is Reason.REGISTRATION_UNTRUSTED
