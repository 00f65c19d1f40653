"""Every number of a pretraining. Knows nothing of networks or pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segment.models import roles_of
from segment.models.training.plan import check_network
from segment.table import COUNT, NATURAL, POSITIVE, SEED, Range, check_ranges, read_as

RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("steps", "hidden_voxels", "features", "projected"), COUNT),
    **dict.fromkeys(("checkpoint_every_steps", "report_every_steps"), COUNT),
    **dict.fromkeys(("learning_rate", "temperature"), POSITIVE),
    "weight_decay": NATURAL,
    "seed": SEED,
}


@dataclass(frozen=True)
class PretrainingPlan:
    """Every number of a pretraining, as read from its TOML file."""

    network: str
    sizes: Mapping[str, Any]
    patch: tuple[int, int, int]
    seed: int
    batch: int
    steps: int
    learning_rate: float
    weight_decay: float
    hidden_voxels: int
    hidden_share: float
    features: int
    projected: int
    temperature: float
    checkpoint_every_steps: int
    report_every_steps: int

    def __post_init__(self) -> None:
        check_ranges(self, RANGES)
        check_network(self.network, self.patch)
        if roles := roles_of(self.network):
            msg = f"expected a network of one sequence, found {self.network}, which is given"
            raise ValueError(f"{msg} {', '.join(roles)}; choose another")
        if not 0 < self.hidden_share < 1:
            msg = f"hidden_share is a share between 0 and 1, not {self.hidden_share}"
            raise ValueError(msg)
        if any(edge % self.hidden_voxels for edge in self.patch):
            found = " x ".join(map(str, self.patch))
            msg = f"expected a patch of whole cubes of {self.hidden_voxels} voxels, found {found}"
            raise ValueError(f"{msg}; change hidden_voxels")
        if self.batch < 2:
            msg = f"expected a batch of at least 2 windows to tell apart, found {self.batch}"
            raise ValueError(f"{msg}; make the batch larger")

    @classmethod
    def read(cls, path: Path) -> "PretrainingPlan":
        """Read a plan; raises ValueError, naming the key, for what is not of it."""
        return read_as(cls, path)
