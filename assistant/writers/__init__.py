"""What turns a ledger into sentences, one folder each; none is imported before it is asked for."""

import tomllib
from importlib import import_module
from importlib.resources import files
from typing import Literal, Protocol, cast, runtime_checkable

from assistant.draft import Draft
from assistant.exams import Exam
from assistant.ledger import Ledger
from prompts import Phrasebook
from segment.measurement import Measurement

Assessment = Literal["below", "within", "above", "overlaps"]
Difference = Literal["left_larger", "right_larger", "no_difference_shown"]


@runtime_checkable
class Writer(Protocol):
    """Anything that turns a ledger into statements with slots."""

    def __call__(self, ledger: Ledger, exam: Exam, phrasebook: Phrasebook) -> Draft:
        """Write one draft."""


def available() -> tuple[str, ...]:
    """Name the writers that have a folder here."""
    here = files(__package__)
    return tuple(sorted(d.name for d in here.iterdir() if d.joinpath("writer.toml").is_file()))


def load(name: str, **options: object) -> Writer:
    """Import one writer and build it; raises ValueError for an unknown one."""
    if name not in available():
        msg = f"unknown writer {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(name, "writer.toml").read_text(encoding="utf-8")
    module, _, attribute = tomllib.loads(text)["factory"].partition(":")
    return cast(Writer, getattr(import_module(module), attribute)(**options))


def assess(measurement: Measurement) -> Assessment | None:
    """Place the whole interval against the reference range; None where there is none of either.

    An interval that crosses a limit overlaps: it is neither inside nor outside.
    """
    interval, reference = measurement.interval, measurement.reference
    if interval is None or reference is None or measurement.reason is not None:
        return None
    if interval.upper < reference.lower:
        return "below"
    if interval.lower > reference.upper:
        return "above"
    if reference.lower <= interval.lower and interval.upper <= reference.upper:
        return "within"
    return "overlaps"


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
