"""A whole model written in MedGemma's layout, so that transformers and others load it.

Knows nothing of training.
"""

import json
from pathlib import Path
from typing import Any

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.model import IMAGE_END, IMAGE_START, Model
from assistant.writers.vlm.quiet import quietly
from assistant.writers.vlm.vision import CHANNELS, IMAGE_MEAN, IMAGE_STD

ensure_torchvision()

from transformers import Gemma3ForConditionalGeneration  # noqa: E402

BILINEAR = 2  # as Pillow counts its filters


def save_checkpoint(model: Model, folder: Path) -> Path:
    """Write weights, tokenizer and what a processor needs; raises ValueError under an adapter."""
    if not isinstance(model.network, Gemma3ForConditionalGeneration):
        msg = "a whole model is saved without an adapter on it; merge the adapter first"
        raise ValueError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    with quietly():
        model.network.save_pretrained(folder)
    model.tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _tokenizer_config(model))
    _write(folder / "preprocessor_config.json", _preprocessor_config(model))
    shared = {"processor_class": "Gemma3Processor", "image_seq_length": _tokens(model)}
    _write(folder / "processor_config.json", shared)
    return folder


def _tokens(model: Model) -> int:
    return model.config.mm_tokens_per_image or 0


def _tokenizer_config(model: Model) -> dict[str, Any]:
    """Name the special tokens, those around and for a picture among them."""
    image = model.image_block.removeprefix(IMAGE_START).partition(">")[0] + ">"
    tokens = {"boi_token": IMAGE_START, "eoi_token": IMAGE_END, "image_token": image}
    named = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad", "unk")}
    return {
        "tokenizer_class": "GemmaTokenizerFast",
        "processor_class": "Gemma3Processor",
        "extra_special_tokens": tokens,
        **named,
        **tokens,
    }


def _preprocessor_config(model: Model) -> dict[str, Any]:
    """Say how a picture becomes numbers."""
    return {
        "image_processor_type": "Gemma3ImageProcessor",
        "processor_class": "Gemma3Processor",
        "do_resize": True,
        "size": {"height": model.image_px, "width": model.image_px},
        "resample": BILINEAR,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [IMAGE_MEAN] * CHANNELS,
        "image_std": [IMAGE_STD] * CHANNELS,
        "image_seq_length": _tokens(model),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
