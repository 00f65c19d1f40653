"""Intervals of a user's own scans: what an assistant counts in them, beside an expert's labels.

What was interrupted goes on: each scan's counts lie in the folder ``counted`` of the output. Knows
nothing of how intervals are fitted or of who shows the steps.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from assistant import exams
from assistant.building import weights_file
from assistant.evaluation import segmented_for
from assistant.pipeline import Assistant
from assistant.study import read_study
from assistant.written import written_whole
from segment.adapt.prepare import Progress, Step, Warned
from segment.adapt.scans import Scan, find_scans, guesses, same_picture
from segment.calibration import Calibrated
from segment.errors import ScanError
from segment.intervals import POOLED, WEIGHTED, Grouping
from segment.local.counted import Counted, count, keep, kept, name_of
from segment.local.fit import LocalFigures, cases_from, check_enough, figures, fitted, untraced
from segment.local.traced import Traced, thickest_mm, traced
from segment.local.write import write_local
from segment.segmentation import Side

COUNTED = "counted"


@dataclass(frozen=True)
class LocalRequest:
    """What a user asks for; ``side`` is that of crops whose names state none, None for heads."""

    images: Path
    labels: Path
    side: Literal["left", "right"] | None = None
    coverage: float = 0.9
    subjects: Path | None = None
    resample: bool = False
    intervals: Grouping = POOLED

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            msg = f"coverage is a share between 0 and 1, not {self.coverage}"
            raise ValueError(msg)
        if self.intervals == WEIGHTED:
            msg = (
                "expected intervals of labelled scans pooled or by size, found them weighted, which"
            )
            raise ValueError(f"{msg} needs no labels; see assistant.likening")

    def side_of(self, scan: Scan) -> Literal["left", "right"] | None:
        """Return the side of a crop, its name's before the one asked for; None of a head."""
        if self.side is None or scan.side is None:
            return self.side
        return "left" if scan.side == "left" else "right"


@dataclass(frozen=True)
class Localised:
    """What was made."""

    calibrated: Calibrated
    figures: tuple[LocalFigures, ...]


def localised(
    assistant: Assistant, asked: LocalRequest, output: Path
) -> Generator[Step, None, Localised]:
    """Fit intervals on labelled scans and write a folder that ``--weights`` takes.

    Raises ScanError for scans or labels that cannot be used and for too few subjects, before any
    is segmented where the files already tell.
    """
    if assistant.exam.segmenter == exams.SUPPLIED:
        msg = f"exam {assistant.exam.name} has no networks to calibrate; choose another exam"
        raise ValueError(msg)
    with written_whole(output):
        pass  # a folder that cannot be written to is refused before any work
    found = yield from _read(assistant, asked)
    segmenter = assistant.settings.segmenter or assistant.exam.segmenter
    (output / COUNTED).mkdir(parents=True, exist_ok=True)
    counts = []
    for done, one in enumerate(found, start=1):
        counts.append(_counted(assistant, one, asked, output / COUNTED))
        yield Progress("segmenting", done, len(found))
    organ, before = assistant.organ, assistant.calibrated
    cases = yield from cases_from(found, counts)
    calibrated = fitted(cases, found, organ, before, asked.coverage, asked.intervals)
    coarsest = max((one.spacing_mm for one in found), key=lambda spacing: sorted(spacing)[::-1])
    told = yield from figures(cases, organ, before, coarsest, asked.coverage, asked.intervals)
    with (
        weights_file(segmenter, assistant.settings) as weights,
        written_whole(output) as folder,
    ):
        write_local(calibrated, cases, told, weights, segmenter, folder)
    return Localised(calibrated, told)


def _read(assistant: Assistant, asked: LocalRequest) -> Generator[Step, None, tuple[Traced, ...]]:
    """Read every scan and its labels; return them by subject, scans of one picture together."""
    scans = find_scans(asked.images, asked.labels, asked.subjects)
    name = assistant.organ.name
    check_enough(len({scan.subject for scan in scans}), asked.coverage, name)
    yield from map(Warned, guesses(scans))
    found = []
    for done, scan in enumerate(scans, start=1):
        sides = _sides(assistant, asked.side_of(scan))
        found.append(traced(scan, assistant.organ, sides, resample=asked.resample))
        yield Progress("reading", done, len(scans))
    thickest_mm(found)
    joined, warnings = same_picture(scans, {one.scan.name: one.picture for one in found})
    yield from map(Warned, warnings)
    check_enough(len({scan.subject for scan in joined}), asked.coverage, name)
    owned = tuple(replace(one, scan=scan) for one, scan in zip(found, joined, strict=True))
    yield from untraced(owned)
    return owned


def _counted(
    assistant: Assistant, one: Traced, asked: LocalRequest, folder: Path
) -> tuple[Counted, ...]:
    """Count in one scan, unless that was done before with the same networks and gate."""
    segmenter, gate = assistant.loading.result(), assistant.calibrated
    side, organ, least = asked.side_of(one.scan), assistant.organ, dict(gate.least_agreement)
    networks = (segmenter.name, segmenter.weights_sha256, segmenter.runtime)
    path = folder / name_of(one.sha256, *networks, side, organ.name, least)
    if path.exists():
        return kept(path)
    try:
        segmented = segmented_for(assistant, read_study(one.scan.image), side)
    except ScanError as error:
        sentence = str(error).removeprefix("the scan: ")
        raise ScanError(error.code, f"{one.scan.name}: {sentence}") from error
    found = count(segmented.sides, organ, gate, one.spacing_mm)
    keep(path, found)
    return found


def _sides(assistant: Assistant, side: Literal["left", "right"] | None) -> Sequence[Side]:
    return assistant.organ.sides if side is None else (side,)
