"""A segmenter's training at toy size: its plan, and crops with a block of each structure.

As a module, one process of it for torchrun to start.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np

from segment.models import describe
from segment.models.training.plan import TrainingPlan, case_name
from segment.models.training.processes import Crew

STRUCTURES = tuple(describe("unet")["structures"])
REPOSITORY = Path(__file__).resolve().parents[1]


def toy_plan(**changes):
    """Return a plan of single epochs, one shipped member and two folds."""
    plan = TrainingPlan(
        network="unet",
        sizes={"filters": (4, 8, 8)},
        images="images",
        labels="labels",
        split="split.json",
        case="hippocampus_{:03d}.nii.gz",
        structures=STRUCTURES,
        patch=(16, 16, 16),
        batch=1,
        epochs=1,
        learning_rate=2e-3,
        weight_decay=1e-2,
        settling_epochs=1,
        settling_learning_rate=1e-4,
        settling_strength=0.25,
        checkpoint_every_epochs=1,
        precision="bfloat16",
        fully_sharded=False,
        members=1,
        folds=2,
        fold_members=1,
        fold_epochs=1,
    )
    return replace(plan, **changes)


def plan_text(plan):
    """Write a plan as the TOML that it is read from."""
    values = ((key, list(v) if isinstance(v, tuple) else v) for key, v in vars(plan).items())
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values)


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + " }"
    return json.dumps(value)


def write_crops(folder, shape, blocks, *, train, val=(), roles=0):
    """Write noisy crops, in which block ``n`` is bright and labelled ``n``, and their split.

    They lie as the training data do; every crop holds the same blocks. With ``roles`` a crop has
    so many sequences, with a noise of their own.
    """
    rng = np.random.default_rng(0)
    label = np.zeros(shape, np.uint8)
    for number, block in enumerate(blocks, start=1):
        label[block] = number
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for case in (*train, *val):
        noise = rng.normal(500, 40, (*shape, roles) if roles else shape)
        image = ((label > 0) * 300)[..., None] + noise if roles else (label > 0) * 300 + noise
        for kind, array in (("images", image.astype(np.float32)), ("labels", label)):
            nibabel.Nifti1Image(array, np.eye(4)).to_filename(folder / kind / case_name(case))
    split = {"train": list(train), "val": list(val)}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def alone():
    """Return a crew of one."""
    return Crew.gather(is_sharded=False)


def launched(*words):
    """Start a module in two processes; return what they print."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launch, "--nproc-per-node", "2", "-m", *map(str, words)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=500,
    ).stdout


def shared_plan(**changes):
    """Return a plan of full precision that several processes can share."""
    sizes = {"batch": 4, "epochs": 4, "checkpoint_every_epochs": 2, "folds": 0}
    return toy_plan(**{**sizes, "precision": "float32", "learning_rate": 1e-3, **changes})


def main(data, output, kind):
    """Train and print as the command does; every process of torchrun comes here."""
    from assistant.cli.learn import line_of_epoch
    from segment.models.training.run import train

    plan = shared_plan(fully_sharded=kind != "copies")
    for step in train(plan, Path(data), Path(output)):
        sys.stdout.write(f"{line_of_epoch(step)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
