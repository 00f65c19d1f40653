"""What all sites of a federation agree on. Knows nothing of networks, of Flower or of any site."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segment.federated.combine import WAYS
from segment.privacy import Private
from segment.table import COUNT, NATURAL, SEED, Range, check_ranges, filled, read_as

SEGMENTER, WRITER = "segmenter", "writer"
BYTES: Mapping[str, int] = {"float32": 4, "float16": 2}  # of a number that is sent
CHOICES: Mapping[str, Collection[str]] = {
    "part": (SEGMENTER, WRITER),
    "combine": WAYS,
    "sent": BYTES,
}
MOST_SECURE = 64  # whose numbers of 26 bits add up to 32
LEAST_SECURE = 3  # of two sites, each learns the other's weights from the sum
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("rounds", "epochs", "least_sites", "least_cases", "most_change"), COUNT),
    **dict.fromkeys(("joining_s", "round_s", "proximal"), NATURAL),
    "seed": SEED,
}


@dataclass(frozen=True)
class FederationPlan:
    """Every number of a federation, as read from its TOML file.

    ``part`` is what is trained: the segmenter, or the writer's adapter. ``sites`` are waited for
    at the beginning, for ``joining_s``; ``least_sites`` must take part in every round.
    ``proximal`` is the strength of FedProx, 0 for FedAvg; ``most_change`` is the largest change
    of a site in medians of all changes. Numbers travel as ``sent``. With ``secure`` the server
    sees the sum of all sites alone; ``private``, unless it is empty, is how each site hides its
    subjects; ``training`` is what the training of that part takes.
    """

    part: str
    seed: int
    rounds: int
    epochs: int
    proximal: float
    combine: str
    trimmed_share: float
    most_change: float
    sites: int
    least_sites: int
    least_cases: int
    joining_s: float
    round_s: float
    sent: str
    secure: bool
    private: Mapping[str, Any]
    training: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (chosen := getattr(self, name)) not in known:
                msg = f"{name}: expected one of {', '.join(known)}, found {chosen!r}; change it"
                raise ValueError(msg)
        if not 0 <= self.trimmed_share < 0.5:
            msg = f"trimmed_share: expected a share below 0.5, found {self.trimmed_share}"
            raise ValueError(f"{msg}; both ends are left out")
        if self.sites < self.least_sites:
            msg = f"sites: expected {self.least_sites} or more, as least_sites, found {self.sites}"
            raise ValueError(f"{msg}; change one of them")
        check_ranges(self, RANGES)
        self._check_hidden()

    def _check_hidden(self) -> None:
        """Raise ValueError where what should be hidden could not be."""
        if self.secure and (self.combine != "mean" or self.least_sites < LEAST_SECURE):
            msg = f"secure: expected a mean of {LEAST_SECURE} sites or more, found"
            raise ValueError(f"{msg} a {self.combine} of {self.least_sites}; change either")
        if self.secure and self.sites > MOST_SECURE:
            msg = f"secure: expected {MOST_SECURE} sites at the most, found {self.sites}"
            raise ValueError(f"{msg}; a sum of more does not fit into 32 bits")
        if self.privately is not None and self.part != SEGMENTER:
            msg = f"private: expected part {SEGMENTER}, found {self.part}; leave [private] empty"
            raise ValueError(msg)

    @property
    def privately(self) -> Private | None:
        """How each site hides its subjects, if it does."""
        return filled(Private, self.private, "private") if self.private else None

    @classmethod
    def read(cls, path: Path) -> "FederationPlan":
        """Read a plan; raises ValueError, naming the key, for what is not of it."""
        return read_as(cls, path)


def sha256_of(plan: Path) -> str:
    """Name a plan by its bytes: every site must have the same file."""
    return hashlib.sha256(plan.read_bytes()).hexdigest()
