"""The plans of a training that are shipped: for whom each is, of the writer and the segmenter."""

import pytest

PLANS = {  # the processes that share one, and whether each of them holds but a piece of every layer
    "train.toml": (1, False),
    "train-1gpu.toml": (1, False),
    "train-8gpu-ddp.toml": (8, False),
    "train-8gpu.toml": (8, True),
}
every_plan = pytest.mark.parametrize(
    ("name", "processes", "is_sharded"), [(name, *facts) for name, facts in PLANS.items()]
)
