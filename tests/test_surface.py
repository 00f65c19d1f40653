"""A surface encloses the structure's volume, in its place, and comes back from every format."""

import io
import json
import math
import struct

import numpy as np
import pytest
import trimesh

from segment.surface import Surface, lead, surface_of
from segment.surface_file import FORMATS, colours, surface_bytes
from tests.phantoms import ball, grid, segmentation_of, world_of

CENTRE = (30.0, -20.0, 5.0)
GRIDS = {
    "1 mm": {},
    "anisotropic": {"spacing_mm": (0.8, 1.0, 1.6)},
    "oblique": {"spacing_mm": (0.9, 1.1, 1.3), "axes": "PSL", "rotation_deg": (10, 20, 30)},
    "mirrored": {"axes": "LAS"},
    "sheared": {"shear": 0.3, "axes": "LPS"},
}
every_grid = pytest.mark.parametrize("options", GRIDS.values(), ids=GRIDS)


def field_of(geometry, radius_mm, *, is_mask=False):
    """Lead of a ball around CENTRE: 0 on its surface, in steps of 1 or blurred."""
    depth_mm = radius_mm - np.linalg.norm(world_of(geometry) - CENTRE, axis=-1)
    field = np.sign(depth_mm) if is_mask else np.tanh(depth_mm / 1.5)
    return field.astype(np.float32)


def ball_ml(radius_mm):
    return 4 / 3 * math.pi * radius_mm**3 / 1000


def surface(name="left", **options):
    geometry = grid(centre_mm=CENTRE, **options)
    return surface_of(name, field_of(geometry, 10), geometry)


def loaded(data, kind):
    return trimesh.load(io.BytesIO(data), file_type=kind)


@every_grid
def test_the_surface_of_a_blurred_ball_encloses_its_volume(options):
    drawn = surface(**options)
    assert drawn.is_watertight
    assert drawn.volume_ml == pytest.approx(ball_ml(10), rel=0.01)


@every_grid
def test_the_surface_of_a_mask_encloses_what_its_voxels_do(options):
    geometry = grid(centre_mm=CENTRE, **options)
    field = field_of(geometry, 15, is_mask=True)
    drawn = surface_of("mask", field, geometry)
    counted_ml = np.count_nonzero(field > 0) * geometry.voxel_volume_mm3 / 1000
    assert drawn.is_watertight
    assert drawn.volume_ml == pytest.approx(counted_ml, rel=0.01)
    assert drawn.volume_ml == pytest.approx(ball_ml(15), rel=0.02)


@every_grid
def test_every_point_lies_on_the_ball(options):
    drawn = surface(**options)
    away_mm = np.linalg.norm(drawn.points - CENTRE, axis=1)
    assert away_mm.min() > 9.7
    assert away_mm.max() < 10.15


def test_a_box_keeps_its_volume_and_loses_its_edges_alone():
    geometry = grid()
    size = np.abs(world_of(geometry)) <= (10, 8, 6)
    field = np.where(size.all(axis=-1), 1, -1).astype(np.float32)
    drawn = surface_of("box", field, geometry)
    assert drawn.volume_ml == pytest.approx(20 * 16 * 12 / 1000, rel=0.01)
    assert np.ptp(drawn.points, axis=0) == pytest.approx([20, 16, 12], abs=0.3)


def test_smoothing_flattens_steps_without_shrinking():
    geometry = grid(centre_mm=CENTRE)
    field = field_of(geometry, 10, is_mask=True)
    rough, smooth = (surface_of("x", field, geometry, passes=n) for n in (0, 10))
    assert smooth.volume_ml == pytest.approx(rough.volume_ml, rel=0.005)
    spread = [np.linalg.norm(one.points - CENTRE, axis=1).std() for one in (rough, smooth)]
    assert spread[1] < 0.75 * spread[0]


@pytest.mark.parametrize("half_mm", [(24, 3, 2), (9, 8, 3), (14, 14, 1.5)], ids=str)
def test_smoothing_takes_nothing_from_what_is_thin(half_mm):
    geometry = grid((3.0, 3.0, 3.0), field_mm=60.0)
    thin = (np.abs(world_of(geometry)) / half_mm <= 1).all(axis=-1)
    field = np.where(thin, 1, -1).astype(np.float32)
    rough, smooth = (surface_of("x", field, geometry, passes=n) for n in (0, 10))
    assert smooth.is_watertight
    assert smooth.volume_ml == pytest.approx(rough.volume_ml, rel=0.001)
    moved_mm = np.linalg.norm(smooth.points - rough.points, axis=1)
    assert moved_mm.max() < 1.5  # half a voxel


def test_a_structure_that_leaves_the_field_has_an_open_surface_and_no_volume():
    geometry = grid(field_mm=40.0)
    mask = ball(geometry, 10, centre_mm=(15.0, 0.0, 0.0)).mask
    drawn = surface_of("cut", np.where(mask, 1, -1).astype(np.float32), geometry)
    assert len(drawn.faces) > 0
    assert not drawn.is_watertight
    assert drawn.volume_ml is None


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_of_a_field_that_leads_nowhere_there_is_no_surface(value):
    drawn = surface_of("none", np.full((4, 4, 4), value, np.float32), grid(field_mm=4))
    assert len(drawn.faces) == 0
    assert not drawn.is_watertight
    assert drawn.volume_ml is None


@pytest.mark.parametrize("names", [(1,), (2,), (1, 2)], ids=str)
def test_a_structure_leads_exactly_where_it_is_counted(names):
    rng = np.random.default_rng(0)
    probability = rng.dirichlet((1, 1, 1), size=(7, 8, 9)).astype(np.float32)
    probability = np.moveaxis(probability, -1, 0)
    expected = np.isin(probability.argmax(axis=0), names)
    assert np.array_equal(lead(probability, names) > 0, expected)


def test_a_segmentation_and_its_surface_agree():
    phantom = ball(grid((1.0, 1.2, 0.9), axes="PSL"), 12)
    segmentation = segmentation_of(phantom)
    drawn = surface_of("both", lead(segmentation.mean, (1, 2)), phantom.geometry)
    assert drawn.volume_ml == pytest.approx(phantom.volume_ml, rel=0.02)


def test_uncertainty_is_read_where_the_points_are_whatever_its_grid():
    other = grid((2.0, 1.5, 1.0), centre_mm=CENTRE, axes="ALS")
    ramp = np.clip((world_of(other)[..., 0] - 10) / 40, 0, 1).astype(np.float32)
    drawn = surface().uncertain(ramp, other)
    assert drawn.uncertainty == pytest.approx((drawn.points[:, 0] - 10) / 40, abs=1e-5)


def test_colours_run_from_violet_to_yellow():
    assert colours(np.array([0.0, 1.0])).tolist() == [[68, 1, 84], [253, 231, 37]]
    green = colours(np.linspace(0, 1, 50))[:, 1].astype(int)
    assert (np.diff(green) >= 0).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_surface_back(kind):
    drawn = surface()
    read = loaded(surface_bytes([drawn], kind), kind)
    mesh = read.to_geometry() if isinstance(read, trimesh.Scene) else read
    scale = 1000 if kind == "glb" else 1
    assert len(mesh.faces) == len(drawn.faces)
    assert mesh.volume * scale**3 / 1000 == pytest.approx(drawn.volume_ml, rel=1e-4)
    expected = [-0.030, 0.005, -0.020] if kind == "glb" else CENTRE
    assert mesh.bounds.mean(axis=0) == pytest.approx(expected, abs=0.1 / scale)


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_and_what_has_no_triangle_make_a_whole_file(kind):
    nothing = Surface("none", np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    assert surface_bytes([nothing], kind) == surface_bytes([], kind)


def table_of(data):
    """Read the table of a GLB by its specification alone."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert (kind, size % 4) == (b"JSON", 0)
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def test_a_scene_keeps_names_and_is_of_no_metal():
    table, _ = table_of(surface_bytes([surface("left"), surface("right")], "glb"))
    assert [node["name"] for node in table["nodes"]] == ["left", "right"]
    used = {p["material"] for mesh in table["meshes"] for p in mesh["primitives"]}
    assert [table["materials"][n]["pbrMetallicRoughness"]["metallicFactor"] for n in used] == [0]


def test_glb_colours_are_linear_light_and_obj_colours_are_not():
    sure = np.zeros((4, 4, 4), np.float32)
    drawn = surface().uncertain(sure, grid(field_mm=4))
    table, binary = table_of(surface_bytes([drawn], "glb"))
    (primitive,) = table["meshes"][0]["primitives"]
    view = table["bufferViews"][
        table["accessors"][primitive["attributes"]["COLOR_0"]]["bufferView"]
    ]
    first = np.frombuffer(binary, np.uint8, 3, view["byteOffset"])
    assert first.tolist() == [15, 0, 23]  # of sRGB 68, 1, 84
    line = next(x for x in surface_bytes([drawn], "obj").splitlines() if x.startswith(b"v "))
    shown = [float(word) * 255 for word in line.split()[4:]]
    assert shown == pytest.approx([68, 1, 84], abs=0.1)
