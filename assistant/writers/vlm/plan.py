"""Every number of a writer's training, as its TOML file says. Knows nothing of how one runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from assistant.writers.vlm.memory import Precision
from segment.table import COUNT, NATURAL, POSITIVE, Range, check_ranges, filled, read_as

EMBEDDED = "embedded"
READER, RANDOM = "reader", "random"
NEW, SHIPPED = "new", "shipped"
TOWER_EDGES = 5  # numbers that describe a tower of random weights
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("batch", "micro_batch", "pool", "adapter_steps", "rank", "alpha"), COUNT),
    **dict.fromkeys(("longest", "tokens_per_image"), COUNT),
    **dict.fromkeys(("checkpoint_every_steps", "report_every_steps"), COUNT),
    **dict.fromkeys(("projector_steps", "warmup_steps", "weight_decay"), NATURAL),
    **dict.fromkeys(("projector_rate", "adapter_rate"), POSITIVE),
    **dict.fromkeys(("weakest", "strongest"), Range(0.0, 1.0, is_above=True)),
    "own_share": Range(0.0, 1.0),
    "seed": Range(0.0, 2.0**62),  # that of a federated round is ten thousand times its plan's
}


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on what, in which steps; what each key means stands in ``train.toml``."""

    seed: int
    model: str
    adapter: str
    tower: str
    random_tower: tuple[int, ...]
    tokens_per_image: int
    precision: Precision
    fully_sharded: bool
    languages: tuple[str, ...]
    images: str
    labels: str
    weakest: float
    strongest: float
    own_share: float
    longest: int
    batch: int
    micro_batch: int
    pool: int
    projector_steps: int
    projector_rate: float
    adapter_steps: int
    adapter_rate: float
    warmup_steps: int
    weight_decay: float
    rank: int
    alpha: int
    checkpoint_every_steps: int
    report_every_steps: int

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            msg = f"precision: expected one of {get_args(Precision)}, found {self.precision!r}"
            raise ValueError(msg)
        check_ranges(self, RANGES)
        if self.weakest > self.strongest:
            msg = f"weakest: expected no more than strongest, {self.strongest}, found"
            raise ValueError(f"{msg} {self.weakest}; change either")
        if self.adapter != NEW and self.projector_steps:
            msg = f"the adapter {Path(self.adapter).name} was trained with its projector"
            raise ValueError(f"{msg}: set projector_steps = 0, or adapter = {NEW!r}")
        if self.fully_sharded and self.precision == "4bit":
            msg = "four bits are not sharded: set fully_sharded = false, or another precision"
            raise ValueError(msg)

    @classmethod
    def read(cls, path: Path) -> "TrainingPlan":
        """Read a plan; raises ValueError, naming the key, for what is not of it."""
        return read_as(cls, path)

    @classmethod
    def of(cls, table: Mapping[str, Any], name: str) -> "TrainingPlan":
        """Make a plan of a table; raises ValueError for missing, unknown and impossible values."""
        return filled(cls, table, name)

    def accumulated(self, processes: int) -> int:
        """Return how many batches at once a process takes for one step; raises ValueError."""
        together = processes * self.micro_batch
        if self.batch % together:
            msg = (
                f"a batch of {self.batch} does not divide into {processes} processes times"
                f" {self.micro_batch} samples at once; make batch a multiple of {together}"
            )
            raise ValueError(msg)
        return self.batch // together

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """List the keys in which a stored plan says something else."""
        ours = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return sorted(key for key in {*ours, *other} if ours.get(key) != other.get(key))
