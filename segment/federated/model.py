"""The folder that drafts are made with, from what a federation wrote. Knows nothing of Flower."""

import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from segment.crossfit import WEIGHTS
from segment.federated.intervals import SCORES, Gathered
from segment.federated.plan import SEGMENTER, FederationPlan
from segment.federated.rounds import FINAL, read_weights
from segment.federated.scores import calibrated, organ_of
from segment.federated.training import training_of
from segment.models import describe
from segment.models.ensemble import built, pack

CALIBRATION, CARD = "calibration.json", "CARD.md"


def ship_segmenter(plan: FederationPlan, rounds: Path, output: Path, coverage: float) -> int:
    """Write the network and its intervals as ``--weights`` takes them.

    ``rounds`` is the folder of the federation that has ended. Returns how many subjects all
    sites scored. Raises ValueError for another part, for a network that is not of the
    size of its folder, and for scores of other weights.
    """
    if plan.part != SEGMENTER:
        msg = f"expected a plan of the {SEGMENTER}, found one of the {plan.part}"
        raise ValueError(f"{msg}; for that there is `voxcite federated adapter`")
    if output.resolve() == rounds.resolve():
        msg = f"expected another folder than that of the rounds, found {output.name}"
        raise ValueError(f"{msg}; the final weights lie there under the same name")
    training = training_of(plan)
    organ = organ_of(training.structures[1:])
    weights, network = rounds / FINAL, training.network
    for path in (weights, rounds / SCORES):
        if not path.exists():
            msg = f"{path.name}: expected it in {rounds.name}, found none"
            raise ValueError(f"{msg}; let the federation come to its end")
    if training.sizes and dict(training.sizes) != describe(network)["sizes"]:
        msg = f"sizes: expected those of {network}'s folder, as sizes = {{}} takes them, found"
        raise ValueError(f"{msg} {dict(training.sizes)}; drafts are made with no other")
    read_weights(weights)  # says what is wrong with a file that holds none
    built({plan.seed: load_file(weights)}, len(training.structures), network, weights.name)
    gathered = Gathered.read(rounds / SCORES, organ)
    if gathered.weights_sha256 != hashlib.sha256(weights.read_bytes()).hexdigest():
        msg = f"{SCORES}: expected scores of {weights.name}, found those of other weights"
        raise ValueError(f"{msg}; run the federation's last command again")
    scores = gathered.scores
    if scores is None:
        told = "; ".join(f"{site.site}: {site.reason}" for site in gathered.sites)
        msg = f"{SCORES}: expected scores of a site or more, found none ({told or 'no site'})"
        raise ValueError(f"{msg}; run the federation's last command again")
    temperature = np.ones(len(training.structures), np.float32)
    sites = [site for site in gathered.sites if site.n]
    source = "counts of held-out subjects, from the sites of a federation"
    found = calibrated(scores, len(sites), source, coverage)
    found = replace(found, temperature=tuple(temperature.tolist()))
    output.mkdir(parents=True, exist_ok=True)
    pack({plan.seed: weights}, temperature, output / WEIGHTS)
    (output / CALIBRATION).write_text(found.to_json(), encoding="utf-8")
    card = files(__package__).joinpath("card.md").read_text(encoding="utf-8")
    (output / CARD).write_text(
        card.format(
            network=network,
            rounds=plan.rounds,
            sites=len(sites),
            scored=scores.n,
            coverage=f"{coverage:.4g}",
            weights_sha256=hashlib.sha256((output / WEIGHTS).read_bytes()).hexdigest(),
        ),
        encoding="utf-8",
    )
    return scores.n
