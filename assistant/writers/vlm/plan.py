"""Every number of a writer's training, as its TOML file says. Knows nothing of how one runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from assistant.writers.vlm.memory import Precision
from segment.table import filled, read_as

EMBEDDED = "embedded"
READER, RANDOM = "reader", "random"
NEW, SHIPPED = "new", "shipped"
TOWER_EDGES = 5  # numbers that describe a tower of random weights


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
        if not 0 < self.weakest <= self.strongest <= 1 or not 0 <= self.own_share <= 1:
            msg = "expected strengths of faults above 0 and up to 1, and an own_share of 0 to 1"
            raise ValueError(msg)
        counts = (self.batch, self.micro_batch, self.pool, self.adapter_steps, self.rank)
        if min(*counts, self.checkpoint_every_steps, self.report_every_steps) < 1:
            msg = "expected batch, micro_batch, pool, adapter_steps, rank and the steps between"
            raise ValueError(f"{msg} checkpoints and reports of 1 or more")
        if self.adapter != NEW and self.projector_steps:
            msg = f"the adapter {Path(self.adapter).name} was trained with its projector"
            raise ValueError(f"{msg}: set projector_steps = 0, or adapter = {NEW!r}")
        if self.fully_sharded and self.precision == "4bit":
            msg = "four bits are not sharded: set fully_sharded = false, or another precision"
            raise ValueError(msg)

    @classmethod
    def read(cls, path: Path) -> "TrainingPlan":
        """Read a plan; a key that is missing or unknown is refused."""
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
