"""What a user hands in becomes one study. Knows nothing of what is measured in it."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

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
)
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
    frame_of_reference_uid: str = field(default="", repr=False)


IDENTIFYING_TAGS = {
    "patient_id": "PatientID",
    "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "frame_of_reference_uid": "FrameOfReferenceUID",
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


@dataclass(frozen=True)
class Named:
    """A file, and what it is called to whoever chooses one."""

    name: str
    path: Path = field(repr=False)


def read_study(
    source: str | Path, *, series: str | None = None, modality: str | None = None
) -> Study:
    """Read a NIfTI file, a DICOM file, folder or DICOMDIR, a zip of one, or the word ``sample``.

    A text that begins with http:// or https:// is the address of a study or series on a DICOMweb
    server, as in ``https://SERVER/dicom-web/studies/UID``.
    ``series`` chooses one DICOM series, or one of several NIfTI files, by the number that the
    refusal of several lists, and one volume of a series of several as ``5.2``: the second volume of
    series 5. Without it, where there are several, those of ``modality`` alone are looked at, as in
    "MR" for an exam of MR.
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
        return _read_dicom(find(directory_files(path)), name, wanted)
    if kind == "dicom":
        return _read_dicom(find([path]), name, wanted)
    return _read_nifti({"1": Named(name, path)}, name, wanted)


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
    if found := find(files):
        return _read_dicom(found, name, wanted)
    return _read_nifti(niftis(files, folder), name, wanted)


def niftis(files: Sequence[Path], folder: Path) -> dict[str, Named]:
    """Number the NIfTI files below a folder, each called by where it lies in it."""
    found = [path for path in files if file_kind(path) == "nifti"]
    parts = [[file_name(Path(part)) for part in path.relative_to(folder).parts] for path in found]
    named = [Named("/".join(names), path) for names, path in zip(parts, found, strict=True)]
    return {str(place): one for place, one in enumerate(named, start=1)}


def _read_nifti(numbered: Mapping[str, Named], name: str, wanted: _Wanted) -> Study:
    if not numbered:
        msg = f"{name}: expected a scan, found neither DICOM nor NIfTI; give the scan's folder"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    path = _choose_nifti(numbered, name, wanted.series).path
    volume = read_nifti(path)
    return Study(replace(volume, date=volume.date or session_date(path)), name)


def _choose_nifti(numbered: Mapping[str, Named], name: str, series: str | None) -> Named:
    """Take the one NIfTI file, or the chosen one of several; list them where none is chosen."""
    if len(numbered) == 1:
        if series is None:
            return next(iter(numbered.values()))
        msg = f"{name}: expected several series to choose from, found one NIfTI file"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; leave --series out")
    listed = _enumerated([f"series {label}: {one.name}" for label, one in numbered.items()])
    if series is None:
        msg = f"{name}: expected one scan, found {len(numbered)} NIfTI files ({listed})"
        raise ScanError(Refusal.SEVERAL_SERIES, f"{msg}; choose one with --series N")
    if series not in numbered:
        msg = f"{name}: expected the series {series[:20]!r} asked for, found {listed}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; choose one with --series N")
    return numbered[series]


def find(files: Sequence[Path]) -> tuple[Series, ...]:
    """Sort files into DICOM series, remembering who the patient is; empty where none is DICOM."""
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
    labels, choice = labelled(found), wanted.series
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


def labelled(found: Sequence[Series]) -> dict[str, Series]:
    """Call each series by its own number where these differ, else by its place in the list."""
    numbers = Counter(series.number for series in found)
    if None in numbers or max(numbers.values(), default=0) > 1:
        return {str(place): series for place, series in enumerate(found, start=1)}
    return {str(series.number): series for series in found}


def _listed(labels: dict[str, Series]) -> str:
    is_several = len({series.headers[0].date for series in labels.values()}) > 1
    return _enumerated(
        [
            f"series {label}: {series.description}{_day(series) if is_several else ''}"
            for label, series in labels.items()
        ]
    )


def _enumerated(named: list[str]) -> str:
    more = (
        [f"and {len(named) - MOST_SERIES_LISTED} more"] if len(named) > MOST_SERIES_LISTED else []
    )
    return "; ".join(named[:MOST_SERIES_LISTED] + more)


def _day(series: Series) -> str:
    """Say of which day a series is, where studies are mixed."""
    return f" of {series.headers[0].date or 'an unknown day'}"


def patient_ids(studies: Iterable[Study]) -> set[str]:
    """List the patient identifiers that studies name; a file without one may be anybody's."""
    return {study.identifiers.patient_id for study in studies if study.identifiers} - {""}
