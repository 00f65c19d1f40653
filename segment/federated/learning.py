"""What a site learns in a round, and from which weights all begin. Knows nothing of Flower."""

from collections.abc import Iterator
from pathlib import Path

from segment.federated.budget import spend
from segment.federated.plan import FederationPlan
from segment.federated.site import LEARNT, SENT, Site
from segment.federated.training import run_of, training_of
from segment.models.training.local import learn_locally, write_start
from segment.models.training.private import learn_privately
from segment.models.training.start import Fit


def write_first(plan: FederationPlan, output: Path, init: Path | None) -> Fit:
    """Write the weights that all sites begin with; returns what of ``init`` was read."""
    return write_start(training_of(plan), plan.seed, output, init)


def learn_round(site: Site, number: int) -> Iterator[float]:
    """Train one round from what was sent, beside which the result lies.

    Yields the loss of each epoch, or of each step of a private round. Raises ValueError also where
    the site may give no more away.
    """
    plan = FederationPlan.read(site.plan)
    training, run = training_of(plan), run_of(site, plan, number)
    folder, private = site.round_folder(number), plan.privately
    site.will_train(run.train)
    sent, learnt = folder / SENT, folder / LEARNT
    if private is None:
        yield from learn_locally(training, run, site.data, sent, learnt, plan.proximal)
    else:
        spend(site.work, private)
        yield from learn_privately(training, run, site.data, sent, learnt, private)
