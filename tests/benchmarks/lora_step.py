"""A step of the adapter's training beside transformers' Trainer with peft, as they come.

    python -m tests.benchmarks.lora_step [--batch 8] [--steps 6] [--threads 2] [--model FOLDER]

The same base in the same precision, the same adapter on the same layers, the same tokens side by
side with the same padding, targets alone in the loss, gradients clipped alike. Prompts without
pictures: what ours saves by looking at each picture once is not in it. Step by step in turn: before
the Trainer takes one, ours takes one with the same batch. The first step of each is left out.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from torch.utils.data import IterableDataset

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.base import cached_base, convert_base
from assistant.writers.vlm.batches import Sample, Shown, Tokens, padding
from assistant.writers.vlm.data import training_pairs
from assistant.writers.vlm.plan import EMBEDDED, TrainingPlan
from assistant.writers.vlm.quiet import quietly
from assistant.writers.vlm.sights import Gallery
from assistant.writers.vlm.stages import Trainer
from assistant.writers.vlm.untrained import begin, markup_of, vocabulary_of
from segment.models.training.processes import Crew

ensure_torchvision()

from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import (  # noqa: E402
    Gemma3ForCausalLM,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)
from transformers import Trainer as StockTrainer  # noqa: E402

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NO_TARGET = -100  # as transformers marks what is not in the loss
BLOCK = 64  # pairs drawn at once
Batches = Sequence[Sequence[Sample]]


def ours(plan: TrainingPlan) -> Trainer:
    """Build the adapter's stage as `voxcite train writer` does."""
    model = begin(plan).model
    vocabulary = vocabulary_of(model.tokenizer, plan.languages)
    tokens = Tokens(model.tokenizer, vocabulary, markup_of(model), vocabulary.stops[0])
    trainer = Trainer(plan, "adapter", Crew.gather(is_sharded=False), model, tokens)
    trainer.show(Gallery({}, (1.0,)))
    return trainer


def batches(plan: TrainingPlan, tokens: Tokens, steps: int) -> Batches:
    """Draw samples for so many steps, none with pictures; those of a step are of about a length."""
    rng, found = np.random.default_rng(plan.seed), []
    while len(found) < steps * plan.batch:
        pairs = training_pairs(rng, BLOCK, plan.languages)
        made = (tokens.sample(Shown(pair, ())) for pair in pairs)
        found += [sample for sample in made if len(sample) <= plan.longest]
    found = sorted(found[: steps * plan.batch], key=len)
    together = [found[first : first + plan.batch] for first in range(0, len(found), plan.batch)]
    return [together[place] for place in rng.permutation(steps)]


class Fed(IterableDataset[dict[str, Any]]):
    """The same samples, in the same order, as the Trainer takes them."""

    def __init__(self, together: Batches) -> None:
        self._together = together

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for samples in self._together:
            yield from ({"prompt": s.prompt, "target": s.target} for s in samples)


def side_by_side(samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad samples at the end, as ours are padded."""
    longest = max(len(s["prompt"]) + len(s["target"]) for s in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, NO_TARGET)
    for row, sample in enumerate(samples):
        begin_, end = len(sample["prompt"]), len(sample["prompt"]) + len(sample["target"])
        ids[row, :end] = torch.tensor((*sample["prompt"], *sample["target"]))
        mask[row, :end] = 1
        labels[row, begin_:end] = ids[row, begin_:end]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class InTurn(TrainerCallback):
    """Times a step of ours before each of the Trainer's, and then that one."""

    def __init__(self, trainer: Trainer, together: Batches) -> None:
        self.spent: dict[str, list[float]] = {"ours": [], "stock": []}
        self._trainer, self._left, self._number = trainer, iter(together), count()
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Take a step of ours."""
        samples = next(self._left)
        began = perf_counter()
        self._trainer.take(samples)
        self._began = perf_counter()
        self.spent["ours"].append(self._began - began)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock of the Trainer's own step."""
        self.spent["stock"].append(perf_counter() - self._began)


def stock(folder: Path, plan: TrainingPlan, clock: InTurn, together: Batches, scratch: str) -> None:
    """Let transformers' Trainer tune the same base with peft, with ours in turn."""
    network = Gemma3ForCausalLM.from_pretrained(folder, dtype=getattr(torch, plan.precision))
    config = LoraConfig(
        r=plan.rank, lora_alpha=plan.alpha, target_modules=LINEAR, task_type="CAUSAL_LM"
    )
    arguments = TrainingArguments(
        output_dir=scratch,
        max_steps=len(together),
        per_device_train_batch_size=plan.batch,
        learning_rate=plan.adapter_rate,
        bf16=plan.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=plan.seed,
    )
    trainer = StockTrainer(
        get_peft_model(network, config),
        arguments,
        data_collator=side_by_side,
        train_dataset=Fed(together),
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def base_of(name: str) -> Path:
    """Find the folder of a base; the embedded one is converted where it is not yet."""
    if name != EMBEDDED:
        return Path(name)
    for _ in convert_base():
        pass
    found = cached_base()
    assert found is not None
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the steps and print both rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="that count; one more warms up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default=EMBEDDED, help="the folder of a language model")
    parser.add_argument("--plan", type=Path, help="TOML; the default is the shipped plan")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    shipped = Path(str(files("assistant.writers.vlm").joinpath("train.toml")))
    plan = replace(
        TrainingPlan.read(asked.plan or shipped),
        model=asked.model,
        batch=asked.batch,
        micro_batch=asked.batch,
        projector_steps=0,
        adapter_steps=asked.steps + 1,
    )
    folder = base_of(asked.model)
    trainer = ours(plan)
    together = batches(plan, trainer.tokens, asked.steps + 1)
    clock = InTurn(trainer, together)
    AcceleratorState._reset_state()  # the Trainer's Accelerator casts, ours does not
    with tempfile.TemporaryDirectory() as scratch, quietly():
        stock(folder, plan, clock, together, scratch)
    lengths = [len(sample) for samples in together[1:] for sample in samples]
    filler = np.mean([padding(samples) for samples in together[1:]])
    print(f"{asked.threads} threads of {os.cpu_count()}, load {os.getloadavg()[0]:.1f};")
    print(
        f"{asked.steps} steps of {plan.batch} samples of {np.mean(lengths):.0f} tokens in the mean,"
    )
    print(f"{100 * filler:.0f} % padding, {plan.precision}\n")
    print("| step | samples a second | seconds a step |\n|---|---|---|")
    took = {name: median(seconds[1:]) for name, seconds in clock.spent.items()}
    for name, label in (("ours", "voxcite"), ("stock", "transformers' Trainer, peft")):
        print(f"| {label} | {plan.batch / took[name]:.2f} | {took[name]:.2f} |")
    print(f"\nratio {took['stock'] / took['ours']:.2f}")


if __name__ == "__main__":
    main()
