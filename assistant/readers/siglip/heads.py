"""Linear heads on what a tower made of pictures, and their temperatures. Knows no pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from assistant.readers.siglip.facts import ARTEFACTS, FACTS, UNKNOWN

QUALITY = "quality"
LARGEST_LOG_TEMPERATURE = 3.0
ITERATIONS = 200
OUTPUTS: Mapping[str, tuple[str, ...]] = {**FACTS, QUALITY: ARTEFACTS}

Features = Float32[Tensor, "n width"]
Targets = Mapping[str, Int64[Tensor, "..."]]


@dataclass(frozen=True, eq=False)
class Head:
    """One linear map from features to the logits of one fact's values, or of every fault."""

    weight: Float32[Tensor, "value width"]
    bias: Float32[Tensor, " value"]

    def __call__(self, features: Features) -> Float32[Tensor, "n value"]:
        """Return logits."""
        return features @ self.weight.T + self.bias


def fit_heads(features: Features, targets: Targets, penalty: float) -> dict[str, Head]:
    """Fit every head by penalised logistic regression on standardised features.

    ``targets`` holds, a picture, the place of each fact's value (or UNKNOWN), and for ``quality``
    zeros and ones, ``n artefact``.
    """
    return {name: _fit(features, targets[name], len(OUTPUTS[name]), penalty) for name in OUTPUTS}


def _fit(features: Features, target: Tensor, values: int, penalty: float) -> Head:
    known = target != UNKNOWN if target.ndim == 1 else torch.ones(len(target), dtype=torch.bool)
    chosen, wanted = features[known], target[known]
    middle, spread = chosen.mean(dim=0), chosen.std(dim=0).clamp_min(1e-6)
    standard = (chosen - middle) / spread
    weight = torch.zeros(values, features.shape[1], requires_grad=True)
    bias = torch.zeros(values, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = head_loss(standard @ weight.T + bias, wanted) + penalty * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        return Head(weight / spread, bias - (weight / spread) @ middle)


def head_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean loss of one fact's logits, pictures without it left out, or of the faults."""
    if target.ndim == 1:
        wrong = nn.functional.cross_entropy(logits, target, ignore_index=UNKNOWN, reduction="sum")
        return wrong / (target != UNKNOWN).sum().clamp_min(1)
    return nn.functional.binary_cross_entropy_with_logits(logits, target.float())


def fit_temperature(
    logits: Float32[np.ndarray, "n value"], target: Int64[np.ndarray, " n"]
) -> float:
    """Return the temperature at which softmax probabilities are likeliest (Guo et al. 2017).

    One column of logits is that of a yes or no. Raises ValueError where there is nothing to fit.
    """
    if not len(logits):
        msg = "a temperature needs pictures of subjects that no head was fitted on, found none"
        raise ValueError(msg)
    both = (
        np.concatenate([np.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits
    )
    scores, wanted = torch.from_numpy(both).double(), torch.from_numpy(target)

    def loss(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(scores / np.exp(log_temperature), wanted))

    bound = LARGEST_LOG_TEMPERATURE
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
    return float(np.exp(found.x))


def probabilities(
    name: str, logits: Float32[np.ndarray, "n value"], temperature: Float32[np.ndarray, " t"]
) -> Float32[np.ndarray, "n value"]:
    """Turn logits into probabilities: of one fact's values, or of each fault by itself."""
    scaled = torch.from_numpy(logits / temperature)
    found = torch.sigmoid(scaled) if name == QUALITY else torch.softmax(scaled, dim=1)
    return found.numpy().astype(np.float32)
