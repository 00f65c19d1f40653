"""What a site trains in a round, of its own cases. Knows nothing of Flower or of other sites."""

from collections.abc import Mapping
from typing import Any

from segment.federated.greeting import Greeting
from segment.federated.plan import FederationPlan, sha256_of
from segment.federated.site import Site
from segment.models.training.plan import Run, TrainingPlan, read_split
from segment.table import filled

# A round has neither folds nor an end to settle at, and is short enough to be done again.
OF_A_ROUND: Mapping[str, Any] = {
    "epochs": None,
    "settling_epochs": 0,
    "settling_learning_rate": 0.0,
    "settling_strength": 0.0,
    "checkpoint_every_epochs": 1,
    "fully_sharded": False,
    "members": 1,
    "folds": 0,
    "fold_members": 0,
    "fold_epochs": 0,
}


def training_of(plan: FederationPlan) -> TrainingPlan:
    """Return how a site trains in one round; raises ValueError for keys that a round has not."""
    table = {key: value for key, value in plan.training.items() if key not in OF_A_ROUND}
    if taken := sorted(plan.training.keys() - table.keys()):
        msg = f"training: expected no {', '.join(taken)}, found them; a round has its own"
        raise ValueError(msg)
    return filled(TrainingPlan, {**table, **OF_A_ROUND, "epochs": plan.epochs}, "training")


def run_of(site: Site, plan: FederationPlan, number: int) -> Run:
    """Name a round's training, its seed and its cases."""
    training = training_of(plan)
    split = read_split(site.data / training.split)
    seed = plan.seed * 10_000 + number
    cases = tuple(split["train"])
    return Run(f"round-{number:04d}", seed, None, training.epochs, cases, tuple(split["val"]))


def greeting_of(site: Site) -> Greeting:
    """Say what this site would take part with."""
    plan = FederationPlan.read(site.plan)
    cases = len(run_of(site, plan, 1).train)
    return Greeting.of(site.name, sha256_of(site.plan), cases)
