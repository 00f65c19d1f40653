"""What is trained here and shipped: tower, projector and adapter, without the language model.

A manifest lists the sha256 of each file and the base they belong to. Knows nothing of training.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.adapter import CONFIG, WEIGHTS, BaseFacts
from assistant.writers.vlm.checkpoint import check_hashes
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.projector import vision_of

ensure_torchvision()

from transformers import Gemma3ForConditionalGeneration  # noqa: E402

MANIFEST = "manifest.json"
TOWER, PROJECTOR, ADAPTER = "vision_tower.safetensors", "projector.safetensors", "adapter"
# What open_clip's tower was converted to; the pooling head is the reader's and not kept here.
VISION_KEYS = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
)


@dataclass(frozen=True, eq=False)
class Parts:
    """A trained tower and projector, the adapter's folder if there is one, and their base."""

    base: BaseFacts
    vision_config: Mapping[str, Any]
    tokens_per_image: int
    tower: Mapping[str, Tensor]
    projector: Mapping[str, Tensor]
    adapter: Path | None
    sha256: str


def write_parts(
    folder: Path,
    network: Gemma3ForConditionalGeneration,
    base: BaseFacts,
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """Write a network's tower and projector beside its adapter and list all in a manifest.

    ``network`` is the plain one, below any adapter; the adapter, if there is one, was saved as
    ``folder / "adapter"`` before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config, model = network.config, network.model
    tower = {k: v for k, v in model.vision_tower.state_dict().items() if not k.startswith("head.")}
    _save(tower, folder / TOWER, dtype)
    _save(model.multi_modal_projector.state_dict(), folder / PROJECTOR, dtype)
    files = [TOWER, PROJECTOR]
    if (folder / ADAPTER).is_dir():
        files += [f"{ADAPTER}/{CONFIG}", f"{ADAPTER}/{WEIGHTS}"]
    vision = vision_of(config).to_dict()
    manifest = {
        "base": asdict(base),
        "vision_config": {key: vision[key] for key in VISION_KEYS},
        "tokens_per_image": config.mm_tokens_per_image,
        "sha256": {file: _sha256(folder / file) for file in files},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return folder


def read_parts(folder: Path) -> Parts:
    """Read what ``write_parts`` wrote, its hashes checked first; raises ModelError."""
    path = folder / MANIFEST
    if not path.is_file():
        msg = (
            f"{folder.name}: expected {MANIFEST} of the trained parts, found none; train or install"
        )
        raise ModelError(Fault.MISSING, msg)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        listed = dict(manifest["sha256"])
        base = BaseFacts(**manifest["base"])
        vision, tokens = dict(manifest["vision_config"]), int(manifest["tokens_per_image"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{MANIFEST}: expected the trained parts' manifest, found another; copy it again"
        raise ModelError(Fault.DAMAGED, msg) from error
    check_hashes(folder, {TOWER: "", PROJECTOR: ""} | listed)
    return Parts(
        base=base,
        vision_config=vision,
        tokens_per_image=tokens,
        tower=load_file(folder / TOWER),
        projector=load_file(folder / PROJECTOR),
        adapter=folder / ADAPTER if f"{ADAPTER}/{WEIGHTS}" in listed else None,
        sha256=_sha256(path),
    )


def _save(state: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in state.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
