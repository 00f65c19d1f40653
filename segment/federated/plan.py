"""What all sites of a federation agree on. Knows nothing of networks, of Flower or of any site."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segment.federated.combine import WAYS
from segment.table import read_as

LEAST: Mapping[str, float] = {
    **dict.fromkeys(("rounds", "epochs", "least_sites", "least_cases", "most_change"), 1),
    **dict.fromkeys(("joining_s", "round_s", "proximal"), 0),
}


@dataclass(frozen=True)
class FederationPlan:
    """Every number of a federation, as read from its TOML file.

    ``sites`` are waited for at the beginning, for ``joining_s``; ``least_sites`` must take part in
    every round. ``proximal`` is the strength of FedProx, 0 for FedAvg; ``most_change`` is the
    largest change of a site in medians of all changes; ``training`` is what
    ``segment.models.training`` takes.
    """

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
    training: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.combine not in WAYS:
            msg = f"combine: expected one of {', '.join(WAYS)}, found {self.combine!r}; change it"
            raise ValueError(msg)
        if not 0 <= self.trimmed_share < 0.5:
            msg = f"trimmed_share: expected a share below 0.5, found {self.trimmed_share}"
            raise ValueError(f"{msg}; both ends are left out")
        if self.sites < self.least_sites:
            msg = f"sites: expected {self.least_sites} or more, as least_sites, found {self.sites}"
            raise ValueError(f"{msg}; change one of them")
        for name, least in LEAST.items():
            if (found := getattr(self, name)) < least:
                msg = f"{name}: expected {least:g} or more, found {found}; change it"
                raise ValueError(msg)

    @classmethod
    def read(cls, path: Path) -> "FederationPlan":
        """Read a plan; a key that is missing or unknown is refused."""
        return read_as(cls, path)


def sha256_of(plan: Path) -> str:
    """Name a plan by its bytes: every site must have the same file."""
    return hashlib.sha256(plan.read_bytes()).hexdigest()
