"""One study from its files to a folder with its draft, whatever happens on the way.

Knows nothing of processes, and of the other studies only that they share its models.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import prompts
from assistant.batch.item import Item
from assistant.batch.outcome import Outcome, failed
from assistant.batch.place import NO_ROOM, fresh_part, not_written
from assistant.batch.source import PRIOR, read_earlier, read_item
from assistant.draft import Draft
from assistant.ledger import Ledger
from assistant.output import write_draft
from assistant.pipeline import Assistant, Gated, Segmented, Step
from assistant.report import Report
from assistant.settings import Settings
from assistant.study import Study
from assistant.writers.vlm.errors import OF_ONE_REQUEST, ModelError
from assistant.written import now
from segment.errors import Refusal, ScanError
from segment.register import Registration

Recipe = Callable[[Settings], Assistant]
# The stage that ends with each result.
ENDS: dict[type, str] = {
    Gated: "gate",
    Registration: "locate",
    Segmented: "segment",
    Ledger: "measure",
    Draft: "write",
    Report: "verify",
}
WRONG = "internal"


@dataclass(frozen=True)
class Finished:
    """A study that is over; ``part`` is the name of the folder that holds its files, if any."""

    outcome: Outcome
    part: str | None = None


@dataclass(frozen=True)
class Halted:
    """The run cannot go on, whatever study is next: a full disk, a model that is not to be had.

    ``is_output`` says that it is for want of a folder to write to.
    """

    sentence: str
    is_output: bool = False

    @property
    def error(self) -> ValueError:
        """What the run raises."""
        if self.is_output:
            return ScanError(Refusal.OUTPUT, self.sentence)
        return ValueError(self.sentence)


@dataclass(frozen=True)
class Duty:
    """What a worker needs to know; it is sent to another process, so ``recipe`` is a function.

    ``parts`` is the folder in which studies are written.
    """

    recipe: Recipe
    settings: Settings
    parts: Path


@dataclass
class _Clock:
    """Seconds of each stage so far."""

    seconds: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def end(self, stage: str) -> None:
        """Book the time since the last stage to this one."""
        moment = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + round(moment - self.since, 4)
        self.since = moment


class Desk:
    """Drafts one study after the other; its assistants are built once and share their models."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._assistants: dict[tuple[str, str], Assistant] = {}

    def draft(self, item: Item) -> Finished | Halted:
        """Draft a study into a part of its own; what goes wrong with it is its outcome."""
        clock = _Clock()
        try:
            assistant = self._assistant_of(item)
        except ValueError as error:
            return Halted(str(error))
        try:
            modality = assistant.exam.modality
            study, priors = read_item(item, modality), read_earlier(item, modality)
            clock.end("read")
            segmented, report = _run(_steps(assistant, study, priors, item), clock)
        except ModelError as error:
            return _missed(item, error, clock)
        except OSError as error:
            if error.errno in NO_ROOM:
                return Halted(not_written(self._duty.parts.parents[1], error), is_output=True)
            return _failed(item, "unreadable", _unreadable(error), clock)
        except ScanError as error:
            return _failed(item, str(error.code), str(error), clock)
        except Exception as error:  # a batch goes on when one study breaks
            return _failed(item, WRONG, _broken(error), clock)
        return self._written(item, study, segmented, report, clock)

    def _assistant_of(self, item: Item) -> Assistant:
        """Build the assistant of an item; one exam in two languages reads its models once."""
        key = item.exam, item.language
        if key not in self._assistants:
            settings = replace(self._duty.settings, exam=item.exam, language=item.language)
            before = next((a for (e, _), a in self._assistants.items() if e == item.exam), None)
            words = prompts.load(item.language)
            self._assistants[key] = (
                self._duty.recipe(settings)
                if before is None
                else replace(before, settings=settings, phrasebook=words)
            )
        return self._assistants[key]

    def _written(
        self, item: Item, study: Study, segmented: Segmented, report: Report, clock: _Clock
    ) -> Finished | Halted:
        """Write the files of a draft and have the disk keep them."""
        parts, created = self._duty.parts, now()
        try:
            with fresh_part(parts, item.id) as part:
                write_draft(part, study, segmented, report, created)
            digest = hashlib.sha256((part / "report.json").read_bytes()).hexdigest()
        except OSError as error:
            return Halted(not_written(parts.parents[1], error), is_output=True)
        clock.end("save")
        is_measured = any(not record.is_withheld for record in report.measurements)
        outcome = Outcome(
            id=item.id,
            status="drafted" if is_measured else "nothing-measured",
            exam=item.exam,
            language=item.language,
            finished=created,
            prior=item.prior,
            seconds=clock.seconds,
            input_sha256=study.volume.sha256,
            report_sha256=digest,
            measurements=report.measurements,
        )
        return Finished(outcome, part.name)


def _run(steps: Iterator[Step], clock: _Clock) -> tuple[Segmented, Report]:
    """Take the steps of a study; keep what is written, and the time of each stage."""
    segmented: Segmented | None = None
    report: Report | None = None
    for step in steps:
        if type(step) in ENDS:
            clock.end(ENDS[type(step)])
        segmented = step if isinstance(step, Segmented) else segmented
        report = step if isinstance(step, Report) else report
    assert segmented is not None
    assert report is not None
    return segmented, report


def _steps(
    assistant: Assistant, study: Study, priors: tuple[Study, ...], item: Item
) -> Iterator[Step]:
    """Yield the steps of a head, compared with earlier ones, or of the box around one side."""
    if item.side is None:
        yield from assistant.steps(study, priors=priors)
        return
    segmented = assistant.crop(study, item.side)
    yield segmented
    yield from assistant.report(study, segmented)


def _failed(item: Item, code: str, sentence: str, clock: _Clock) -> Finished:
    """Say of a study by its id what was said of it by its file's name, which may be a patient's."""
    if (
        code == Refusal.SEVERAL_SERIES
    ):  # which ones is told by names of files, which may be anybody's
        sentence = "expected one scan, found several; give one, or a manifest with its series"
    whose, named, rest = sentence.partition(": expected ")
    said = f"expected {rest}" if named and whose != PRIOR else sentence
    return Finished(failed(item, code, f"{item.id}: {said}", now(), clock.seconds))


def _missed(item: Item, error: ModelError, clock: _Clock) -> Finished | Halted:
    """Tell a study that got no text from a model that nobody will get one from."""
    if error.code not in OF_ONE_REQUEST:
        return Halted(str(error))
    sentence = f"{item.id}: {error}"
    return Finished(failed(item, str(error.code), sentence, now(), clock.seconds))


def _unreadable(error: OSError) -> str:
    return (
        f"expected a readable file, found {error.strerror or type(error).__name__}; copy it again"
    )


def _broken(error: Exception) -> str:
    """Name the kind and the place of a fault; its own words may quote the scan's file."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"expected no fault of the program, found {type(error).__name__} ({place}); report it"
