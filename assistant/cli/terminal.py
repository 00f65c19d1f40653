"""What the commands share: exit codes, options, bars. Knows nothing of any one command."""

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

    from assistant.pipeline import Assistant
    from segment.measurement import Measurement

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

OK, DOES_NOT_HOLD, REFUSED, NOTHING_MEASURED = 0, 1, 2, 3
DISCLAIMER = "Research software for drafting reports; not a medical device."
T = TypeVar("T")
Side = Literal["left", "right"] | None


def add_crop(command: argparse.ArgumentParser) -> None:
    """Take the two options that say the scan is the box around one side."""
    command.add_argument("--crop", action="store_true", help="the scan is the box around one side")
    command.add_argument("--side", choices=("left", "right"), help="of the crop")


def side_of(chosen: argparse.Namespace) -> Side:
    """Return the side of a crop; the two options need each other."""
    from segment.errors import Refusal, ScanError

    if chosen.crop != (chosen.side is not None):
        msg = "--crop and --side belong together; give both for the box around one side, or none"
        raise ScanError(Refusal.BAD_OPTION, msg)
    side: Side = chosen.side
    return side


def assistant_for(exam: str) -> "Assistant":
    """Build the assistant of an exam."""
    from assistant.pipeline import Assistant
    from assistant.settings import Settings

    return Assistant.from_settings(Settings(exam=exam))


def is_measured(records: Iterable["Measurement"]) -> bool:
    """Tell whether anything at all was measured."""
    return any(record.reason is None for record in records)


def without_folders(error: OSError) -> str:
    """Say what is wrong with a file by its name alone: a path above it can name a patient."""
    if error.filename is None:
        return str(error)
    return f"{Path(os.fsdecode(error.filename)).name}: {error.strerror}; give another file"


def bar_of(total: int, description: str) -> "tqdm[NoReturn]":
    """Show a bar on standard error, if somebody is looking."""
    from tqdm import tqdm

    return tqdm(total=total, desc=description, disable=None, bar_format="{desc} |{bar}| {elapsed}")


def shown(items: Iterator[T], total: int, description: str) -> Iterator[T]:
    """Pass items on, counting them on a bar."""
    bar = bar_of(total, description)
    for item in items:
        bar.update()
        yield item
    bar.close()
