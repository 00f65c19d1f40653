"""What turns a ledger into sentences, one folder each; none is imported before it is asked for."""

import tomllib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any, Literal, Protocol, TypeVar, cast, runtime_checkable

from assistant.draft import Draft, Statement
from assistant.exams import Exam
from assistant.ledger import Ledger
from prompts import Phrasebook
from segment.measurement import Measurement
from segment.segmentation import Segmentation
from segment.table import shelved
from segment.volume import Volume

Assessment = Literal["below", "within", "above", "overlaps"]
Verdict = Literal["increased", "decreased", "within_error"]
Difference = Literal["left_larger", "right_larger", "no_difference_shown"]
KEYS = {"factory", "options"}
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Shown:
    """What a writer may look at: the scan, and what was segmented in it by its name."""

    volume: Volume
    subjects: Mapping[str, Segmentation]


@dataclass(frozen=True, eq=False)
class Brief:
    """All that a writer gets; ``shown`` is None for a report that was read back from its file.

    ``is_cautious`` tells whether the report that is asked about is to be taken with caution.
    """

    ledger: Ledger
    exam: Exam
    phrasebook: Phrasebook
    shown: Shown | None = None
    is_cautious: bool = False


@dataclass(frozen=True)
class Turn:
    """An earlier question of a dialogue and what was answered."""

    question: str
    answer: tuple[Statement, ...]


@dataclass(frozen=True)
class Preparing:
    """What is done once, before the first draft: how many of its stages are done."""

    done: int
    stages: int


@runtime_checkable
class Writer(Protocol):
    """Anything that turns a ledger into statements with slots.

    Both methods yield each statement as it is finished and return the whole draft.
    """

    def write(self, brief: Brief) -> Generator[Statement, None, Draft]:
        """Write the report of a study."""

    def answer(
        self, brief: Brief, question: str, turns: tuple[Turn, ...] = ()
    ) -> Generator[Statement, None, Draft]:
        """Answer a question about a study; ``turns`` are those before it, the oldest first."""


@runtime_checkable
class WritesMany(Protocol):
    """A writer to which several reports at once cost less than one after the other."""

    def write_many(self, briefs: Iterable[Brief], at_once: int) -> Iterator[tuple[int, Draft]]:
        """Write so many reports at once; yield each when it is whole, with its brief's place.

        A brief is taken when there is room for it. The drafts are those that ``write`` returns.
        """


@runtime_checkable
class Loads(Protocol):
    """A writer that must be read before it can write."""

    def preparing(self) -> Iterator[Preparing]:
        """Do what is done once on a machine, yielding each stage as it begins."""

    def start(self) -> None:
        """Begin to read in the background."""

    def check(self) -> None:
        """Raise now what has gone wrong with reading so far."""


def drain(steps: Generator[object, None, T]) -> T:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


def available() -> tuple[str, ...]:
    """Name the writers that have a folder here."""
    return shelved(__package__, "writer.toml")


def describe(name: str) -> dict[str, Any]:
    """Read what a writer is and which settings it takes; raises ValueError for an unknown one."""
    if name not in available():
        msg = f"unknown writer {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(name, "writer.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    if unknown := sorted(table.keys() ^ KEYS):
        msg = f"writer {name}: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    return table


def load(name: str, **options: object) -> Writer:
    """Import one writer and build it; raises ValueError for an unknown one."""
    module, _, attribute = describe(name)["factory"].partition(":")
    return cast(Writer, getattr(import_module(module), attribute)(**options))


def assess(measurement: Measurement) -> Assessment | None:
    """Place the whole interval against the reference range; None where there is none of either.

    An interval that crosses a limit overlaps: it is neither inside nor outside.
    """
    interval, reference = measurement.interval, measurement.reference
    if interval is None or reference is None or measurement.reason is not None:
        return None
    if measurement.comparator is not None:
        return None  # the range of a change is its measurement error
    if interval.upper < reference.lower:
        return "below"
    if interval.lower > reference.upper:
        return "above"
    if reference.lower <= interval.lower and interval.upper <= reference.upper:
        return "within"
    return "overlaps"


def verdict(measurement: Measurement) -> Verdict | None:
    """Judge a change by its measurement error; None where that is not known.

    It is beyond the error where its value is, and where its interval excludes zero besides.
    """
    value, interval, error = measurement.value, measurement.interval, measurement.reference
    if measurement.comparator is None or measurement.reason is not None:
        return None
    if value is None or interval is None or error is None:
        return None
    if value > error.upper and interval.lower > 0:
        return "increased"
    if value < error.lower and interval.upper < 0:
        return "decreased"
    return "within_error"


def difference(measurement: Measurement) -> Difference | None:
    """Say which side an asymmetry index shows to be larger: only if its interval excludes zero."""
    interval = measurement.interval
    if interval is None or measurement.reason is not None:
        return None
    if interval.lower > 0:
        return "left_larger"
    if interval.upper < 0:
        return "right_larger"
    return "no_difference_shown"
