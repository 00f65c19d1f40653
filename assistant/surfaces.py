"""The surfaces of what a draft or a file of labels holds. Knows nothing of how they are shown."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from assistant import exams
from assistant.folder import ENTROPY, LABELS, PROBABILITY
from assistant.probability import Probability, read_probability
from assistant.report import Report
from segment import organs
from segment.errors import Refusal, ScanError
from segment.geometry import MM3_PER_ML
from segment.masks.file import Drawn, read_labels
from segment.masks.pieces import bounds_of
from segment.masks.place import held_labels
from segment.masks.table import TOTALSEGMENTATOR, read_table
from segment.measurement import Measurement
from segment.reading import file_name
from segment.reading.nifti import read_values
from segment.surface import Surface, lead, surface_of
from segment.volume import Volume

VOLUME = "volume"
LARGEST_DIFFERENCE = 0.01  # of the voxels, which the steps of a probability may move


@dataclass(frozen=True, eq=False)
class Subject:
    """What a surface is drawn of: some labels under one name, and the record that counts them."""

    name: str
    labels: tuple[int, ...]
    record: Measurement | None = None


@dataclass(frozen=True, eq=False)
class Drawing:
    """A surface beside the voxels that it was drawn around."""

    subject: Subject
    surface: Surface
    voxels_ml: float


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The surfaces of a draft or of a file of labels, each drawn when it is asked for.

    ``shape`` is the file that the shape comes from: the probability, else the labels. Without
    ``entropy`` nothing says how sure they are.
    """

    subjects: tuple[Subject, ...]
    shape: str
    drawn: Drawn
    probability: Probability | None = None
    entropy: Volume | None = None

    def __len__(self) -> int:
        """Count the structures, also those without a voxel."""
        return len(self.subjects)

    def __iter__(self) -> Iterator[Drawing]:
        """Draw one structure after the other; raises ScanError where a record counts others."""
        for subject in self.subjects:
            where = np.isin(self.drawn.labels, subject.labels)
            voxels = int(np.count_nonzero(where))
            _check_count(subject.record, voxels)
            surface = self._surface(subject, where)
            if self.entropy is not None:
                surface = surface.uncertain(self.entropy.array, self.entropy.geometry)
            voxel_ml = self.drawn.geometry.voxel_volume_mm3 / MM3_PER_ML
            yield Drawing(subject, surface, voxels * voxel_ml)

    def _surface(self, subject: Subject, where: Bool[np.ndarray, "i j k"]) -> Surface:
        """Draw where the labels lead in probability, or around their voxels."""
        if self.probability is not None:
            field = lead(self.probability.with_background, subject.labels)
            return surface_of(subject.name, field, self.probability.geometry)
        start, shape = bounds_of(where)
        cut = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
        field = np.where(where[cut], np.float32(1), np.float32(-1))
        return surface_of(subject.name, field, self.drawn.geometry.block(start, shape))


def draft_surfaces(folder: Path, report: Report) -> Surfaces:
    """Find each structure whose volume a report counts in the files beside it.

    Raises ScanError where the files are not of one draft.
    """
    drawn = read_labels(folder / LABELS)
    probability = _probability(folder / PROBABILITY, drawn)
    entropy = read_values(folder / ENTROPY) if (folder / ENTROPY).is_file() else None
    if entropy is not None and not entropy.geometry.matches(drawn.geometry):
        raise _other(ENTROPY)
    shape = LABELS if probability is None else PROBABILITY
    return Surfaces(tuple(_counted(report)), shape, drawn, probability, entropy)


def label_surfaces(path: Path, table: Path | None = None) -> Surfaces:
    """Find each label of a file, NIfTI or DICOM SEG; labels of one name are one structure.

    Names are those of the table, else of the file itself; a label without one is its number.
    """
    drawn = _closed(read_labels(path))
    known = drawn.table if table is None else read_table(table)
    is_named = table is not None or known.name != TOTALSEGMENTATOR
    names = {label.value: label.name for label in known.labels} if is_named else {}
    values: dict[str, tuple[int, ...]] = {}
    for value in sorted(held_labels(drawn.labels)):
        name = names.get(value, f"label {value}")
        values[name] = (*values.get(name, ()), value)
    subjects = tuple(Subject(name, labels) for name, labels in values.items())
    return Surfaces(subjects, file_name(path), drawn)


def _closed(drawn: Drawn) -> Drawn:
    """Put a voxel of nothing around labels whose grid ends where they do and not where a scan does.

    At the edge of a scan a structure may go on, so its surface stays open there.
    """
    if drawn.is_field:
        return drawn
    i, j, k = (n + 2 for n in drawn.geometry.shape)
    geometry = drawn.geometry.block((-1, -1, -1), (i, j, k))
    return replace(drawn, labels=np.pad(drawn.labels, 1), geometry=geometry)


def _counted(report: Report) -> Iterator[Subject]:
    """Name each volume that was looked for, with the labels that make it up.

    A volume that a person entered still has the labels that were drawn.
    """
    written = report.provenance.get("labels_written")
    for record in report.measurements:
        if record.quantity != VOLUME or record.value is None or record.is_of_comparison:
            continue
        side = "" if record.side == "none" else f"{record.side} "
        key = f"{record.structure} {record.side}"
        labels = _labels_of(record, report) if written is None else (int(written[key]),)
        yield Subject(side + record.structure, labels, record)


def _labels_of(record: Measurement, report: Report) -> tuple[int, ...]:
    """Return the labels of a structure of a side that was looked for."""
    organ = organs.owner(map(organs.load, exams.load(report.exam).organs), record.structure)
    looked_at = {one.side for one in report.measurements if one.quantity == VOLUME}
    numbers = organs.label_numbers(organ, [side for side in organ.sides if side in looked_at])
    return tuple(numbers[record.side, name] for name in organ.structure(record.structure).labels)


def _probability(path: Path, drawn: Drawn) -> Probability | None:
    """Read the probability that the labels were taken from, if it was kept."""
    if not path.is_file():
        return None
    found = read_probability(path)
    start = np.rint(drawn.geometry.to_indices(found.geometry.affine[None, :3, 3])[0]).astype(int)
    i, j, k = (int(n) for n in start)
    shape = found.geometry.shape
    if not found.geometry.matches(drawn.geometry.block((i, j, k), shape)):
        raise _other(PROBABILITY)
    cut = tuple(slice(max(s, 0), s + n) for s, n in zip(start, shape, strict=True))
    labels = drawn.labels[cut]
    if labels.shape != shape or np.count_nonzero(labels) != np.count_nonzero(drawn.labels):
        raise _other(PROBABILITY)
    differing = np.count_nonzero(found.with_background.argmax(axis=0) != labels)
    if differing > LARGEST_DIFFERENCE * np.count_nonzero(labels):
        raise _other(PROBABILITY)
    return found


def _check_count(record: Measurement | None, voxels: int) -> None:
    """Refuse labels that are not those that a record counted."""
    if record is not None and record.voxels not in (None, voxels):
        msg = f"{LABELS}: expected {record.voxels} voxels of {record.id}, found {voxels}"
        raise ScanError(Refusal.WRONG_GRID, f"{msg}; give the folder as it was drafted")


def _other(name: str) -> ScanError:
    msg = f"{name}: expected what belongs to {LABELS}, found another scan's"
    return ScanError(Refusal.WRONG_GRID, f"{msg}; remove it, or draft again")
