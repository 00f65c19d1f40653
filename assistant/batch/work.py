"""One study from its files to a folder with its draft, whatever happens on the way.

Knows nothing of processes, and of the other studies only that they share its models.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import prompts
from assistant.batch.item import Item
from assistant.batch.outcome import Outcome, failed
from assistant.batch.place import NO_ROOM, fresh_part, not_written
from assistant.batch.source import PRIOR, read_earlier, read_item
from assistant.draft import Draft
from assistant.followup import Placed
from assistant.ledger import Ledger
from assistant.output import write_draft
from assistant.pipeline import Assistant
from assistant.report import Report
from assistant.settings import Settings
from assistant.steps import Gated, Measured, Segmented, Step
from assistant.study import Study
from assistant.writers import WritesMany
from assistant.writers.vlm.errors import OF_ONE_REQUEST, ModelError
from assistant.written import now
from segment.errors import Refusal, ScanError
from segment.register import Registration

Recipe = Callable[[Settings], Assistant]
T = TypeVar("T")
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

    ``parts`` is the folder in which studies are written. So many ``texts`` are written together,
    where the writer gains by it.
    """

    recipe: Recipe
    settings: Settings
    parts: Path
    texts: int = 1


@dataclass
class _Clock:
    """Seconds of each stage so far."""

    seconds: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def end(self, stage: str) -> None:
        """Book the time since the last stage to this one."""
        moment = time.perf_counter()
        self.book(stage, moment - self.since)

    def book(self, stage: str, seconds: float) -> None:
        """Book a share of what several studies took together, and begin anew."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + round(seconds, 4)
        self.since = time.perf_counter()


@dataclass(frozen=True, eq=False)
class _Begun:
    """A study that is measured and waits for its text; earlier ones as they were ``placed``."""

    item: Item
    assistant: Assistant
    measured: Measured
    clock: _Clock
    placed: tuple[Placed, ...]


class Desk:
    """Drafts studies; its assistants are built once and share their models."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._assistants: dict[tuple[str, str], Assistant] = {}

    def draft(self, item: Item) -> Finished | Halted:
        """Draft one study, as ``drafts`` does."""
        (result,) = self.drafts([item])
        return result

    def drafts(self, items: Sequence[Item]) -> Iterator[Finished | Halted]:
        """Draft each study into a part of its own; what goes wrong with it is its outcome.

        All their texts are written together where the writer gains by it; each study is yielded
        when it is over.
        """
        waiting: dict[int, list[_Begun]] = {}
        for item in items:
            begun = self._begun(item)
            if not isinstance(begun, _Begun):
                yield begun
            elif len(items) > 1 and isinstance(begun.assistant.writer, WritesMany):
                waiting.setdefault(id(begun.assistant.writer), []).append(begun)
            else:
                yield self._told(begun)
        for together in waiting.values():
            yield from self._told_together(together)

    def _begun(self, item: Item) -> _Begun | Finished | Halted:
        """Read and measure a study."""
        clock, study = _Clock(), None
        try:
            assistant = self._assistant_of(item)
        except ValueError as error:
            return Halted(str(error))
        try:
            modality = assistant.exam.modality
            study = read_item(item, modality)
            priors = read_earlier(item, modality)
            clock.end("read")
            placed: list[Placed] = []
            measured = _run(_measuring(assistant, study, priors, item), clock, placed)
        except Exception as error:  # a batch goes on when one study breaks
            return _of_scan(study, self._fault(item, error, clock))
        return _Begun(item, assistant, measured, clock, tuple(placed))

    def _told_together(self, studies: Sequence[_Begun]) -> Iterator[Finished | Halted]:
        """Write the texts of several studies; each gets its share of the time that takes.

        Where that breaks, those without a text are told one by one, so that each fails for itself.
        """
        writer, left, share_s = studies[0].assistant.writer, dict(enumerate(studies)), 0.0
        assert isinstance(writer, WritesMany)
        briefs = (begun.measured.brief for begun in studies)
        since = time.perf_counter()
        for place, draft in _until_broken(writer.write_many(briefs, len(studies))):
            share_s += (time.perf_counter() - since) / len(left)
            begun = left.pop(place)
            begun.clock.book("write", share_s)
            yield self._told(begun, draft)
            since = time.perf_counter()
        for begun in left.values():
            yield self._told(begun)

    def _told(self, begun: _Begun, draft: Draft | None = None) -> Finished | Halted:
        """Write a study's text, unless it is written already, and its files."""
        if draft is None:
            begun.clock.since = time.perf_counter()  # it may have waited for others
        try:
            report = _run(_telling(begun, draft), begun.clock)
        except Exception as error:  # a batch goes on when one study breaks
            return _of_scan(begun.measured.study, self._fault(begun.item, error, begun.clock))
        return self._written(begun, report)

    def _fault(self, item: Item, error: Exception, clock: _Clock) -> Finished | Halted:
        """Say what went wrong with a study, or with all."""
        if isinstance(error, ModelError):
            return _missed(item, error, clock)
        if isinstance(error, OSError):
            if error.errno in NO_ROOM:
                return Halted(not_written(self._duty.parts.parents[1], error), is_output=True)
            return _failed(item, "unreadable", _unreadable(error), clock)
        if isinstance(error, ScanError):
            return _failed(item, str(error.code), str(error), clock)
        return _failed(item, WRONG, _broken(error), clock)

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

    def _written(self, begun: _Begun, report: Report) -> Finished | Halted:
        """Write the files of a draft and have the disk keep them."""
        item, study, clock = begun.item, begun.measured.study, begun.clock
        parts, created = self._duty.parts, now()
        try:
            with fresh_part(parts, item.id) as part:
                segmented = begun.measured.segmented
                write_draft(part, study, segmented, report, created, begun.placed)
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


def _until_broken(drafts: Iterator[tuple[int, Draft]]) -> Iterator[tuple[int, Draft]]:
    """Yield drafts until their writer breaks: whoever is left without one is told why by itself."""
    try:
        yield from drafts
    except Exception:  # a batch goes on when one study breaks
        return


def _run(steps: Generator[Step, None, T], clock: _Clock, placed: list[Placed] | None = None) -> T:
    """Take steps of a study, with the time of each stage; return what comes of them.

    Where earlier studies lie is kept in ``placed``, for the pictures of what changed.
    """
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if type(step) in ENDS:
            clock.end(ENDS[type(step)])
        if placed is not None and isinstance(step, Placed):
            placed.append(step)


def _measuring(
    assistant: Assistant, study: Study, priors: tuple[Study, ...], item: Item
) -> Generator[Step, None, Measured]:
    """Measure a head, compared with earlier ones, or the box around one side."""
    if item.side is None:
        return (yield from assistant.measuring(study, priors=priors))
    segmented = assistant.crop(study, item.side)
    yield segmented
    return (yield from assistant.measured(study, segmented))


def _telling(begun: _Begun, draft: Draft | None) -> Generator[Step, None, Report]:
    """Tell what was measured."""
    for step in begun.assistant.telling(begun.measured, draft):
        yield step
    assert isinstance(step, Report)
    return step


def _of_scan(study: Study | None, result: Finished | Halted) -> Finished | Halted:
    """Say of what scan a study failed, where it was read."""
    if study is None or isinstance(result, Halted):
        return result
    outcome = replace(result.outcome, input_sha256=study.volume.sha256)
    return replace(result, outcome=outcome)


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
