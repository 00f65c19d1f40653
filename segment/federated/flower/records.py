"""What server and sites call the parts of a message. Decides nothing."""

import numpy as np
from flwr.app import Array, ArrayRecord

from segment.federated.plan import BYTES
from segment.federated.updates import Weights

GREET, LEARN, SCORE = "query.greet", "train.learn", "query.score"
GREETING, WEIGHTS, CONFIG, FAILED = "greeting", "weights", "config", "failed"
ROUND, PART, SCORES = "round", "part", "scores"


def record_of(weights: Weights, sent: str) -> ArrayRecord:
    """Put weights into a message, as numbers of the plan's kind."""
    with np.errstate(over="ignore"):  # what is too large is no number, and left out as such
        return ArrayRecord({name: Array(w.astype(sent)) for name, w in weights.items()})


def arrays_of(record: ArrayRecord) -> Weights:
    """Take weights out of a message; raises ValueError for numbers of another kind."""
    found = {name: np.asarray(array.numpy(), order="C") for name, array in record.items()}
    if wrong := [name for name, array in found.items() if array.dtype.name not in BYTES]:
        msg = f"{wrong[0]}: expected {' or '.join(BYTES)}, found {found[wrong[0]].dtype}"
        raise ValueError(f"{msg}; send what voxcite wrote")
    return {name: array.astype(np.float32) for name, array in found.items()}
