"""One round of the writer at one site: from an adapter that all sites were sent, to its own.

Only the adapter's tensors are read and written; the model below it, the tower and the projector
are everybody's and stay where they are. Knows nothing of other sites, or of how adapters travel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from assistant.writers.vlm.batches import Stream
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.sights import Gallery, strengths_between
from assistant.writers.vlm.stages import Trainer, put
from assistant.writers.vlm.train import Material, ship, tokens_of
from assistant.writers.vlm.untrained import Untrained, begin
from segment.federated.plan import WRITER, FederationPlan
from segment.models.training.local import draw_near
from segment.models.training.processes import Crew
from segment.resume import replacing


def writer_plan(federation: FederationPlan) -> TrainingPlan:
    """Return how a site trains its adapter; raises ValueError for what a round has not.

    The steps of a round are ``adapter_steps`` for each of ``epochs``. The plan of another part is
    refused, too.
    """
    if federation.part != WRITER:
        msg = f"part: expected {WRITER}, found {federation.part}; give the plan of a writer"
        raise ValueError(msg)
    plan = TrainingPlan.of(federation.training, "training")
    if plan.projector_steps or plan.fully_sharded:
        msg = "training: expected projector_steps = 0 and fully_sharded = false, since only the"
        raise ValueError(f"{msg} adapter is trained together; change them")
    return replace(plan, adapter_steps=plan.adapter_steps * federation.epochs)


def write_first_adapter(federation: FederationPlan, output: Path) -> None:
    """Write the adapter that all sites begin with: the plan's, or a new one of its seed."""
    plan = writer_plan(federation)
    with replacing(output) as temporary:
        _save(_trainer(begin(plan), plan, ()).weights(), temporary)


def learn_adapter(
    federation: FederationPlan, number: int, material: Material, sent: Path, output: Path
) -> Iterator[float]:
    """Train the adapter in ``sent`` for one round and write what was learnt; yields each loss.

    Raises ValueError where the tensors are not those of the plan's adapter.
    """
    plan = writer_plan(federation)
    begun = begin(plan)
    trainer = _trainer(begun, plan, tuple(shown.pair.target for shown in material.own))
    weights = load_file(sent)
    if wrong := sorted(weights.keys() ^ trainer.trained.keys()):
        msg = f"{sent.name}: expected the tensors of this plan's adapter, found others"
        raise ValueError(f"{msg} ({wrong[0]}); give all sites the same plan")
    put(trainer.network, weights)
    draw_near(trainer.network, federation.proximal)
    strengths = strengths_between(plan.weakest, plan.strongest)
    gallery = Gallery(material.views(begun.model.image_px), strengths)
    trainer.show(gallery)
    shown = replace(plan, seed=federation.seed * 10_000 + number)
    stream = Stream(shown, "adapter", trainer.tokens, gallery, material.own)
    for samples in stream.from_step(0):
        yield trainer.take(samples).loss
        if trainer.step == trainer.steps:
            break
    with replacing(output) as temporary:
        _save(trainer.weights(), temporary)


def ship_adapter(federation: FederationPlan, weights: Path, folder: Path) -> None:
    """Write federated weights as the folder of a writer, which ``voxcite draft --model`` takes."""
    plan = writer_plan(federation)
    ship(begin(plan), plan, load_file(weights), (), folder)


def _trainer(begun: Untrained, plan: TrainingPlan, said: Sequence[str]) -> Trainer:
    """Put the adapter's stage together; ``said`` are a user's own targets."""
    tokens = tokens_of(begun.model, plan, said)
    crew = Crew.gather(is_sharded=False)
    return Trainer(plan, "adapter", crew, begun.model, tokens, begun.adapter)


def _save(weights: dict[str, Tensor], path: Path) -> None:
    save_file({n: tensor.to(torch.float32).contiguous() for n, tensor in weights.items()}, path)
