"""What server and sites call the parts of a message. Decides nothing."""

import numpy as np
from flwr.app import Array, ArrayRecord

from segment.federated.updates import Weights

GREET, LEARN = "query.greet", "train.learn"
GREETING, WEIGHTS, CONFIG, FAILED = "greeting", "weights", "config", "failed"
ROUND, PART = "round", "part"


def record_of(weights: Weights) -> ArrayRecord:
    """Put weights into a message."""
    return ArrayRecord({name: Array(np.asarray(w)) for name, w in weights.items()})


def arrays_of(record: ArrayRecord) -> Weights:
    """Take weights out of a message; raises ValueError for anything but single precision."""
    found = {name: np.asarray(array.numpy(), order="C") for name, array in record.items()}
    if wrong := [name for name, array in found.items() if array.dtype != np.float32]:
        msg = f"{wrong[0]}: expected single precision, found {found[wrong[0]].dtype}"
        raise ValueError(f"{msg}; send what voxcite wrote")
    return found
