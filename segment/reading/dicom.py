"""A DICOM series becomes one volume. Knows nothing of folders, exams or patients."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float32
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.reading.header import Header
from segment.reading.intensities import check_intensities
from segment.reading.sequence import guess_sequence
from segment.reading.series import Series, check_supported, find_series
from segment.reading.slices import order_slices
from segment.reading.source import check_voxel_budget, file_bytes, file_name, sha256
from segment.volume import Modality, Volume

MODALITIES: dict[str, Modality] = {"MR": "MR", "CT": "CT"}
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# A maker is quoted by a name of this list and never as the file has it, which is free text.
MAKERS = (
    "Siemens",
    "GE",
    "Philips",
    "Canon",
    "Toshiba",
    "Hitachi",
    "Fujifilm",
    "UIH",
    "Bruker",
    "Hyperfine",
)
FACTS = {
    "magnetic_field_t": "MagneticFieldStrength",
    "slice_thickness_mm": "SliceThickness",
    "repetition_time_ms": "RepetitionTime",
    "echo_time_ms": "EchoTime",
    "inversion_time_ms": "InversionTime",
    "flip_angle_degrees": "FlipAngle",
}


def read_dicom_series(files: Sequence[Path], *, name: str = "series") -> Volume:
    """Read the files of one series; ``name`` is what errors call it."""
    found = find_series(files)
    if len(found) != 1:
        code = Refusal.SEVERAL_SERIES if found else Refusal.EMPTY_FOLDER
        msg = f"{name}: expected the files of one DICOM series, found {len(found)}; give one series"
        raise ScanError(code, msg)
    return read_series(found[0], name=name)


def read_series(series: Series, *, name: str = "series") -> Volume:
    """Read one series of single slices, i along rows, j along columns, k along the normal."""
    check_supported(series, name)
    headers, geometry = order_slices(series.headers, name)
    check_voxel_budget(geometry.shape, name)
    array = np.empty(geometry.shape, dtype=np.float32, order="F")
    for k, header in enumerate(headers):
        array[:, :, k] = read_slice(header).T
    check_intensities(array, name)
    sequences = {guess_sequence(header) for header in headers}
    return Volume(
        array,
        geometry,
        sha256=_sha256_of(headers),
        modality=MODALITIES[headers[0].modality],
        sequence=sequences.pop() if len(sequences) == 1 else "unknown",
        date=headers[0].date,
        facts=_facts(headers[0], geometry),
    )


def read_slice(header: Header) -> Float32[np.ndarray, "rows columns"]:
    """Decode the pixels of one file; rescale slope and intercept are applied by GDCM."""
    rows, columns = header.count("Rows"), header.count("Columns")
    promised = rows * columns * header.count("BitsAllocated", 16) // 8
    name = file_name(header.path)
    if header.transfer_syntax in UNCOMPRESSED and promised > file_bytes(header.path):
        msg = f"{name}: expected {rows} x {columns} pixels, found a shorter file; copy it again"
        raise ScanError(Refusal.UNREADABLE, msg)
    try:
        image = sitk.ReadImage(str(header.path), sitk.sitkFloat32, imageIO="GDCMImageIO")
    except (RuntimeError, UnicodeError) as error:
        msg = f"{name}: expected pixels that can be decoded, found damaged ones; copy it again"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    frames: Float32[np.ndarray, "1 rows columns"] = sitk.GetArrayFromImage(image)
    if frames.shape != (1, rows, columns):
        msg = f"{name}: expected {rows} x {columns} pixels, found {frames.shape}; copy it again"
        raise ScanError(Refusal.UNREADABLE, msg)
    pixels: Float32[np.ndarray, "rows columns"] = frames[0]
    return pixels


def _sha256_of(headers: Sequence[Header]) -> str:
    """Hash the files' hashes in sorted order, so that neither names nor order matter."""
    hashes = sorted(sha256(header.path) for header in headers)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _facts(header: Header, geometry: Geometry) -> dict[str, str]:
    """Quote what a report may say of the technique: numbers, and the maker by a known name."""
    facts = {
        fact: f"{value:g}"
        for fact, tag in FACTS.items()
        if (value := header.number(tag)) is not None
    }
    facts["slice_spacing_mm"] = f"{geometry.spacing_mm[2]:g}"
    maker = [*header.text["Manufacturer"].upper().split(), ""][0]
    known = [name for name in MAKERS if name.upper() == maker]
    return {**facts, "manufacturer": known[0]} if known else facts
