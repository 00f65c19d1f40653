"""Whether a network tells who it was trained on: the attack by a threshold on the loss.

    python -m tests.benchmarks.membership [--output runs/federated]

Of the networks of ``federated_table``: members are the crops that a hospital trained on, others
those of the same hospital and scanner that it kept. The attacker has a crop, its outline and the
network, and says "member" where the loss is low. AUROC is the share of pairs of a member and
another of one hospital that the losses order rightly: 0.5 is chance. Source: Yeom et al. 2018.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from monai.losses.dice import DiceCELoss
from torch import nn

from segment.federated.plan import FederationPlan
from segment.federated.rounds import FINAL
from segment.federated.site import Site
from segment.federated.training import training_of
from segment.models.training.cases import read_cases
from segment.models.training.local import ensemble_of
from segment.models.training.plan import case_name
from segment.models.windows import around, cut
from tests.benchmarks.federated_sites import FOUR, WHOLE, write_hospitals
from tests.benchmarks.federated_table import (
    ALONE,
    CHANGES,
    PLAN,
    plan_of,
    split_of,
)
from tests.benchmarks.lines import finished_in
from tests.shared_data import shared_data

ATTACKED = ("federated", "private", "centralised", *ALONE)
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Losses:
    """Losses of one hospital's members and of its others."""

    members: tuple[float, ...]
    others: tuple[float, ...]


def auroc(several: Iterable[Losses]) -> float:
    """Return the share of pairs within hospitals in which the member's loss is lower."""
    orders = [_order(np.array(one.members), np.array(one.others)) for one in several]
    return float(sum(o.sum() for o in orders) / sum(o.size for o in orders))


def _order(
    members: Float64[np.ndarray, " member"], others: Float64[np.ndarray, " other"]
) -> Float64[np.ndarray, "member other"]:
    less, same = members[:, None] < others, members[:, None] == others
    order: Float64[np.ndarray, "member other"] = less + 0.5 * same
    return order


def bounds(several: Sequence[Losses]) -> tuple[float, float]:
    """Return where 95 % of bootstrapped AUROCs lie, subjects drawn within hospitals."""
    rng = np.random.default_rng(0)

    def drawn(losses: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(rng.choice(losses, len(losses)).tolist())

    found = [
        auroc([Losses(drawn(one.members), drawn(one.others)) for one in several])
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


@torch.inference_mode()
def losses_of(network: nn.Module, site: Site, cases: Sequence[int]) -> tuple[float, ...]:
    """Return the loss of each crop in the window around its structure."""
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    folder, found = site.data / WHOLE, []
    for case in read_cases(folder / "images", folder / "labels", [case_name(c) for c in cases]):
        start = around(case["label"][0].numpy() > 0).starts[0]
        image, label = (torch.from_numpy(cut(case[k][0].numpy(), start)) for k in case)
        found.append(float(loss_of(network(image[None, None]).float(), label[None, None])))
    return tuple(found)


def main() -> None:
    """Print the attack's AUROC for each network that is there."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("runs/federated"))
    chosen = arguments.parse_args()
    done = {row["way"] for row in finished_in(chosen.output / "ways.jsonl", "federated")}
    print("| network | members | others | AUROC (95 %) |\n|---|---|---|---|")
    for way in ATTACKED:
        if way not in done:
            continue
        plan = plan_of(way, PLAN, chosen.output)
        weights = chosen.output / way / "weights.safetensors"
        if way in CHANGES:
            weights = plan.with_suffix("") / FINAL
        (network,) = ensemble_of(training_of(FederationPlan.read(plan)), [weights]).networks
        assert isinstance(network, nn.Module)
        files = write_hospitals(FOUR, shared_data(), chosen.output / "four", plan)
        sites = [site for f in files if (site := Site.read(f)).name == way or way not in ALONE]
        several = [
            Losses(*(losses_of(network, site, split_of(site)[p]) for p in ("train", "kept")))
            for site in sites
        ]
        counts = [sum(len(getattr(one, k)) for one in several) for k in ("members", "others")]
        low, high = bounds(several)
        told = f"{auroc(several):.2f} ({low:.2f} to {high:.2f})"
        print(f"| {way} | {counts[0]} | {counts[1]} | {told} |")


if __name__ == "__main__":
    main()
