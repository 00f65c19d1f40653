"""What each exam needs, measures and must say: data, one file each. Knows nothing of any scan."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from segment.reading.roles import ROLES, Role
from segment.shelf import EXAM, owned, shelves
from segment.table import filled

SUPPLIED = "supplied"
Compares = Literal["structures", "lesions", "nothing"]


@dataclass(frozen=True)
class Exam:
    """One exam: its input, what it measures and the threshold above which it withholds.

    ``segmenter`` is a model, or SUPPLIED where a segmentation comes with the study; ``writer`` is
    the one that writes where the settings name none.

    ``compares`` says what is compared with an earlier study: structures, lesions or nothing.

    ``measures`` are roles of a series: the first that a study holds is the one that is measured.
    ``misses`` are those whose absence from a study of known roles the report says.

    ``kinds`` and ``parts`` are values of a reader's facts, such as ``mr_t1`` and ``head``: what
    its pictures may look like. An empty one is not checked. ``rules`` are those that a comparison
    with an earlier study is held against.
    """

    name: str
    organs: tuple[str, ...]
    measures: tuple[Role, ...]
    misses: tuple[Role, ...]
    modality: str
    kinds: tuple[str, ...]
    parts: tuple[str, ...]
    segmenter: str
    compares: Compares
    writer: str
    coverage: float
    widest_relative_interval: float
    structures: tuple[str, ...]
    asymmetry: tuple[str, ...]
    rules: tuple[str, ...]
    not_assessed: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1 or self.widest_relative_interval <= 0:
            msg = f"exam {self.name}: coverage lies between 0 and 1 and the widest interval above 0"
            raise ValueError(msg)
        if strange := sorted({*self.measures, *self.misses} - {*ROLES}):
            msg = f"exam {self.name}: expected roles of {', '.join(ROLES)}, found {strange}"
            raise ValueError(msg)
        if unknown := sorted(set(self.asymmetry) - set(self.structures)):
            msg = f"exam {self.name}: the asymmetry of {unknown} needs their volumes"
            raise ValueError(msg)

    @property
    def takes_networks(self) -> bool:
        """Whether a user's own networks can draw in the place of a segmentation."""
        return self.segmenter == SUPPLIED and self.compares != "lesions"


def available() -> tuple[str, ...]:
    """Name the exams that have a file here or on the user's shelves."""
    return tuple(sorted({*_shipped(), *owned(EXAM)}))


def drawn() -> tuple[str, ...]:
    """Name the exams whose structures are drawn here: they need nothing beside the scan."""
    return tuple(name for name in available() if load(name).segmenter != SUPPLIED)


def load(name: str) -> Exam:
    """Read one exam; raises ValueError for an unknown name and for an unknown or missing key."""
    if name not in available():
        msg = f"unknown exam {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    is_shipped = name in _shipped()
    file = files(__package__) / f"{name}.toml" if is_shipped else shelves() / name / EXAM
    return filled(Exam, tomllib.loads(file.read_text(encoding="utf-8")), f"exam {name}")


def _shipped() -> tuple[str, ...]:
    here = files(__package__)
    return tuple(f.name.removesuffix(".toml") for f in here.iterdir() if f.name.endswith(".toml"))
