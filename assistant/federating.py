"""What a site does of a federation, whichever part of voxcite is trained.

Knows nothing of Flower; the segmenter and the writer are trained where they live.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from segment.federated.greeting import Greeting
from segment.federated.plan import WRITER, FederationPlan, sha256_of
from segment.federated.site import LEARNT, SENT, Site

if TYPE_CHECKING:
    from assistant.writers.vlm.plan import TrainingPlan
    from assistant.writers.vlm.train import Material
    from segment.models.training.start import Fit

    MaterialOf = Callable[[TrainingPlan, Path], Material]

REPORTS = "reports/*.txt"  # of a user's own folder


def write_first(plan: FederationPlan, output: Path, init: Path | None) -> "Fit | None":
    """Write the weights that all begin with; raises ValueError for an ``init`` of a writer.

    Returns which tensors of a segmenter were read of ``init``, and which are new.
    """
    if plan.part == WRITER:
        from assistant.writers.vlm.federated import write_first_adapter

        if init is not None:
            msg = "expected no --init for the writer, found one; name it under adapter in the plan"
            raise ValueError(msg)
        write_first_adapter(plan, output)
        return None
    from segment.federated import learning

    return learning.write_first(plan, output, init)


def greeting_of(site: Site) -> Greeting:
    """Say what a site would take part with: of the writer, how many reports or else crops."""
    plan = FederationPlan.read(site.plan)
    if plan.part == WRITER:
        cases = len(list(site.data.glob(REPORTS)))
        if not cases:
            cases = len(list((site.data / plan.training["images"]).glob("*.nii.gz")))
        return Greeting.of(site.name, sha256_of(site.plan), cases, plan.part)
    from segment.federated import training

    return training.greeting_of(site)


def learn_round(site: Site, number: int, material_of: "MaterialOf") -> Iterator[float]:
    """Train one round from what was sent, beside which the result lies; yields losses.

    ``material_of`` reads what a writer is trained on.
    """
    plan = FederationPlan.read(site.plan)
    if plan.part == WRITER:
        from assistant.writers.vlm.federated import learn_adapter, writer_plan

        folder = site.round_folder(number)
        material = material_of(writer_plan(plan), site.data)
        yield from learn_adapter(plan, number, material, folder / SENT, folder / LEARNT)
    else:
        from segment.federated import learning

        yield from learning.learn_round(site, number)
