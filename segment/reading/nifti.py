"""NIfTI-1 and NIfTI-2 files become volumes. Knows nothing of what a scan shows.

The header is judged as it stands in the file: nibabel repairs a zero spacing or a missing position
in silence. Source of every rule that names the standard: nifti1.h, https://nifti.nimh.nih.gov.
"""

import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import array_from_file

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.reading.intensities import check_intensities
from segment.reading.source import check_voxel_budget, file_bytes, file_name, sha256
from segment.volume import Volume

ENDINGS = (".nii.gz", ".nii")
HEADER_BYTES: dict[int, Any] = {348: Nifti1Header, 540: Nifti2Header}
DEFLATE_RATIO = 1032  # deflate cannot shrink further: https://zlib.net/zlib_tech.html
MOST_EXTENSION_BYTES = 2**26
SPACING_TOLERANCE = 0.01  # relative, between pixdim and the affine: 3 % of a volume
UNIT_MASK, LENGTH_UNITS = 0x07, {1: "metres", 3: "micrometres"}  # xyzt_units; 0 unknown, 2 mm
Header: TypeAlias = Any  # nibabel's headers are not annotated


def is_nifti(path: Path) -> bool:
    """Whether a file is named as NIfTI is."""
    return path.name.endswith(ENDINGS)


def read_nifti(path: Path) -> Volume:
    """Read one 3-D image in its stored order; trailing dimensions of length one are dropped."""
    volume = read_values(path)
    check_intensities(volume.array, file_name(path))
    return volume


def read_extensions(path: Path) -> bytes:
    """Return what a file that can be read holds between its header and its voxels."""
    with _open(path) as stream:
        start = stream.read(max(HEADER_BYTES))
        letter = "<" if start[0] in {n % 256 for n in HEADER_BYTES} else ">"
        length = int(np.frombuffer(start[:4], f"{letter}i4")[0])
        header = HEADER_BYTES[length](start[:length], endianness=letter, check=False)
        stream.seek(length)
        return stream.read(max(0, int(header["vox_offset"]) - length))


def read_values(path: Path) -> Volume:
    """Read an image as ``read_nifti`` does, whatever its values: labels may all be the same."""
    name, size = file_name(path), file_bytes(path)
    try:
        # NaN and overflow are answered by the checks, here and in check_intensities.
        with _open(path) as stream, np.errstate(over="ignore", invalid="ignore"):
            is_compressed = isinstance(stream, gzip.GzipFile)
            header = _header(stream, name)
            shape = _shape(header, name)
            check_voxel_budget(shape, name)
            dtype = _dtype(header, name)
            promised = _offset(header, name) + int(np.prod(shape)) * dtype.itemsize
            if promised > size * (DEFLATE_RATIO if is_compressed else 1):
                raise EOFError  # refused before memory is taken for the voxels
            geometry = _geometry(header, shape, name)
            slope, intercept = _scale(header, name)
            array = _voxels(stream, header, shape, slope, intercept)
    except (OSError, EOFError, zlib.error) as error:
        msg = (
            f"{name}: expected a whole NIfTI file, found one that is damaged or ends"
            " before its last voxel; copy or export it again"
        )
        raise ScanError(Refusal.UNREADABLE, msg) from error
    return Volume(array, geometry, sha256(path))


def _open(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    return gzip.GzipFile(path) if is_gzip else path.open("rb")


def _header(stream: io.BufferedIOBase, name: str) -> Header:
    """Parse the header without nibabel's repairs; single files only."""
    block = stream.read(max(HEADER_BYTES))
    for letter in "<>":
        length = int(np.frombuffer(block[:4].ljust(4), f"{letter}i4")[0])
        if length in HEADER_BYTES and len(block) >= length:
            header = HEADER_BYTES[length](block[:length], endianness=letter, check=False)
            if bytes(header["magic"].item())[:3] in {b"n+1", b"n+2"}:
                return header
    msg = (
        f"{name}: expected a NIfTI file (.nii or .nii.gz), found something else;"
        " give a NIfTI file, a DICOM folder or a zip of one"
    )
    raise ScanError(Refusal.UNREADABLE, msg)


def _shape(header: Header, name: str) -> tuple[int, int, int]:
    count, *lengths = (int(length) for length in header["dim"])
    used = lengths[: max(count, 0)]
    shown = " x ".join(str(length) for length in used)
    if not 1 <= count <= 7 or min(used) < 1:
        msg = (
            f"{name}: expected positive dimensions, found a header with {count}: {shown or 'none'};"
            " export the scan again"
        )
        raise ScanError(Refusal.WRONG_DIMENSIONS, msg)
    while len(used) > 3 and used[-1] == 1:
        used.pop()
    found = 2 if len(used) == 3 and min(used) == 1 else len(used)
    if found != 3:
        msg = (
            f"{name}: expected a 3-D image, found a {found}-D one ({shown});"
            " give one volume with all its slices"
        )
        raise ScanError(Refusal.WRONG_DIMENSIONS, msg)
    return used[0], used[1], used[2]


def _dtype(header: Header, name: str) -> "np.dtype[np.generic]":
    try:
        dtype: np.dtype[np.generic] = header.get_data_dtype()
    except (KeyError, HeaderDataError) as error:
        msg = f"{name}: expected numbers as voxels, found an unknown data type; export again"
        raise ScanError(Refusal.UNSUPPORTED_VOXELS, msg) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = {"V": "colours (RGB)", "c": "complex numbers"}.get(dtype.kind, dtype.name)
        msg = f"{name}: expected one real number a voxel, found {kind}; export grey values"
        raise ScanError(Refusal.UNSUPPORTED_VOXELS, msg)
    return dtype


def _offset(header: Header, name: str) -> int:
    offset, least = float(header["vox_offset"]), int(header["sizeof_hdr"])
    if not least <= offset <= MOST_EXTENSION_BYTES:  # false for NaN too
        msg = f"{name}: expected voxels after the header, found offset {offset:g}; export again"
        raise ScanError(Refusal.UNREADABLE, msg)
    return int(offset)


def _scale(header: Header, name: str) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite([slope, intercept]).all():
        msg = (
            f"{name}: expected a finite intensity scale, found slope {slope:g}"
            f" and intercept {intercept:g}; export the scan again"
        )
        raise ScanError(Refusal.NOT_FINITE, msg)
    return (slope, intercept) if slope else (1.0, 0.0)  # the standard: slope 0 is no scale


def _geometry(header: Header, shape: tuple[int, int, int], name: str) -> Geometry:
    spacing_mm = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.isfinite(spacing_mm).all() or spacing_mm.min() <= 0:
        msg = (
            f"{name}: expected a positive voxel spacing in mm, found"
            f" {_numbers(spacing_mm)}; export the scan with its spacing"
        )
        raise ScanError(Refusal.NO_SPACING, msg)
    if unit := LENGTH_UNITS.get(int(header["xyzt_units"]) & UNIT_MASK):
        msg = f"{name}: expected lengths in mm, found a header in {unit}; export it in mm"
        raise ScanError(Refusal.NO_SPACING, msg)
    try:
        geometry = Geometry(shape, _affine(header, name))
    except (HeaderDataError, ValueError) as error:
        if isinstance(error, ScanError) and error.code is not Refusal.SINGULAR_AFFINE:
            raise
        msg = (
            f"{name}: expected an affine that gives voxels a size, found a singular or"
            " non-finite one; export the scan again"
        )
        raise ScanError(Refusal.SINGULAR_AFFINE, msg) from error
    if not np.allclose(geometry.spacing_mm, spacing_mm, rtol=SPACING_TOLERANCE, atol=0):
        found = _numbers(geometry.spacing_mm)
        msg = (
            f"{name}: expected one voxel size, found {_numbers(spacing_mm)} mm in pixdim and"
            f" {found} mm in the affine; export the scan again in its native space"
        )
        raise ScanError(Refusal.AMBIGUOUS_POSITION, msg)
    return geometry


def _affine(header: Header, name: str) -> Float64[np.ndarray, "4 4"]:
    """Take the sform, else the qform; refuse a header without either, or with mirrored ones."""
    has_sform, has_qform = header["sform_code"] > 0, header["qform_code"] > 0
    if not has_sform and not has_qform:
        msg = (
            f"{name}: expected a position in the patient (sform or qform), found none, so left"
            " and right cannot be told; convert it again from DICOM"
        )
        raise ScanError(Refusal.AMBIGUOUS_POSITION, msg)
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1  # the standard: qfac 0 means 1
    if not has_sform:
        return np.asarray(header.get_qform(), dtype=np.float64)
    affine = np.asarray(header.get_sform(), dtype=np.float64)
    # A rotation never mirrors, so the sign of qfac alone is the handedness of the qform.
    if has_qform and np.linalg.det(affine[:3, :3]) * float(header["pixdim"][0]) < 0:
        msg = (
            f"{name}: expected one position in the patient, found an sform and a qform that"
            " mirror left and right; convert it again from DICOM"
        )
        raise ScanError(Refusal.AMBIGUOUS_POSITION, msg)
    return affine


def _voxels(
    stream: io.BufferedIOBase,
    header: Header,
    shape: tuple[int, int, int],
    slope: float,
    intercept: float,
) -> Float32[np.ndarray, "i j k"]:
    """Read and scale the voxels; float32 in memory order i fastest."""
    offset = int(header["vox_offset"])
    raw: Any = array_from_file(shape, header.get_data_dtype(), stream, offset=offset, mmap=False)
    stream.read(1)  # makes gzip check its trailer: the voxels can be whole and damaged
    array = np.empty(shape, dtype=np.float32, order="F")
    for k in range(shape[2]):
        array[:, :, k] = raw[:, :, k] * slope + intercept
    return array


def _numbers(values: Iterable[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
