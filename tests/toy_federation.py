"""A federation at toy size: its plan, and sites in memory that learn by adding to a few numbers."""

from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from segment.federated.greeting import Greeting
from segment.federated.plan import FederationPlan, sha256_of
from segment.federated.server import Reply
from segment.federated.together import mean_change
from segment.writing import toml_text
from tests.toy_segmenter import STRUCTURES

NUMBERS = {
    "part": "segmenter",
    "seed": 0,
    "rounds": 2,
    "epochs": 1,
    "proximal": 0.0,
    "combine": "mean",
    "trimmed_share": 0.2,
    "most_change": 3.0,
    "sites": 2,
    "least_sites": 2,
    "least_cases": 2,
    "joining_s": 0.05,
    "round_s": 60.0,
    "sent": "float32",
    "secure": False,
}
TRAINING = {
    "network": "unet",
    "images": "images",
    "labels": "labels",
    "split": "split.json",
    "case": "hippocampus_{:03d}.nii.gz",
    "structures": list(STRUCTURES),
    "patch": [16, 16, 16],
    "batch": 1,
    "learning_rate": 2e-3,
    "weight_decay": 1e-2,
    "precision": "float32",
}
SIZES = "sizes = { filters = [4, 8, 8] }\n"
START = {"bias": np.zeros(3, np.float32), "kernel": np.zeros((2, 3), np.float32)}


def write_plan(path, private=None, **changes):
    """Write a plan of a small network."""
    tables = toml_text(NUMBERS | changes), toml_text(private or {}), SIZES + toml_text(TRAINING)
    path.write_text("{}[private]\n{}[training]\n{}".format(*tables), encoding="utf-8")
    return path


def toy_plan(folder, **changes):
    """Return a plan as it is read."""
    return FederationPlan.read(write_plan(folder / "toy.toml", **changes))


def write_start(path):
    """Write weights of zeros."""
    save_file(START, path)
    return path


class ToySites:
    """Sites in memory, by node; each learns what its function makes of the weights sent."""

    def __init__(self, plan_file, learners, cases=4):
        self.greetings = {
            node: Greeting.of(f"site-{node}", sha256_of(plan_file), cases) for node in learners
        }
        self.learners = dict(learners)
        self.asked = []
        self.scores = {}
        self.looks = 0

    def present(self):
        self.looks += 1
        return list(self.learners)

    def greet(self, nodes, _):
        return {node: self.greetings[node] for node in nodes}

    def learn_together(self, cases, number, weights, plan):
        replies = self.learn(list(cases), number, weights, plan.round_s)
        return mean_change({n: r.weights for n, r in replies.items()}, cases, weights)

    def learn(self, nodes, number, weights, _):
        self.asked.append((number, tuple(nodes)))
        found = {node: self.learners[node](weights) for node in nodes}
        return {node: Reply(learnt) for node, learnt in found.items() if learnt is not None}

    def score(self, nodes, weights, _):
        return {node: self.scores.get(node, "it held nothing out") for node in nodes}

    def change(self, node, **changes):
        """Let a site say something else of itself."""
        self.greetings[node] = replace(self.greetings[node], **changes)


def add(amount):
    """Learn by adding an amount to every number."""
    return lambda weights: {name: w + np.float32(amount) for name, w in weights.items()}
