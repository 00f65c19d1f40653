"""Real test-retest: what an assistant measures in persons who were scanned twice, unchanged.

Each pair of visits goes the way of a draft with a prior. What was interrupted goes on: the volumes
of each pair lie in the folder ``visits`` of the output. Knows nothing of who shows the steps.
"""

import csv
import hashlib
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from assistant import exams
from assistant.followup import Priors, visit_of
from assistant.gate import check_head
from assistant.pipeline import Assistant
from assistant.study import Study, patient_ids, read_study
from assistant.writers import drain
from assistant.written import written_whole
from segment.adapt.prepare import Progress, Step, Warned
from segment.change import days_between, half_width_log, why_apart
from segment.errors import Refusal, ScanError
from segment.local.counted import name_of
from segment.measure import VOLUME
from segment.measurement import EARLIER, Measurement
from segment.repeatability import VISITS, Repeatability, RepeatLevel, Within, are_alike
from segment.retest import Retest, read_retests, within, write_retests
from segment.retest_needs import FEWEST_SUBJECTS

COLUMNS = ("scan", "subject")
KEPT = "visits"  # a folder: what was measured, a file a pair
VISIT = "visit"  # the source of a row
RETESTS, REPEATABILITY = "retests.csv", "repeatability.toml"
EARLIER_FIRST = (EARLIER, VOLUME)
NOT_PLACED = "its heads could not be aligned with confidence, or differ in size"


@dataclass(frozen=True)
class Pair:
    """Two visits of a subject, the earlier first; ``days`` between them where both are dated.

    ``number`` counts subjects from one, so that what is written names none.
    """

    subject: str
    number: int
    scans: tuple[Path, Path]
    sha256: tuple[str, str]
    edges_mm: tuple[float, ...]
    days: int | None

    @property
    def thickness_mm(self) -> int:
        """The thickness of its slices in whole millimetres, as rows say it."""
        return round(self.edges_mm[-1])


def read_visits(table: Path) -> Mapping[str, tuple[Path, ...]]:
    """Read the scans of each subject from a CSV (scan,subject), paths relative to its folder.

    Raises ScanError for another table, and for a subject of whom there is one scan alone.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{table.name}: expected a table of visits (CSV: {','.join(COLUMNS)}), found none"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} that can be read; give its file") from error
    if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) or not all(row) for row in rows):
        msg = f"{table.name}: expected the columns {','.join(COLUMNS)}, both filled in each row"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; found something else; correct the table")
    subjects = dict.fromkeys(subject for _, subject in rows)
    visits = {
        one: tuple(table.parent / scan for scan, subject in rows if subject == one)
        for one in subjects
    }
    if alone := [subject for subject, scans in visits.items() if len(scans) < 2]:
        msg = f"{table.name}: expected two scans or more of each subject, found one of {alone[0]}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; add another or take it away")
    _expect_enough(len(visits), "subjects")
    return visits


def visited(
    assistant: Assistant, visits: Mapping[str, Sequence[Path]], output: Path, shipped: Repeatability
) -> Generator[Step, None, tuple[Repeatability, Repeatability]]:
    """Measure every visit; return what they show, and what stands and is written.

    What they show stands where it is larger than what ``shipped`` says. Raises ScanError for scans
    that are not of one person, of one protocol or of this exam, and for too few subjects, before
    any is measured where the files already tell.
    """
    if assistant.exam.segmenter == exams.SUPPLIED:
        msg = f"exam {assistant.exam.name} has no networks to repeat; choose another exam"
        raise ValueError(msg)
    with written_whole(output):
        pass  # a folder that cannot be written to is refused before any work
    pairs = yield from _read(visits)
    kept = output / KEPT
    kept.mkdir(parents=True, exist_ok=True)
    rows: list[Retest] = []
    for number, pair in enumerate(pairs, start=1):
        found, why = _measured(assistant, pair, number, kept)
        rows += found
        if why is not None:
            yield Warned(f"subject {pair.subject}: a pair of visits is left out: {why}")
        yield Progress("measuring", number, len(pairs))
    own = yield from _estimated(assistant, rows, pairs)
    standing = own.no_narrower_than(shipped)
    with written_whole(output) as folder:
        write_retests(folder / RETESTS, rows)
        (folder / REPEATABILITY).write_text(standing.to_toml(), encoding="utf-8")
    return own, standing


def _read(visits: Mapping[str, Sequence[Path]]) -> Generator[Step, None, tuple[Pair, ...]]:
    """Read every scan once and pair those of each subject by date; refuse what is no retest."""
    owners: dict[str, str] = {}
    pairs: list[Pair] = []
    for done, (subject, scans) in enumerate(visits.items(), start=1):
        try:
            seen = [(path, read_study(path)) for path in scans]
            pairs += _paired(subject, done, seen)
        except ScanError as error:
            raise ScanError(error.code, f"subject {subject}: {error}") from error
        _expect_nobody_else(owners, subject, [study for _, study in seen])
        yield Progress("reading", done, len(visits))
    first, *rest = pairs
    for pair in rest:
        if not all(map(are_alike, first.edges_mm, pair.edges_mm)):
            found = " and of ".join(_edges(one) for one in (first, pair))
            msg = f"expected visits with alike voxels, found some of {found} mm"
            raise ScanError(Refusal.BAD_OPTION, f"{msg}; give each protocol by itself")
    return tuple(pairs)


def _edges(pair: Pair) -> str:
    return " x ".join(f"{edge:.2g}" for edge in pair.edges_mm)


def _paired(subject: str, number: int, seen: Sequence[tuple[Path, Study]]) -> Iterator[Pair]:
    """Pair each visit with the next; raises ScanError for two that no draft would compare."""
    for _, study in seen:
        check_head(study.volume)
    dated = sorted(seen, key=lambda one: one[1].volume.date or "")
    for (earlier, before), (later, after) in pairwise(dated):
        Priors(after, (before,))
        now, then = visit_of(after, ()), visit_of(before, ())
        if why_apart(now, then) is not None:
            msg = "expected visits with voxels and settings that can be compared, found others"
            raise ScanError(Refusal.BAD_OPTION, f"{msg}; take the subject out of the table")
        yield Pair(
            subject,
            number,
            (earlier, later),
            (before.volume.sha256, after.volume.sha256),
            tuple(sorted(after.volume.geometry.spacing_mm)),
            days_between(then.date, now.date),
        )


def _expect_nobody_else(owners: dict[str, str], subject: str, studies: Sequence[Study]) -> None:
    """Refuse a scan or a patient that came under another subject's name."""
    marks = {*(study.volume.sha256 for study in studies), *patient_ids(studies)}
    for mark in marks:
        if owners.setdefault(mark, subject) != subject:
            msg = f"expected each person under one name, found one as {owners[mark]} and {subject}"
            raise ScanError(Refusal.BAD_OPTION, f"{msg}; correct the table")


def _measured(
    assistant: Assistant, pair: Pair, number: int, folder: Path
) -> tuple[tuple[Retest, ...], str | None]:
    """Measure a pair as a draft does, unless that was done before; say why it cannot be used."""
    segmenter = assistant.loading.result()
    networks = (segmenter.name, segmenter.weights_sha256, segmenter.runtime)
    intervals = (assistant.calibrated.id, assistant.exam.name, assistant.exam.coverage)
    path = folder / Path(name_of(pair.sha256, *networks, *intervals)).with_suffix(".csv")
    if not path.exists():
        before, after = map(read_study, pair.scans)
        try:
            measured = drain(assistant.measuring(after, priors=(before,)))
        except ScanError as error:
            raise ScanError(error.code, f"subject {pair.subject}: {error}") from error
        why = measured.earlier[0].doubt
        rows = () if why else _rows(measured.brief.ledger.records, pair)
        with written_whole(folder) as temporary:
            write_retests(temporary / path.name, rows)
    kept = read_retests(path)
    numbered = (
        replace(row, case=int(math.copysign(number, row.case)), subject=pair.number) for row in kept
    )
    return tuple(numbered), None if kept else NOT_PLACED


def _rows(records: Sequence[Measurement], pair: Pair) -> tuple[Retest, ...]:
    """Write one row for each volume of both dates, the earlier first."""
    return tuple(
        Retest(
            source=VISIT,
            case=-1 if record.side == "right" else 1,
            subject=1,
            thickness_mm=pair.thickness_mm,
            repeat=EARLIER_FIRST.index(record.quantity),
            structure=record.structure,
            value_ml=record.value or 0.0,
            half_log=half_width_log(record.interval) if record.interval else 0.0,
            reason=str(record.reason or ""),
        )
        for quantity in EARLIER_FIRST
        for record in records
        if record.quantity == quantity
    )


def _estimated(
    assistant: Assistant, rows: Sequence[Retest], pairs: Sequence[Pair]
) -> Generator[Step, None, Repeatability]:
    """Estimate the variation of each structure of which enough pairs are left."""
    structures: dict[str, Within] = {}
    for structure in assistant.exam.structures:
        usable = tuple(_both_reportable([row for row in rows if row.structure == structure]))
        count = len({row.subject for row in usable})
        if count >= FEWEST_SUBJECTS:
            structures[structure] = within(usable)
            continue
        told = f"{structure}: {count} subjects whose volumes are not withheld"
        yield Warned(f"{told}; at least {FEWEST_SUBJECTS} are needed to judge its changes")
    most = max((within.subjects for within in structures.values()), default=0)
    _expect_enough(most, "subjects whose volumes are not withheld")
    edges_mm = tuple(map(median, zip(*(pair.edges_mm for pair in pairs), strict=True)))
    level = RepeatLevel(edges_mm[-1], structures, edges_mm)
    segmenter = assistant.loading.result()
    digest = hashlib.sha256("".join(sha for pair in pairs for sha in pair.sha256).encode())
    return Repeatability(
        id=f"{segmenter.name}-repeat-visits-{digest.hexdigest()[:8]}",
        source=_source(most, pairs),
        levels=(level,),
        scope=VISITS,
        weights_sha256=segmenter.weights_sha256,
        calibration=assistant.calibrated.id,
    )


def _both_reportable(rows: Sequence[Retest]) -> Iterator[Retest]:
    """Yield the rows of pairs of which neither volume is withheld, each subject's numbered."""
    for case in dict.fromkeys(row.case for row in rows):
        mine = [row for row in rows if row.case == case]
        if len(mine) == len(EARLIER_FIRST) and not any(row.reason for row in mine):
            yield from mine


def _source(subjects: int, pairs: Sequence[Pair]) -> str:
    """Say from what the variation comes, in words that name nobody."""
    days = [pair.days for pair in pairs]
    known = [day for day in days if day is not None]
    apart = f"at most {max(known)} days apart" if known else "days apart not known"
    if known and len(known) < len(days):
        apart += f" where dated ({len(known)} of {len(days)} pairs)"
    return f"repeat visits of {subjects} subjects taken to be unchanged, {apart}"


def _expect_enough(count: int, what: str) -> None:
    """Refuse too few; raises ScanError."""
    if count < FEWEST_SUBJECTS:
        msg = f"the visits: expected at least {FEWEST_SUBJECTS} {what}, found {count}; add some"
        raise ScanError(Refusal.BAD_OPTION, msg)
