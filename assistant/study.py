"""What a user hands in becomes one study. Knows nothing of what is measured in it."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from assistant.dicomweb import fetched, is_address
from assistant.listed import choose, enumerated, labelled
from assistant.referral import Referral
from assistant.roles import Cast, cast
from assistant.sessions import session_date
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks import Mask
from segment.reading import (
    Series,
    directory_files,
    extracted,
    file_kind,
    file_name,
    find_series,
    list_files,
    read_nifti,
    read_series,
)
from segment.reading.roles import ASKED, ROLES, Role, role_in, role_of
from segment.reading.source import file_bytes
from segment.volume import Volume

SAMPLE = "sample"
SAMPLE_NAME = "MNI152 template"
FETCHED_NAME = "study"  # what a server names it may hold a patient's name
NUMBERED = re.compile(r"[0-9]{1,6}")  # what chooses a series; any other text is a path
NO_ROLES: Mapping[Role, str] = MappingProxyType({})


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

    ``role`` is that of the scan, as far as it is known; ``others`` are series of other roles of the
    same examination, each on its own grid. ``identifiers`` stand apart so that they can be dropped.
    ``is_template`` says that this is an average of heads and no person. ``referral`` is what others
    wrote about it, to be quoted. ``mask`` is a segmentation that came with it, for an exam that
    draws none.
    """

    volume: Volume
    name: str
    identifiers: Identifiers | None = None
    is_template: bool = False
    referral: Referral = field(default=Referral(), repr=False)
    mask: Mask | None = field(default=None, repr=False)
    role: Role | None = None
    others: Mapping[Role, Volume] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.role is not None and self.role in self.others:
            msg = f"expected each role once, found {self.role} twice; give one series for it"
            raise ScanError(Refusal.BAD_OPTION, f"the study: {msg}")
        if self.mask is not None:
            self.mask.check_is_none_of((self.volume, *self.others.values()))
        object.__setattr__(self, "others", MappingProxyType(dict(self.others)))


@dataclass(frozen=True)
class _Wanted:
    """Which of several series is read: of a number, else of a role, else of a modality.

    ``roles`` are numbers of series that somebody named; ``taken`` are roles that come from another
    file, and are not looked for.
    """

    series: str | None = None
    modality: str | None = None
    measures: tuple[Role, ...] = ()
    roles: Mapping[Role, str] = field(default_factory=dict)
    taken: frozenset[Role] = frozenset()

    def cast(self, found: Mapping[str, Role | None], name: str) -> Cast:
        """Cast the series of a study; beside one of a number stand those alone that were named."""
        known = {label: None if role in self.taken else role for label, role in found.items()}
        made = cast(known, self.roles, () if self.series is not None else self.measures, name)
        if self.measures and self.series is None:
            return made
        named = {role: label for role, label in made.beside.items() if label in made.named}
        return replace(made, beside=named)


@dataclass(frozen=True)
class Named:
    """A file, and what it is called to whoever chooses one."""

    name: str
    path: Path = field(repr=False)


def read_study(
    source: str | Path,
    *,
    series: str | None = None,
    modality: str | None = None,
    measures: Sequence[Role] = (),
    roles: Mapping[Role, str] = NO_ROLES,
) -> Study:
    """Read a NIfTI file, a DICOM file, folder or DICOMDIR, a zip of one, or the word ``sample``.

    A text that begins with http:// or https:// is the address of a study or series on a DICOMweb
    server, as in ``https://SERVER/dicom-web/studies/UID``.
    ``series`` chooses one DICOM series, or one of several NIfTI files, by the number that the
    refusal of several lists, and one volume of a series of several as ``5.2``: the second volume of
    series 5. Without it, where there are several, the first role of ``measures`` that one of them
    plays chooses it, and the series of other roles are read beside it. Where roles leave it open,
    those of ``modality`` alone are looked at, as in "MR" for an exam of MR.

    ``roles`` names what a header or a file's name leave open or have wrong: the number of a series,
    or a file or folder. Raises ScanError for a role that two series play, and for one of another
    patient.
    """
    elsewhere = {role: what for role, what in roles.items() if not NUMBERED.fullmatch(what)}
    own = [role for role, what in elsewhere.items() if Path(what) == Path(source)]
    numbered = {role: what for role, what in roles.items() if role not in elsewhere}
    is_moved = any(role in elsewhere and role not in own for role in measures)
    looked_for = ROLES if is_moved else tuple(measures)
    taken = frozenset(elsewhere)
    study = _read(source, _Wanted(series, modality, looked_for, numbered, taken))
    if own:
        study = _named(study, own)
    others = {
        role: replace(_read(what, _Wanted(modality=modality)), role=role)
        for role, what in elsewhere.items()
        if role not in own
    }
    return _joined(study, others, measures) if others else study


def _named(study: Study, own: Sequence[Role]) -> Study:
    """Give a study the one role that somebody named it by."""
    if len(own) > 1:
        msg = f"{study.name}: expected one role of the study, found {' and '.join(own)}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; give one")
    return replace(study, role=own[0])


def _joined(study: Study, others: Mapping[Role, Study], measures: Sequence[Role]) -> Study:
    """Put studies of one series each beside another, or before it where theirs is measured."""
    if len(patient_ids((study, *others.values()))) > 1:
        msg = "--role: expected series of one patient, found another patient identifier"
        raise ScanError(Refusal.OTHER_PATIENT, f"{msg}; give the series of this examination")
    volumes = [study.volume, *study.others.values(), *(one.volume for one in others.values())]
    if len({volume.sha256 for volume in volumes}) < len(volumes):
        msg = "--role: expected another scan for each role, found one scan in two"
        raise ScanError(Refusal.SAME_STUDY, f"{msg}; give each its own")
    first = next((role for role in measures if role in {*others, study.role}), study.role)
    beside = {role: one.volume for role, one in others.items()}
    if first == study.role or first is None:
        return replace(study, others={**study.others, **beside})
    if study.role is None:
        msg = f"{study.name}: expected its role beside the {first} that is measured, found none"
        raise ScanError(Refusal.NO_ROLE, f"{msg}; name it too, as in --role FLAIR={study.name}")
    del beside[first]
    rest = {study.role: study.volume, **study.others, **beside}
    return replace(others[first], others=rest)


def _read(source: str | Path, wanted: _Wanted) -> Study:
    """Read the series that is wanted from wherever it lies."""
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
    return Study(volume, SAMPLE_NAME, is_template=True, role="T1")


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
    found = {label: role_in(one.name.rpartition("/")[2]) for label, one in numbered.items()}
    parts = wanted.cast(found, name)
    label = parts.measured or _choose_nifti(numbered, name, wanted.series)
    path, role = numbered[label].path, parts.roles[label]
    others = {
        part: _nifti(numbered[other].path)
        for part, other in parts.beside.items()
        if other != label and (other in parts.named or numbered[other].path.parent == path.parent)
    }
    return Study(_nifti(path), name, role=role, others=others)


def _nifti(path: Path) -> Volume:
    """Read a NIfTI file, with the date that the table of its dataset gives it."""
    volume = read_nifti(path)
    return replace(volume, date=volume.date or session_date(path))


def _choose_nifti(numbered: Mapping[str, Named], name: str, series: str | None) -> str:
    """Take the one NIfTI file, or the chosen one of several; list them where none is chosen."""
    if len(numbered) == 1:
        if series is None:
            return next(iter(numbered))
        msg = f"{name}: expected several series to choose from, found one NIfTI file"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; leave --series out")
    listed = enumerated([f"series {label}: {one.name}" for label, one in numbered.items()])
    if series is None:
        msg = f"{name}: expected one scan, found {len(numbered)} NIfTI files ({listed})"
        raise ScanError(Refusal.SEVERAL_SERIES, f"{msg}; choose one with --series N")
    if series not in numbered:
        msg = f"{name}: expected the series {series[:20]!r} asked for, found {listed}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; choose one with --series N")
    return series


def find(files: Sequence[Path]) -> tuple[Series, ...]:
    """Sort files into DICOM series, remembering who the patient is; empty where none is DICOM."""
    return find_series(files, asked=(*IDENTIFYING_TAGS.values(), *ASKED))


def _read_dicom(found: Sequence[Series], name: str, wanted: _Wanted) -> Study:
    if not found:
        msg = f"{name}: expected pictures among the files it lists, found none; give their folder"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    labels = labelled(found)
    parts = wanted.cast({label: role_of(one) for label, one in labels.items() if one.is_scan}, name)
    label, series = choose(labels, name, wanted.series or parts.measured, wanted.modality)
    asked = series.headers[0].asked
    known = {key: asked.get(tag, "") for key, tag in IDENTIFYING_TAGS.items()}
    beside = {role: other for role, other in parts.beside.items() if other != label}
    others: dict[Role, Volume] = {}
    for role, other in beside.items():
        if other in parts.named:
            others[role] = read_series(labels[other], name=name)
        elif _is_of_study(labels[other], series):
            with suppress(ScanError):  # a study may hold what cannot be read and nobody named
                others[role] = read_series(labels[other], name=name)
    volume = read_series(series, name=name)
    return Study(volume, name, Identifiers(**known), role=parts.roles.get(label), others=others)


def _is_of_study(series: Series, measured: Series) -> bool:
    """Tell whether two series are of one examination."""
    one, other = (s.headers[0].text["StudyInstanceUID"] for s in (series, measured))
    return one == other


def patient_ids(studies: Iterable[Study]) -> set[str]:
    """List the patient identifiers that studies name; a file without one may be anybody's."""
    return {study.identifiers.patient_id for study in studies if study.identifiers} - {""}
