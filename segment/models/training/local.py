"""One round of training at one site, from weights that all sites were sent.

Knows nothing of other sites, or of how weights travel.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from segment.models import roles_of
from segment.models.ensemble import Ensemble
from segment.models.network import build_network, load_state, state_of
from segment.models.training.cases import read_cases
from segment.models.training.plan import Run, TrainingPlan, case_name
from segment.models.training.processes import Crew
from segment.models.training.run import Trainer, fit_of, untrained
from segment.models.training.start import Fit, Start
from segment.models.windows import WINDOW
from segment.resume import replacing


def ensemble_of(plan: TrainingPlan, weights: Sequence[Path]) -> Ensemble:
    """Return networks of one training, of the plan's sizes, as they are used.

    Raises ValueError for weights of another network.
    """
    networks = []
    for path in weights:
        network = build_network(plan.network, WINDOW, len(plan.structures), plan.sizes).float()
        load_state(network, load_file(path))
        networks.append(network.eval())
    temperature = np.ones(len(plan.structures), np.float32)
    seeds = tuple(range(len(networks)))
    return Ensemble("own", plan.structures, tuple(networks), temperature, seeds, "", "torch")


def write_start(plan: TrainingPlan, seed: int, output: Path, init: Path | None = None) -> Fit:
    """Write the weights that a federation begins with: new ones, or what fits of others.

    Returns which tensors were read of ``init`` and which are new. Raises ValueError where none
    fits.
    """
    torch.manual_seed(seed)
    network = untrained(plan)
    fit = Start(init).load_into(network, seed)
    with replacing(output) as temporary:
        save_file(state_of(network), temporary)
    return fit


def learn_locally(
    plan: TrainingPlan, run: Run, data: Path, sent: Path, output: Path, proximal: float
) -> Iterator[float]:
    """Train from the weights in ``sent`` and write what was learnt; yields each epoch's loss.

    ``proximal`` is mu of FedProx (Li et al. 2020): mu / 2 times the squared distance from what was
    sent joins the loss, so that sites that differ stay near each other; 0 is FedAvg. Raises
    ValueError where the weights are not whole or of another network.
    """
    start = Start(sent)
    if new := fit_of(plan, start).new:
        msg = f"{sent.name}: expected every tensor of {plan.network}, found none for {new[0]}"
        raise ValueError(f"{msg}; give all sites the same plan")
    names = [case_name(case, plan.case) for case in run.train]
    roles = len(roles_of(plan.network))
    images, labels = data / plan.images, data / plan.labels
    cases = read_cases(images, labels, names, roles, plan.structures)
    trainer = Trainer(plan, run, cases, Crew.gather(is_sharded=False), start)
    draw_near(trainer.network, proximal)
    while trainer.epoch < trainer.epochs:
        yield trainer.train_one_epoch()
    learned = trainer.finish()
    with replacing(output) as temporary:
        save_file(learned, temporary)


def draw_near(network: nn.Module, proximal: float) -> None:
    """Join ``proximal / 2 |w - w0|^2`` to the loss through its gradient; w0 is w as it is now."""
    if proximal > 0:
        for parameter in network.parameters():
            parameter.register_hook(_towards_now(parameter, proximal))


def _towards_now(
    parameter: nn.Parameter, proximal: float
) -> Callable[[Float[Tensor, "..."]], Float[Tensor, "..."]]:
    """Return what adds the pull towards a parameter's present value to its gradient."""
    anchor = parameter.detach().clone()

    def pulled(gradient: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return gradient + proximal * (parameter.detach() - anchor)

    return pulled
