"""A model of MedGemma 4B's shape with random weights: training, reading and writing at full size.

    python -m tests.benchmarks.whole_model FOLDER [--steps 8] [--tokens 64]

MedGemma's weights are not at hand, but its shape is published: what is printed of seconds and of
memory holds for them too, and nothing is said of what they would write. FOLDER gets the model, 9 GB
in MedGemma's layout, and the training's run. The training is that of ``train-1gpu.toml``, cut
short, with pictures of noise; the first steps warm up and are not counted. Needs a GPU of 40 GB.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm import curve
from assistant.writers.vlm.base import cached_base, convert_base
from assistant.writers.vlm.generate import Decoder, Prompt
from assistant.writers.vlm.model import STAND_IN
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.ready import Ready, read
from assistant.writers.vlm.sights import PLANES, SIDES, Views, cases_of, crop_name
from assistant.writers.vlm.train import LOG, Material, train
from assistant.writers.vlm.vision import normalised

ensure_torchvision()

from tokenizers import Tokenizer  # noqa: E402
from transformers import Gemma3Config, Gemma3ForConditionalGeneration  # noqa: E402

Edges = Mapping[str, Any]

# As google/medgemma-4b-it's config.json has them.
TEXT = {
    "vocab_size": 262208,
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 34,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 1024,
    "max_position_embeddings": 131072,
}
VISION = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
    "vision_use_head": False,
}
IMAGE_TOKENS = 256
SPREAD = 0.02  # of the random weights
WARM_UP = 3  # steps of the training that are not counted
AT_ONCE = (1, 8)  # texts
PICTURES = 6
RECORD = "volume, left hippocampus: <unused1000> <unused1002>, reliable, within reference\n"
RECORDS = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the model where it is not there, train, load, read, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for _ in convert_base():
        pass
    base = cached_base()
    assert base is not None
    model = asked.folder / "model"
    if not model.exists():
        make(model, base / "tokenizer.json")
    print(f"{device_name()}, torch {torch.__version__}, bfloat16, random weights")
    print(trained(model, asked.folder / "run", asked.steps), flush=True)
    print(written(model, asked.folder / "run" / "shipped", asked.tokens))


def make(folder: Path, tokenizer: Path, text: Edges = TEXT, vision: Edges = VISION) -> None:
    """Write a model of random weights in MedGemma's layout."""
    tokens = Tokenizer.from_file(str(tokenizer))
    config = Gemma3Config(
        text_config=dict(text),
        vision_config=dict(vision),
        mm_tokens_per_image=min(IMAGE_TOKENS, (vision["image_size"] // vision["patch_size"]) ** 2),
        boi_token_index=tokens.token_to_id("<start_of_image>"),
        eoi_token_index=tokens.token_to_id("<end_of_image>"),
        image_token_index=tokens.token_to_id(STAND_IN),
    )
    with torch.device("meta"):
        network = Gemma3ForConditionalGeneration(config).to(torch.bfloat16)
    network.to_empty(device="cuda" if torch.cuda.is_available() else "cpu")
    network.tie_weights()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, SPREAD)
    network.save_pretrained(folder, max_shard_size="5GB")
    shutil.copy(tokenizer, folder / "tokenizer.json")


def trained(model: Path, output: Path, steps: int) -> str:
    """Train an adapter for some steps; say how fast that was and what it took."""
    shipped = files("assistant.writers.vlm").joinpath("train-1gpu.toml")
    plan = TrainingPlan.read(Path(str(shipped)))
    plan = replace(plan, model=str(model), adapter_steps=steps + WARM_UP, pool=4)
    for step in train(plan, Material(noise), output):
        print(f"{step.stage} step {step.step}/{step.steps}", flush=True)
    rows = curve.read(output / "adapter" / LOG)[WARM_UP:]
    seconds = sum(row.seconds for row in rows)
    figures = json.loads((output / "shipped" / "figures.json").read_text(encoding="utf-8"))
    memory_gb = figures["peak_memory_bytes"] / 1e9
    return (
        f"training, {len(rows)} steps of {plan.batch} samples, {plan.micro_batch} at once:"
        f" {curve.samples_per_s(rows):.1f} samples and"
        f" {sum(row.tokens for row in rows) / seconds:.0f} tokens a second,"
        f" at most {memory_gb:.1f} GB"
    )


def noise(image_px: int) -> Views:
    """Show noise that differs from crop to crop."""
    names = [(crop_name(case), side) for case in cases_of("training") for side in SIDES]
    return {key: partial(_noise, number, image_px) for number, key in enumerate(names)}


def _noise(seed: int, image_px: int) -> np.ndarray:
    shape = (PLANES, image_px, image_px)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def written(model: Path, adapter: Path, tokens: int) -> str:
    """Load the model with its adapter; say how fast it reads a study and writes tokens."""
    began = perf_counter()
    ready = read(str(model), str(adapter))
    lines = [f"loaded and merged in {perf_counter() - began:.0f} s"]
    prompt = _prompt(ready)
    decoder = ready.decoder
    _timed(lambda: decoder._read(prompt, tokens))  # the first is slower
    read_s = median(_timed(lambda: decoder._read(prompt, tokens)) for _ in range(3))
    lines.append(
        f"reading {len(prompt.tokens)} tokens with {PICTURES} pictures of"
        f" {ready.model.image_px} pixels: {read_s:.2f} s"
    )
    for count in AT_ONCE:
        step_s = _step_s(decoder, prompt, tokens, count)
        lines.append(f"writing {count} at once: {count / step_s:.0f} tokens a second")
    if torch.cuda.is_available():
        lines.append(f"at most {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    return "\n".join(lines)


@torch.inference_mode()
def _step_s(decoder: Decoder, prompt: Prompt, tokens: int, count: int) -> float:
    """Return the seconds of a step with so many texts, the head with it, in the median."""
    memories = [decoder._read(prompt, tokens + 1)[1] for _ in range(count)]
    token = decoder.vocabulary.ids[0]

    def step() -> None:
        hidden = decoder.step.together([([token], memory) for memory in memories])
        decoder._logits(hidden)

    return median(_timed(step) for _ in range(tokens))


def _timed(work: Callable[[], object]) -> float:
    """Return the seconds of a call, what a GPU still has to do with them."""
    began = perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - began


def _prompt(ready: Ready) -> Prompt:
    """Write a prompt of a study's length, with pictures of noise."""
    model = ready.model
    text = f"{model.image_block * PICTURES}{RECORD * RECORDS}language: en\nreport\n"
    pixels = np.stack([_noise(n, model.image_px)[0] for n in range(PICTURES)])
    tokens = torch.tensor(model.tokenizer.encode(text).ids)
    shown = normalised(pixels).to(model.network.device, model.network.dtype)
    return Prompt(tokens, pixel_values=shown)


def device_name() -> str:
    """Name the GPU, or say that there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


if __name__ == "__main__":
    main()
