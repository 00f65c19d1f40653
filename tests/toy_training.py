"""A writer's training at toy size; as a module, one process of it for torchrun to start."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from assistant.writers.vlm.corpus import corpus
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.sights import PLANES, SIDES, cases_of, crop_name
from tests.toy_vlm import toy_text_model

BASE = "toy-270m"


def toy_base(folder):
    """Write a language model whose tokenizer spells what is trained on."""
    return toy_text_model(folder / BASE, texts=[corpus("en")])


def toy_plan(base, **changes):
    """Return a plan of a few steps in full precision."""
    plan = TrainingPlan(
        seed=3,
        model=str(base),
        adapter="new",
        tower="random",
        random_tower=(24, 4, 16, 2, 2),
        tokens_per_image=4,
        precision="float32",
        fully_sharded=False,
        languages=("en",),
        images="images",
        labels="labels",
        weakest=0.4,
        strongest=1.0,
        own_share=0.5,
        longest=700,
        batch=4,
        micro_batch=2,
        pool=3,
        projector_steps=2,
        projector_rate=1e-2,
        adapter_steps=5,
        adapter_rate=1e-2,
        warmup_steps=1,
        weight_decay=0.0,
        rank=4,
        alpha=8,
        checkpoint_every_steps=2,
        report_every_steps=1,
    )
    return replace(plan, **changes)


def toy_views(image_px):
    """Show noise that differs from case to case."""
    names = [(crop_name(case), side) for case in cases_of("training") for side in SIDES]
    return {key: partial(_noise, number, image_px) for number, key in enumerate(names)}


def _noise(seed, image_px):
    shape = (PLANES, image_px, image_px)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def main(base, output, kind):
    """Train and print as the command does; every process of torchrun comes here."""
    from assistant.cli.learn import line_of
    from assistant.writers.vlm.train import Material, train

    plan = toy_plan(Path(base), micro_batch=1, fully_sharded=kind == "sharded")
    for step in train(plan, Material(toy_views), Path(output)):
        sys.stdout.write(f"{line_of(step)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
