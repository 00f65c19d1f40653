"""A DICOM series becomes one volume. Knows nothing of folders, exams or patients."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from segment.errors import Refusal, ScanError
from segment.reading.header import Header
from segment.reading.intensities import check_intensities
from segment.reading.pixels import nothing_of, read_pictures
from segment.reading.restack import restack
from segment.reading.sequence import guess_sequence
from segment.reading.series import Series, check_readable, find_series
from segment.reading.slices import Layout, order_slices
from segment.reading.source import check_voxel_budget, sha256
from segment.reading.suv import suv_factor
from segment.volume import Modality, Volume

MODALITIES: dict[str, Modality] = {"MR": "MR", "CT": "CT", "PT": "PT"}
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
    """Read one volume of slices, i along rows, j along columns, k along the normal.

    Slices of a tilted gantry or at uneven distances are resampled onto an upright, even grid, and
    ``facts`` says so. PET comes as standardised uptake values by body weight, in g/ml.
    """
    check_readable(series, name, str(series.number or 1))
    layout = order_slices(series.headers, name)
    headers, geometry = layout.headers, layout.geometry
    check_voxel_budget(geometry.shape, name)
    factor = suv_factor(headers, name) if headers[0].modality == "PT" else 1.0
    array = np.empty(geometry.shape, dtype=np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):  # answered by check_intensities
        for k, picture in enumerate(_slices(layout)):
            array[:, :, k] = picture.T if factor == 1.0 else picture.T * np.float32(factor)
    check_intensities(array, name)
    sequences = {guess_sequence(header) for header in headers}
    first = min((header.moment for header in headers if header.moment), default=None, key=str)
    return Volume(
        array,
        geometry,
        sha256=series_sha256(headers),
        modality=MODALITIES[headers[0].modality],
        sequence=sequences.pop() if len(sequences) == 1 else "unknown",
        date=first[0] if first else None,
        time=first[1] if first else None,
        facts=_facts(layout),
    )


def _slices(layout: Layout) -> Iterator[Float32[np.ndarray, "rows columns"]]:
    """Yield the slices of the layout's grid."""
    pictures = read_pictures(layout.headers)
    if layout.is_stacked:
        return pictures
    return restack(layout, pictures, nothing_of(layout.headers[0]))


def series_sha256(headers: Sequence[Header]) -> str:
    """Hash the files' hashes in sorted order, so that neither names nor order matter."""
    hashes = sorted(sha256(path) for path in {header.path for header in headers})
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _facts(layout: Layout) -> dict[str, str]:
    """Quote what a report may say of the technique: numbers, and the maker by a known name."""
    header = layout.headers[0]
    facts = {
        fact: f"{value:g}"
        for fact, tag in FACTS.items()
        if (value := header.number(tag)) is not None
    }
    facts["slice_spacing_mm"] = f"{layout.geometry.spacing_mm[2]:g}"
    if layout.is_tilted:
        facts["resampled_from_tilt_degrees"] = f"{layout.tilt_degrees:.1f}"
    if not np.array_equal(layout.grid_mm, layout.distances_mm):
        gaps_mm = np.diff(layout.distances_mm)
        facts["resampled_from_distances_mm"] = f"{gaps_mm.min():.4g} to {gaps_mm.max():.4g}"
    if header.modality == "PT":
        facts["values"] = "standardised uptake by body weight, g/ml"
    maker = [*header.text["Manufacturer"].upper().split(), ""][0]
    known = [name for name in MAKERS if name.upper() == maker]
    return {**facts, "manufacturer": known[0]} if known else facts
