"""How a network learns from where it begins, by name. Knows nothing of networks or weights."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from segment.table import filled

SCRATCH, GENTLE = "scratch", "gentle"


@dataclass(frozen=True)
class Schedule:
    """How a network learns: see ``schedules.toml``."""

    rate_share: float
    held_share: float


def schedules() -> Mapping[str, Schedule]:
    """Read every schedule by its name."""
    text = files(__package__).joinpath("schedules.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return {name: filled(Schedule, entry, f"schedule {name}") for name, entry in table.items()}


def check_schedule(name: str) -> None:
    """Raise ValueError for a name that no schedule has."""
    if name not in (known := schedules()):
        msg = f"expected one of the schedules {', '.join(known)}, found {name!r}"
        raise ValueError(f"{msg}; name one of them")
