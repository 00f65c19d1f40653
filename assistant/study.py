"""What a user hands in becomes one study. Knows nothing of what is measured in it."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from assistant.dicomweb import fetched, is_address
from assistant.referral import Referral
from assistant.sessions import session_date
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks import Mask
from segment.reading import (
    Series,
    check_readable,
    directory_files,
    extracted,
    file_kind,
    file_name,
    find_series,
    list_files,
    read_nifti,
    read_series,
    read_slice,
)
from segment.reading.header import Header
from segment.reading.source import file_bytes
from segment.volume import Volume

SAMPLE = "sample"
SAMPLE_NAME = "MNI152 template"
FETCHED_NAME = "study"  # what a server names it may hold a patient's name
MOST_SERIES_LISTED = 20


@dataclass(frozen=True)
class Identifiers:
    """Who and which visit, empty where the file does not say; never printed by accident."""

    patient_id: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    study_instance_uid: str = field(default="", repr=False)
    series_instance_uid: str = field(default="", repr=False)


IDENTIFYING_TAGS = {
    "patient_id": "PatientID",
    "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
}


@dataclass(frozen=True, eq=False)
class Study:
    """One scan to report on; ``name`` is the file's or folder's own name.

    ``identifiers`` stand apart so that they can be dropped. ``is_template`` says that this is an
    average of heads and no person. ``referral`` is what others wrote about it, to be quoted.
    ``mask`` is a segmentation that came with it, for an exam that draws none.
    """

    volume: Volume
    name: str
    identifiers: Identifiers | None = None
    is_template: bool = False
    referral: Referral = field(default=Referral(), repr=False)
    mask: Mask | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Wanted:
    """Which of several series is read: the one of a number, else the one of a modality."""

    series: str | None = None
    modality: str | None = None


def read_study(
    source: str | Path, *, series: str | None = None, modality: str | None = None
) -> Study:
    """Read a NIfTI file, a DICOM file, folder or DICOMDIR, a zip of one, or the word ``sample``.

    A text that begins with http:// or https:// is the address of a study or series on a DICOMweb
    server, as in ``https://SERVER/dicom-web/studies/UID``.
    ``series`` chooses one DICOM series by the number that the refusal of several lists, and one
    volume of a series of several as ``5.2``: the second volume of series 5. Without it, where there
    are several, those of ``modality`` alone are looked at, as in "MR" for an exam of MR.
    """
    wanted = _Wanted(series, modality)
    if source == SAMPLE:
        return read_sample()
    if is_address(source):
        with fetched(str(source)) as folder:
            return _read_folder(folder, FETCHED_NAME, wanted)
    if not str(source):
        raise ScanError(Refusal.MISSING, "expected a scan, found no name; give a file or folder")
    path = Path(source)
    name = file_name(path)
    if os.path.isdir(path):  # noqa: PTH112  pathlib's raises on a name that is too long
        return _read_folder(path, name, wanted)
    file_bytes(path)
    kind = file_kind(path)
    if kind == "zip":
        with extracted(path) as folder:
            return replace(_read_folder(folder, name, wanted), name=name)
    if kind == "dicomdir":
        return _read_dicom(_find(directory_files(path)), name, wanted)
    if kind == "dicom":
        return _read_dicom(_find([path]), name, wanted)
    return _read_nifti([path], name, wanted)


@dataclass(frozen=True, eq=False)
class Choice:
    """A series, or one volume of a series, that ``read_study`` takes by its ``label``."""

    label: str
    described: str
    series: Series = field(repr=False)

    def picture(self) -> Float32[np.ndarray, "rows columns"]:
        """Read its middle slice; raises ScanError where that cannot be decoded."""
        headers = sorted(self.series.headers, key=lambda header: _instance(header))
        return read_slice(headers[len(headers) // 2])


def choices(source: str | Path) -> Iterator[Choice]:
    """Yield what can be chosen in a DICOM folder, DICOMDIR or zip; nothing where it is none.

    A picture can be read until the next choice is asked for: a zip is unpacked that long.
    """
    path = Path(source)
    if path.is_dir():
        yield from _chosen_from(list_files(path))
    elif file_kind(path) == "zip":
        with extracted(path) as folder:
            yield from _chosen_from(list_files(folder))
    elif file_kind(path) in ("dicom", "dicomdir"):
        is_list = file_kind(path) == "dicomdir"
        yield from _chosen_from(directory_files(path) if is_list else [path])


def _chosen_from(files: Sequence[Path]) -> Iterator[Choice]:
    for label, series in _labels(_find(files)).items():
        if not series.is_readable:
            continue
        volumes = series.volumes
        if len(volumes) == 1:
            yield Choice(label, series.description, series)
            continue
        for place, volume in enumerate(volumes, start=1):
            described = f"{volume.description}, {volume.mark}"
            yield Choice(f"{label}.{place}", described, volume)


def _instance(header: Header) -> float:
    return header.number("InstanceNumber") or 0.0


def read_sample() -> Study:
    """Read the MNI152 template that comes with nilearn: an average of 152 heads, no person."""
    from nilearn.datasets import load_mni152_template  # 3 s to import: paid by who asks for it

    image = load_mni152_template(resolution=1)
    array = np.asarray(image.dataobj, dtype=np.float32)
    affine = np.asarray(image.affine, dtype=np.float64)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes() + affine.tobytes())
    volume = Volume(
        array,
        Geometry((array.shape[0], array.shape[1], array.shape[2]), affine),
        sha256=digest.hexdigest(),
        modality="MR",
        sequence="T1",
    )
    return Study(volume, SAMPLE_NAME, is_template=True)


def _read_folder(folder: Path, name: str, wanted: _Wanted) -> Study:
    """Read the DICOM below a folder, else its one NIfTI file; all other files are set aside."""
    files = list_files(folder)
    if not files:
        msg = f"{name}: expected a scan, found an empty folder; give the folder that holds it"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    if found := _find(files):
        return _read_dicom(found, name, wanted)
    return _read_nifti([path for path in files if file_kind(path) == "nifti"], name, wanted)


def _read_nifti(files: Sequence[Path], name: str, wanted: _Wanted) -> Study:
    if not files:
        msg = f"{name}: expected a scan, found neither DICOM nor NIfTI; give the scan's folder"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    if len(files) > 1:
        msg = f"{name}: expected one scan, found {len(files)} NIfTI files; give one of them"
        raise ScanError(Refusal.SEVERAL_SERIES, msg)
    if wanted.series is not None:
        msg = f"{name}: expected DICOM to choose a series from, found NIfTI; leave --series out"
        raise ScanError(Refusal.BAD_OPTION, msg)
    volume = read_nifti(files[0])
    return Study(replace(volume, date=volume.date or session_date(files[0])), name)


def _find(files: Sequence[Path]) -> tuple[Series, ...]:
    return find_series(files, asked=tuple(IDENTIFYING_TAGS.values()))


def _read_dicom(found: Sequence[Series], name: str, wanted: _Wanted) -> Study:
    if not found:
        msg = f"{name}: expected pictures among the files it lists, found none; give their folder"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    series = _choose(found, name, wanted)
    asked = series.headers[0].asked
    known = {key: asked.get(tag, "") for key, tag in IDENTIFYING_TAGS.items()}
    return Study(read_series(series, name=name), name, Identifiers(**known))


def _choose(found: Sequence[Series], name: str, wanted: _Wanted) -> Series:
    """Take the one volume that is a scan, or the chosen one; list them where several are."""
    labels, choice = _labels(found), wanted.series
    if choice is None:
        label = _only(labels, name, wanted.modality)
        check_readable(labels[label], name, label)
        return labels[label]
    label, _, place = choice.partition(".")
    volumes = labels[label].volumes if label in labels else ()
    if place:
        number = int(place) if place.isdecimal() and len(place) < 6 else 0
        if 1 <= number <= len(volumes):
            return volumes[number - 1]
    elif volumes:
        check_readable(labels[label], name, label)
        return labels[label]
    told = f"the series {choice[:20]!r} asked for"
    msg = f"{name}: expected {told}, found {_listed(labels)}; choose one with --series N"
    raise ScanError(Refusal.BAD_OPTION, msg)


def _only(labels: dict[str, Series], name: str, modality: str | None) -> str:
    """Return the label of the one series that can be read; refuse none and several."""
    readable = {label: series for label, series in labels.items() if series.is_readable}
    scans = {label: series for label, series in labels.items() if series.is_scan}
    candidates = readable or scans or labels
    candidates = {
        label: series
        for label, series in candidates.items()
        if series.headers[0].modality == modality
    } or candidates
    if len(candidates) == 1:
        return next(iter(candidates))
    if not scans:
        msg = (
            f"{name}: expected a series of slices, found none ({_listed(candidates)});"
            " give the folder of the scan"
        )
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    msg = (
        f"{name}: expected one series, found {len(candidates)} ({_listed(candidates)});"
        " choose one with --series N"
    )
    raise ScanError(Refusal.SEVERAL_SERIES, msg)


def _labels(found: Sequence[Series]) -> dict[str, Series]:
    """Call each series by its own number where these differ, else by its place in the list."""
    numbers = Counter(series.number for series in found)
    if None in numbers or max(numbers.values(), default=0) > 1:
        return {str(place): series for place, series in enumerate(found, start=1)}
    return {str(series.number): series for series in found}


def _listed(labels: dict[str, Series]) -> str:
    is_several = len({series.headers[0].date for series in labels.values()}) > 1
    named = [
        f"series {label}: {series.description}{_day(series) if is_several else ''}"
        for label, series in labels.items()
    ]
    more = (
        [f"and {len(named) - MOST_SERIES_LISTED} more"] if len(named) > MOST_SERIES_LISTED else []
    )
    return "; ".join(named[:MOST_SERIES_LISTED] + more)


def _day(series: Series) -> str:
    """Say of which day a series is, where studies are mixed."""
    return f" of {series.headers[0].date or 'an unknown day'}"
