"""Surfaces as GLB, STL or OBJ. Knows nothing of scans or of structures.

GLB is in metres with its axes to the left, head and front, as its specification wants
(https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, 3.4); STL and OBJ, which say nothing of
units or axes, are in world millimetres: right, front, head.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8
from trimesh import Scene, Trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.obj import export_obj
from trimesh.exchange.stl import export_stl
from trimesh.parent import Geometry
from trimesh.util import concatenate
from trimesh.visual import ColorVisuals

from segment.surface import Surface

Format = Literal["glb", "stl", "obj"]
FORMATS: tuple[Format, ...] = get_args(Format)
TO_GLTF = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1000]]) / 1000
# Viridis, from no uncertainty to the most there can be (Smith and van der Walt 2015, CC0).
VIRIDIS = np.array(
    [
        [68, 1, 84],
        [70, 50, 126],
        [54, 92, 141],
        [39, 127, 142],
        [31, 161, 135],
        [74, 193, 109],
        [160, 218, 57],
        [253, 231, 37],
    ],
    dtype=np.float64,
)
MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.7}}


def surface_bytes(surfaces: Sequence[Surface], kind: Format) -> bytes:
    """Write surfaces into one file; those without a triangle are left out.

    GLB and OBJ keep their names and colours, STL their shape alone.
    """
    shown = [one for one in surfaces if len(one.faces)]
    if kind == "stl":
        return bytes(export_stl(concatenate([Trimesh(), *(one.mesh() for one in shown)])))
    drawn: dict[str, Geometry] = {one.name: _drawn(one, kind) for one in shown}
    if kind == "obj":
        return str(export_obj(Scene(drawn))).encode()
    return bytes(export_glb(Scene(drawn), tree_postprocessor=_shaded))


def colours(uncertainty: Float[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 3"]:
    """Colour uncertainties, from 0 (dark violet) to 1 (yellow)."""
    at = uncertainty * (len(VIRIDIS) - 1)
    places = np.arange(len(VIRIDIS))
    read = np.stack([np.interp(at, places, channel) for channel in VIRIDIS.T], axis=-1)
    return read.round().astype(np.uint8)


def _drawn(surface: Surface, kind: Format) -> Trimesh:
    """Return a coloured mesh in the units, axes and kind of light of a format."""
    mesh, known = surface.mesh(), surface.uncertainty
    flat = np.array([surface.colour] * len(surface.points), dtype=np.uint8)
    rgb = flat if known is None else colours(known)
    if kind == "glb":
        mesh.apply_transform(TO_GLTF)
        rgb = _linear(rgb)
    mesh.visual = ColorVisuals(mesh, vertex_colors=rgb)
    return mesh


def _linear(rgb: UInt8[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """Turn sRGB into the linear light that glTF wants of points (3.7.2.1; IEC 61966-2-1)."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return (linear * 255).round().astype(np.uint8)


def _shaded(tree: dict[str, Any]) -> None:
    """Give what is drawn a dull material: without one, glTF takes a surface for metal."""
    tree["materials"] = [{**MATERIAL, "doubleSided": True}]
    for mesh in tree.get("meshes", []):
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
