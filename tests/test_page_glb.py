"""A surface written as binary glTF is the same surface, upright and facing the reader."""

import json
import struct

import numpy as np
import pytest
from skimage.measure import marching_cubes

from assistant.page.glb import Surface, write_glb


def surface(name="left"):
    """A ball of 10 mm around (30, -20, 5), its outside counter-clockwise."""
    grid = np.stack(np.meshgrid(*[np.arange(-14.0, 15.0)] * 3, indexing="ij"))
    points, faces, _, _ = marching_cubes(10 - np.linalg.norm(grid, axis=0), 0.0)
    return Surface(name, points - 14 + np.array([30.0, -20.0, 5.0]), faces, (1.0, 0.5, 0.0))


def parsed(data):
    """Read a file back by the specification alone: its table, and its arrays by accessor."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert (kind, size % 4) == (b"JSON", 0)
    table = json.loads(data[20 : 20 + size])
    rest = data[20 + size :]
    binary = rest[8:]
    assert not rest or struct.unpack_from("<I4s", rest) == (len(binary), b"BIN\0")
    arrays = []
    for accessor in table.get("accessors", []):
        view = table["bufferViews"][accessor["bufferView"]]
        kind, width = {"VEC3": ("<f4", 3), "SCALAR": ("<u4", 1)}[accessor["type"]]
        part = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        arrays.append(np.frombuffer(part, kind).reshape(-1, width))
        assert len(arrays[-1]) == accessor["count"]
    return table, arrays


def volume(points, faces):
    """The signed volume inside a surface: positive where its outside is counter-clockwise."""
    a, b, c = (points[faces[:, n]] for n in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_right_front_and_head_become_left_front_and_up_in_metres():
    _, (points, _) = parsed(write_glb([surface()]))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert np.allclose(middle, [-0.030, 0.005, -0.020], atol=1e-4)


def test_the_outside_of_a_surface_stays_its_outside():
    drawn = surface()
    _, (points, corners) = parsed(write_glb([drawn]))
    expected = volume(drawn.points, drawn.faces)
    found = volume(points.astype(np.float64), corners.reshape(-1, 3)) * 1000**3
    assert found == pytest.approx(expected, rel=1e-4)
    assert abs(expected) == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.02)


def test_the_bounds_that_viewers_place_the_camera_by_are_those_of_the_points():
    table, (points, _) = parsed(write_glb([surface()]))
    assert np.allclose(table["accessors"][0]["min"], points.min(axis=0))
    assert np.allclose(table["accessors"][0]["max"], points.max(axis=0))


def test_each_surface_keeps_its_name_and_its_colour():
    table, arrays = parsed(write_glb([surface("left"), surface("right")]))
    assert [node["name"] for node in table["nodes"]] == ["left", "right"]
    colours = [m["pbrMetallicRoughness"]["baseColorFactor"] for m in table["materials"]]
    assert colours == [[1.0, 0.5, 0.0, 1.0]] * 2
    assert len(arrays) == 4


def test_a_surface_without_a_face_is_left_out_and_a_scene_may_be_empty():
    nothing = Surface("left", np.zeros((0, 3)), np.zeros((0, 3), np.int32), (1.0, 1.0, 1.0))
    table, arrays = parsed(write_glb([nothing]))
    assert table["scenes"] == [{"nodes": []}]
    assert arrays == []
