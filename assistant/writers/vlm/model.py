"""The vision-language model: Gemma 3 with a SigLIP tower, as MedGemma is. Knows nothing of reports.

It is put together from the embedded language model and the parts trained here, or loaded from a
folder in MedGemma's layout; both give the same object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.adapter import BaseFacts, adapter_sha256, load_adapter
from assistant.writers.vlm.checkpoint import TEXT, Checkpoint, find, inspect
from assistant.writers.vlm.errors import INSTALL, Fault, ModelError
from assistant.writers.vlm.memory import Precision, available_bytes, check_room, needed_bytes
from assistant.writers.vlm.parts import Parts, read_parts
from assistant.writers.vlm.projector import check_tokens, text_of, vision_of
from assistant.writers.vlm.quiet import quietly
from assistant.writers.vlm.vision import normalised

ensure_torchvision()

from peft import PeftModel  # noqa: E402
from transformers import Gemma3Config, Gemma3ForConditionalGeneration  # noqa: E402

IMAGE_START, IMAGE_END = "<start_of_image>", "<end_of_image>"
# The token that a picture's features take the place of. The vocabulary of 270M lacks it and must
# not grow, so one that it never learnt stands there: far from the slots, 1000 to 1063 and 2000.
IMAGE_TOKEN, STAND_IN = "<image_soft_token>", "<unused3000>"
LANGUAGE, TOWER, PROJECTOR = (
    "model.language_model.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
)
FULL_PRECISION = ("lm_head", "vision_tower", "multi_modal_projector")  # not in four bits

Device = Literal["auto", "cpu", "cuda"]
Network = Gemma3ForConditionalGeneration | PeftModel


@dataclass(frozen=True)
class Placement:
    """Where a model runs and how its numbers are kept; ``auto`` takes a GPU where there is one."""

    device: Device = "auto"
    precision: Precision = "bfloat16"

    @property
    def resolved(self) -> str:
        """Name the device; raises ModelError for a GPU that is not there."""
        has_gpu = torch.cuda.is_available()
        if self.device == "cuda" and not has_gpu:
            msg = "expected a GPU, found none that torch can use; leave the device out, or say cpu"
            raise ModelError(Fault.NO_DEVICE, msg)
        return "cuda" if has_gpu and self.device != "cpu" else "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """What the numbers are computed in; with four bits, what they are unpacked to."""
        return torch.float32 if self.precision == "float32" else torch.bfloat16


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to write, its tokenizer, and which weights they are.

    ``base`` names the language model (or the whole checkpoint) that an adapter belongs to;
    ``sha256`` holds the hashes that a report's provenance quotes.
    """

    network: Network
    tokenizer: Tokenizer
    base: BaseFacts
    sha256: Mapping[str, str]

    @property
    def config(self) -> Gemma3Config:
        """The configuration of the whole network."""
        config = self.network.config
        assert isinstance(config, Gemma3Config)
        return config

    @property
    def image_px(self) -> int:
        """How many pixels a picture has along each edge."""
        image_px = vision_of(self.config).image_size
        assert isinstance(image_px, int)
        return image_px

    @property
    def image_block(self) -> str:
        """What stands in a prompt for one picture."""
        token = self.tokenizer.id_to_token(_image_token(self.config)) or IMAGE_TOKEN
        return IMAGE_START + token * (self.config.mm_tokens_per_image or 0) + IMAGE_END

    @property
    def window(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        return text_of(self.config).max_position_embeddings

    def inputs(self, text: str, pictures: Float32[np.ndarray, "picture h w"]) -> dict[str, Tensor]:
        """Tokenise a prompt that holds one ``image_block`` a picture; ready for the network.

        Tokens of one picture see each other in both directions, as in MedGemma's training; that
        is what ``token_type_ids`` is for. Raises ValueError when blocks and pictures differ.
        """
        if (blocks := text.count(self.image_block)) != len(pictures):
            msg = f"the prompt has places for {blocks} pictures and {len(pictures)} were given"
            raise ValueError(msg)
        device = self.network.device
        ids = torch.tensor([self.tokenizer.encode(text).ids], device=device)
        found = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "token_type_ids": (ids == _image_token(self.config)).long(),
        }
        if len(pictures):
            values = normalised(pictures)
            found["pixel_values"] = values.to(device=device, dtype=self.network.dtype)
        return found


def load_embedded(
    base: Path, parts: Path, placement: Placement, *, with_adapter: bool = True
) -> Model:
    """Put the embedded model together from the converted base and the folder of trained parts.

    Raises ModelError when a file is missing, changed or belongs to another base, and when there is
    no memory for it.
    """
    found = read_parts(parts)
    language = inspect(base, found.base.name, TEXT)
    facts = _facts(language, int(language.config["hidden_size"]))
    if facts.fingerprint != found.base.fingerprint:
        msg = (
            f"the trained parts: expected the {found.base.name} that they were trained with, found"
            " other weights; remove it from the cache, so that it is converted anew"
        )
        raise ModelError(Fault.WRONG_ADAPTER, msg)
    tokenizer = read_tokenizer(language)
    network = assemble(language, tokenizer, found, placement)
    hashes = {"base": facts.fingerprint, "parts": found.sha256}
    adapter = found.adapter if with_adapter else None
    return _finish(network, tokenizer, facts, adapter, hashes)


def load_checkpoint(
    source: str | Path, placement: Placement, *, adapter: Path | None = None
) -> Model:
    """Load a whole model from a folder in MedGemma's layout, or by its name on the hub.

    Raises ModelError for a folder, a class, a shard, an adapter or a memory that does not do.
    """
    name, folder = find(source)
    whole = inspect(folder, name)
    _check_room(whole, placement)
    network = _load(name, folder, _options(placement) | {"local_files_only": True})
    facts = _facts(whole, text_of(network.config).hidden_size)
    return _finish(network, read_tokenizer(whole), facts, adapter, {"base": facts.fingerprint})


def assemble(
    language: Checkpoint, tokenizer: Tokenizer, parts: Parts, placement: Placement
) -> Gemma3ForConditionalGeneration:
    """Make one network of a language model's weights, a tower and a projector."""
    _check_room(language, placement)
    config = compose(language, tokenizer, parts.vision_config, parts.tokens_per_image)
    state: dict[str, Tensor] = {}
    for shard in sorted({stored.shard for stored in language.weights.values()}):
        read = load_file(shard)
        state |= {LANGUAGE + name.removeprefix("model."): tensor for name, tensor in read.items()}
    state |= {TOWER + name: tensor for name, tensor in parts.tower.items()}
    state |= {PROJECTOR + name: tensor for name, tensor in parts.projector.items()}
    options = _options(placement) | {"config": config, "state_dict": state}
    return _load(language.name, None, options)


def compose(
    language: Checkpoint,
    tokenizer: Tokenizer,
    vision_config: Mapping[str, Any],
    tokens_per_image: int,
) -> Gemma3Config:
    """Write the configuration of a language model with a tower in front of it."""
    image = tokenizer.token_to_id(IMAGE_TOKEN)
    config = Gemma3Config(
        text_config=dict(language.config),
        vision_config=dict(vision_config) | {"vision_use_head": False},
        mm_tokens_per_image=tokens_per_image,
        boi_token_index=tokenizer.token_to_id(IMAGE_START),
        eoi_token_index=tokenizer.token_to_id(IMAGE_END),
        image_token_index=tokenizer.token_to_id(STAND_IN) if image is None else image,
    )
    check_tokens(config)
    return config


def read_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """Read the tokenizer of a model's folder; raises ModelError."""
    try:
        return Tokenizer.from_file(str(checkpoint.folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing narrower
        msg = f"{checkpoint.name}: expected a tokenizer, found another file; copy it again"
        raise ModelError(Fault.WRONG_TOKENIZER, msg) from error


def _finish(
    network: Gemma3ForConditionalGeneration,
    tokenizer: Tokenizer,
    base: BaseFacts,
    adapter: Path | None,
    hashes: dict[str, str],
) -> Model:
    """Put the adapter on and the tokenizer beside it."""
    _check_image_tokens(network.config, tokenizer, base.name)
    network.eval()
    adapted: Network = network
    if adapter is not None:
        adapted = load_adapter(network, adapter, base)
        hashes["adapter"] = adapter_sha256(adapter)
    return Model(adapted, tokenizer, base, hashes)


def _load(
    name: str, folder: Path | None, options: Mapping[str, Any]
) -> Gemma3ForConditionalGeneration:
    """Let transformers load; refuse a network of which it made up a part with random numbers."""
    try:
        with quietly():
            loaded: Any = Gemma3ForConditionalGeneration.from_pretrained(
                folder, output_loading_info=True, **options
            )
    except RuntimeError as error:  # a weight of another shape
        msg = f"{name}: expected weights that fit its config.json, found others; copy it again"
        raise ModelError(Fault.DAMAGED, msg) from error
    network, seen = loaded
    assert isinstance(network, Gemma3ForConditionalGeneration)
    if seen["missing_keys"]:
        first = min(seen["missing_keys"])
        msg = f"{name}: expected every weight of its class, found no {first}; copy it again"
        raise ModelError(Fault.DAMAGED, msg)
    return network


def _facts(checkpoint: Checkpoint, hidden_size: int) -> BaseFacts:
    return BaseFacts(checkpoint.name, checkpoint.fingerprint, hidden_size)


def _options(placement: Placement) -> dict[str, Any]:
    """Say to transformers where and how to load."""
    device = placement.resolved
    options: dict[str, Any] = {"dtype": placement.dtype}
    if device != "cpu":
        options["device_map"] = {"": device}
    if placement.precision == "4bit":
        options["quantization_config"] = _four_bit()
        options["device_map"] = {"": device}
    return options


def _four_bit() -> Any:  # noqa: ANN401  a class of transformers that needs bitsandbytes
    """Describe QLoRA's four bits; raises ModelError where bitsandbytes is not installed."""
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is None:
        msg = f"expected bitsandbytes for four bits, found it not installed; {INSTALL} bitsandbytes"
        raise ModelError(Fault.NOT_INSTALLED, msg)
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=list(FULL_PRECISION),
    )


def _check_room(checkpoint: Checkpoint, placement: Placement) -> None:
    needed = needed_bytes(checkpoint.weights.items(), placement.precision)
    check_room(checkpoint.name, needed, available_bytes(placement.resolved))


def _image_token(config: Gemma3Config) -> int:
    number = config.image_token_id
    assert isinstance(number, int)
    return number


def _check_image_tokens(config: Gemma3Config, tokenizer: Tokenizer, name: str) -> None:
    """Refuse a tokenizer that writes a picture's tokens otherwise than the network reads them."""
    image = _image_token(config)
    read = {IMAGE_START: config.boi_token_id, IMAGE_END: config.eoi_token_id}
    read[IMAGE_TOKEN if tokenizer.token_to_id(IMAGE_TOKEN) is not None else STAND_IN] = image
    for token, number in read.items():
        if tokenizer.token_to_id(token) != number:
            msg = f"{name}: expected a tokenizer with {token}, found another; take the model's own"
            raise ModelError(Fault.WRONG_TOKENIZER, msg)
