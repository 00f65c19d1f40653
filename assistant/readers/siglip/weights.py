"""The one file that is shipped: tower, heads, captions' embeddings and temperatures.

Knows nothing of how any of them was trained.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from assistant.readers.siglip.heads import OUTPUTS, Head
from assistant.readers.siglip.tower import Shape, build_vision, load_state
from segment.resume import replacing

TOWER, HEAD, TEMPERATURE, ZERO_SHOT = "tower.", "head.", "temperature.", "zero_shot."


@dataclass(frozen=True, eq=False)
class Weights:
    """Everything that reading a picture needs, as it was read from one file."""

    tower: nn.Module
    heads: Mapping[str, Head]
    temperatures: Mapping[str, Float32[np.ndarray, " t"]]
    shape: Shape
    facts: Mapping[str, str]
    sha256: str


def pack(
    path: Path,
    shape: Shape,
    trained: Mapping[str, Tensor],
    heads: Mapping[str, Head],
    temperatures: Mapping[str, Sequence[float]],
    facts: Mapping[str, str],
) -> None:
    """Write the tower in half precision and the rest in full; ``facts`` say what it is."""
    tensors = {k: v.half() for k, v in trained.items() if k.startswith(TOWER)}
    tensors |= {k: v.float() for k, v in trained.items() if k.startswith(ZERO_SHOT)}
    for name, head in heads.items():
        tensors[f"{HEAD}{name}.weight"] = head.weight.contiguous()
        tensors[f"{HEAD}{name}.bias"] = head.bias.contiguous()
        tensors[f"{TEMPERATURE}{name}"] = head.bias.new_tensor(list(temperatures[name]))
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={**facts, "shape": json.dumps(asdict(shape))})


def read(path: Path) -> Weights:
    """Read what ``pack`` wrote; raises ValueError when the file holds something else."""
    with safe_open(path, "pt") as stored:
        facts = dict(stored.metadata() or {})
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    wanted = {f"{HEAD}{n}.{part}" for n in OUTPUTS for part in ("weight", "bias")}
    wanted |= {f"{TEMPERATURE}{name}" for name in OUTPUTS}
    if "shape" not in facts or not wanted <= tensors.keys():
        msg = f"{path.name}: expected the packed weights of a reader, found other tensors"
        raise ValueError(msg)
    shape = Shape(**json.loads(facts["shape"]))
    tower = build_vision(shape)
    load_state(tower, {k.removeprefix(TOWER): v for k, v in tensors.items() if k.startswith(TOWER)})
    heads = {
        name: Head(tensors[f"{HEAD}{name}.weight"], tensors[f"{HEAD}{name}.bias"])
        for name in OUTPUTS
    }
    scales = {name: tensors[f"{TEMPERATURE}{name}"].float().numpy() for name in OUTPUTS}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Weights(tower.eval(), heads, scales, shape, facts, digest)
