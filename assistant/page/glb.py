"""Surfaces as binary glTF 2.0, which 3-D viewers open. Knows nothing of scans or structures.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 4.4 (GLB) and 3.4 (axes).
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

VERSION, JSON_CHUNK, BINARY_CHUNK = 2, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED_INT = 5126, 5125
VERTICES, INDICES = 34962, 34963
MM_A_METRE = 1000.0
# World millimetres run to the right, front and head; glTF's axes to the left, head and front.
TO_GLTF = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]) / MM_A_METRE


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface in world millimetres, seen from outside counter-clockwise; rgb in 0..1."""

    name: str
    points: Float[np.ndarray, "n 3"]
    faces: Integer[np.ndarray, "m 3"]
    colour: tuple[float, float, float]


def write_glb(surfaces: Sequence[Surface]) -> bytes:
    """Write surfaces as one scene in metres; those without a face are left out."""
    drawn = [surface for surface in surfaces if len(surface.faces)]
    table: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "voxcite"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(drawn)))}],
    }
    binary = b""
    for number, surface in enumerate(drawn):
        points = (surface.points @ TO_GLTF.T).astype("<f4")
        faces = surface.faces.astype("<u4")
        parts = {"nodes": {"mesh": number, "name": surface.name}}
        parts |= {"meshes": _mesh(number, surface.name), "materials": _material(surface)}
        for name, part in parts.items():
            table.setdefault(name, []).append(part)
        for array, target in ((points, VERTICES), (faces, INDICES)):
            table.setdefault("bufferViews", []).append(_view(array, target, len(binary)))
            binary += array.tobytes()
        table.setdefault("accessors", []).extend(_accessors(number, points, faces))
    if drawn:
        table["buffers"] = [{"byteLength": len(binary)}]
    return _file(table, binary)


def _mesh(number: int, name: str) -> dict[str, Any]:
    attributes = {"POSITION": 2 * number}
    primitive = {"attributes": attributes, "indices": 2 * number + 1, "material": number}
    return {"name": name, "primitives": [primitive]}


def _material(surface: Surface) -> dict[str, Any]:
    shine = {"baseColorFactor": [*surface.colour, 1.0], "metallicFactor": 0, "roughnessFactor": 0.7}
    return {"name": surface.name, "pbrMetallicRoughness": shine, "doubleSided": True}


def _view(array: np.ndarray, target: int, at: int) -> dict[str, int]:
    return {"buffer": 0, "byteOffset": at, "byteLength": array.nbytes, "target": target}


def _accessors(number: int, points: np.ndarray, faces: np.ndarray) -> list[dict[str, Any]]:
    """Describe the points, with the bounds that glTF asks for, and the corners of the faces."""
    bounds = {"min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()}
    place = {"bufferView": 2 * number, "componentType": FLOAT, "count": len(points)}
    corners = {"bufferView": 2 * number + 1, "componentType": UNSIGNED_INT, "count": faces.size}
    return [{**place, "type": "VEC3", **bounds}, {**corners, "type": "SCALAR"}]


def _file(table: dict[str, Any], binary: bytes) -> bytes:
    """Put the header before both chunks; each ends on a multiple of four bytes."""
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    if binary:
        chunks += struct.pack("<II", len(binary), BINARY_CHUNK) + binary
    return struct.pack("<4sII", b"glTF", VERSION, 12 + len(chunks)) + chunks
