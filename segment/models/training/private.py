"""One round of training that hides each subject: clipped gradients and noise (DP-SGD).

A network is trained as it is used, each window normalised by itself, since a batch norm would mix
subjects; its statistics stay as they were sent. Source: Abadi et al. 2016. Knows nothing of other
sites, or of what a round costs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from monai.losses.dice import DiceCELoss
from safetensors.torch import save_file
from torch import Tensor, nn

from segment.models.network import build_network, state_of
from segment.models.training.cases import augmentation, read_cases
from segment.models.training.plan import Run, TrainingPlan, case_name, subject_of
from segment.models.training.start import Start
from segment.privacy import Private
from segment.resume import replacing

Gradient = list[Float[Tensor, "..."]]


def learn_privately(
    plan: TrainingPlan, run: Run, data: Path, sent: Path, output: Path, private: Private
) -> Iterator[float]:
    """Train from the weights in ``sent`` and write what was learnt; yields each step's loss.

    Losses are as private as scans: they may be shown at the site alone. Who is drawn and the noise
    come from the system's entropy, not from the run's seed: whoever knows them could take the
    noise off again. Raises ValueError where the weights are not whole or of another network.
    """
    network = build_network(plan.network, plan.patch, len(plan.structures), plan.sizes)
    if new := Start(sent).load_into(network, run.seed).new:
        msg = f"{sent.name}: expected every tensor of {plan.network}, found none for {new[0]}"
        raise ValueError(f"{msg}; give all sites the same plan")
    names = [case_name(case, plan.case) for case in run.train]
    images, labels = data / plan.images, data / plan.labels
    cases = read_cases(images, labels, names, structures=plan.structures)
    subjects = _by_subject(run.train, cases)
    chance = np.random.default_rng()
    noise = torch.Generator()
    noise.seed()
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, plan.learning_rate, weight_decay=plan.weight_decay)
    for _ in range(private.steps):
        drawn = [s for s in subjects if chance.random() < private.share]
        gradients, loss = _gradients(network, learning, drawn, plan, chance, private.clip)
        expected = private.share * len(subjects)
        for parameter, total in zip(learning, gradients, strict=True):
            added = torch.randn(total.shape, generator=noise) * (private.noise * private.clip)
            parameter.grad = (total + added) / expected
        optimiser.step()
        yield loss
    with replacing(output) as temporary:
        save_file(state_of(network), temporary)


def _by_subject(
    numbers: Sequence[int], cases: Sequence[Mapping[str, Tensor]]
) -> list[list[Mapping[str, Tensor]]]:
    """Put both sides of a head together: they are hidden together."""
    found: dict[int, list[Mapping[str, Tensor]]] = {}
    for number, case in zip(numbers, cases, strict=True):
        found.setdefault(subject_of(number), []).append(case)
    return list(found.values())


def _gradients(
    network: nn.Module,
    learning: Sequence[nn.Parameter],
    subjects: Sequence[Sequence[Mapping[str, Tensor]]],
    plan: TrainingPlan,
    chance: np.random.Generator,
    clip: float,
) -> tuple[Gradient, float]:
    """Add up what each subject contributes, clipped; return it with the mean loss."""
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
    total = [torch.zeros_like(parameter) for parameter in learning]
    losses = []
    for subject in subjects:
        vary = augmentation(plan.patch, int(chance.integers(2**32)))
        samples = [vary(case) for case in subject]
        images = torch.stack([sample["image"].as_tensor() for sample in samples])
        labels = torch.stack([sample["label"].as_tensor() for sample in samples])
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bfloat16"):
            logits = network(images.to(memory_format=torch.channels_last_3d))
        loss = loss_of(logits.float(), labels)
        own = torch.autograd.grad(loss, learning, allow_unused=True)
        add_clipped(total, own, clip)
        losses.append(float(loss.detach()))
    return total, float(np.mean(losses)) if losses else math.nan


def add_clipped(total: Gradient, own: Sequence[Tensor | None], clip: float) -> None:
    """Add a gradient to a sum, drawn back to the length ``clip`` where it is longer.

    One that is no number adds nothing: to stop at it would tell of the subject.
    """
    squares = [float(part.double().square().sum()) for part in own if part is not None]
    length = math.sqrt(sum(squares))
    if not math.isfinite(length):
        return
    kept = min(1.0, clip / max(length, 1e-12))
    for whole, part in zip(total, own, strict=True):
        if part is not None:
            whole += kept * part.float()
