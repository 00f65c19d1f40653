"""Tells the topic of a question by what the language model makes of it. Writes nothing.

The features are hidden states after every sixth of the layers but the first, averaged over the
question; the linear model of them belongs to one network and is not used beside another.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import safe_open
from safetensors.numpy import load_file

from assistant.writers.questions.topics import TOPICS
from assistant.writers.vlm.model import Model

WEIGHTS = "topics.safetensors"
SHARES = 6  # of the layers; after each of them but the first the states are read
LONGEST = 128  # tokens


@dataclass(frozen=True, eq=False)
class ModelListener:
    """A linear model of a language model's features."""

    model: Model
    weights: Float32[np.ndarray, "feature topic"]
    bias: Float32[np.ndarray, " topic"]

    def __call__(self, plain: str) -> Float32[np.ndarray, " topic"]:
        """Return the log-probability of each topic for a plain question, by its first tokens."""
        if not plain.strip():
            return np.full(len(TOPICS), -np.log(len(TOPICS)), dtype=np.float32)
        scores = features(self.model, plain) @ self.weights + self.bias
        found: Float32[np.ndarray, " topic"] = scores - np.logaddexp.reduce(scores)
        return found


def features(model: Model, plain: str) -> Float32[np.ndarray, " feature"]:
    """Average the hidden states of a text's tokens, after several of the layers."""
    network = model.network
    ids = torch.tensor([model.tokenizer.encode(plain).ids[:LONGEST]], device=network.device)
    with torch.inference_mode():
        found = network.model.language_model(
            input_ids=ids, output_hidden_states=True, use_cache=False
        )
    states = found.hidden_states
    last = len(states) - 1
    read = [states[last * n // SHARES][0, 1:].float().mean(0) for n in range(2, SHARES + 1)]
    return torch.cat(read).cpu().numpy()


def network_of(model: Model) -> dict[str, str]:
    """Say which network features are of."""
    return {"network": json.dumps(dict(model.sha256), sort_keys=True)}


def read_listener(path: Path, model: Model) -> ModelListener | None:
    """Read the linear model that was fitted for a network; None where there is none."""
    if not path.is_file():
        return None
    with safe_open(path, "np") as kept:
        facts = kept.metadata()
    if facts != {"topics": " ".join(TOPICS), **network_of(model)}:
        return None
    found = load_file(path)
    return ModelListener(model, found["weights"], found["bias"])
