"""The LoRA adapter: put on, saved, loaded, merged. Knows nothing of training or of prompts.

Its folder is what peft writes and plain peft reads; the header of its weights also says for which
base it was made, and whether it learnt to word comparisons. No embedding is ever part of it, so
that the head stays tied to the embedding.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.checkpoint import read_header
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.quiet import quietly

ensure_torchvision()

from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import Gemma3ForConditionalGeneration  # noqa: E402

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
KEY = "voxcite_base"
COMPARES, TRUE = "voxcite_comparisons", "true"
LINEAR = r".*language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
PREFIX, DOWN = "base_model.model.", ".lora_A.weight"
FOREIGN = ("modules_to_save", "megatron_config", "trainable_token_indices")
TIED = ("embed_tokens", "lm_head")


@dataclass(frozen=True)
class BaseFacts:
    """Which model an adapter belongs to."""

    name: str
    fingerprint: str
    hidden_size: int


@dataclass(frozen=True)
class Rank:
    """How large an adapter is; its update is scaled by ``alpha / r``."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0


def add_adapter(network: Gemma3ForConditionalGeneration, rank: Rank) -> PeftModel:
    """Put a fresh adapter on all linear layers of the language model; at first it does nothing."""
    config = LoraConfig(
        r=rank.r,
        lora_alpha=rank.alpha,
        lora_dropout=rank.dropout,
        target_modules=LINEAR,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with quietly():
        adapted = get_peft_model(network, config)
    assert isinstance(adapted, PeftModel)
    return adapted


def save_adapter(
    network: PeftModel, folder: Path, base: BaseFacts, *, compares: bool = False
) -> Path:
    """Write an adapter as peft does, and for which base it was made.

    ``compares`` says that it was trained on comparisons with earlier examinations.
    """
    for config in network.peft_config.values():
        config.base_model_name_or_path = base.name  # never the folder it was loaded from
    with quietly():
        network.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's form of a card, left empty
    path = folder / WEIGHTS
    tensors = load_file(path)
    told = {COMPARES: TRUE} if compares else {}
    save_file(tensors, path, metadata={"format": "pt", KEY: json.dumps(asdict(base)), **told})
    return folder


def words_comparisons(folder: Path) -> bool:
    """Tell whether an adapter was trained on comparisons; one that does not say so was not."""
    if not (folder / WEIGHTS).is_file():
        return False
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        return (file.metadata() or {}).get(COMPARES) == TRUE


def load_adapter(
    network: Gemma3ForConditionalGeneration,
    folder: Path,
    base: BaseFacts,
    *,
    is_trainable: bool = False,
) -> PeftModel:
    """Load an adapter onto the base it was made for; raises ModelError for any other."""
    check_adapter(network, folder, base)
    with quietly():
        adapted = PeftModel.from_pretrained(
            network,
            str(folder),
            is_trainable=is_trainable,
            autocast_adapter_dtype=is_trainable,  # in full precision only where it is trained
        )
    return adapted if is_trainable else adapted.eval()


def merge(network: PeftModel) -> Gemma3ForConditionalGeneration:
    """Add an adapter into the weights below it, which change; return the plain network."""
    with quietly():
        merged = network.merge_and_unload()
    assert isinstance(merged, Gemma3ForConditionalGeneration)
    return merged


def adapter_sha256(folder: Path) -> str:
    """Hash an adapter's weights."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def check_adapter(network: nn.Module, folder: Path, base: BaseFacts) -> None:
    """Refuse an adapter that is not whole, is no plain LoRA, or belongs to another base."""
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            msg = f"{folder.name}: expected an adapter with {file}, found none; give its folder"
            raise ModelError(Fault.MISSING, msg)
    _check_config(folder)
    shapes = {name: stored.shape for name, stored in read_header(folder / WEIGHTS).items()}
    if any(tied in name for name in shapes for tied in TIED):
        msg = (
            f"{folder.name}: expected LoRA alone, found an embedding saved with it;"
            " train it without modules_to_save"
        )
        raise ModelError(Fault.WRONG_ADAPTER, msg)
    _check_base(folder, base)
    _check_shapes(network, shapes, folder.name, base.name)


def _check_config(folder: Path) -> None:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, foreign = config.get("peft_type"), [key for key in FOREIGN if config.get(key)]
    except (ValueError, AttributeError) as error:
        msg = f"{CONFIG}: expected a JSON object, found something else; copy the adapter again"
        raise ModelError(Fault.DAMAGED, msg) from error
    if kind != "LORA" or foreign:
        found = foreign[0] if foreign else kind
        msg = f"{folder.name}: expected a plain LoRA adapter, found {found}; give another"
        raise ModelError(Fault.WRONG_ADAPTER, msg)


def _check_base(folder: Path, base: BaseFacts) -> None:
    """Compare for which base an adapter says that it was made; one of plain peft does not say."""
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        said = (file.metadata() or {}).get(KEY)
    if said is None:
        return
    try:
        made_for = BaseFacts(**json.loads(said))
    except (ValueError, TypeError) as error:
        msg = f"{WEIGHTS}: expected to read for which base it was made, found no such facts"
        raise ModelError(Fault.DAMAGED, f"{msg}; copy it again") from error
    if made_for.fingerprint == base.fingerprint:
        return
    same_name = made_for.name == base.name
    found = f"other weights of {base.name}" if same_name else base.name
    raise _wrong_base(folder.name, made_for.name, found)


def _check_shapes(
    network: nn.Module, shapes: dict[str, tuple[int, ...]], name: str, base: str
) -> None:
    """Refuse an adapter whose layers the network lacks or has in another size."""
    downs = {key: shape for key, shape in shapes.items() if key.endswith(DOWN)}
    modules = dict(network.named_modules())
    for key, shape in downs.items():
        layer = modules.get(key.removeprefix(PREFIX).removesuffix(DOWN))
        width = getattr(layer, "in_features", None)
        if width != shape[-1]:
            raise _wrong_base(name, f"a base with layers {shape[-1]} wide", base)
    if not downs:
        raise _wrong_base(name, "some base", "no LoRA weight in it")


def _wrong_base(adapter: str, expected: str, found: str) -> ModelError:
    msg = f"{adapter}: expected {expected}, for which it was made, found {found}; give that model"
    return ModelError(Fault.WRONG_ADAPTER, msg)
