"""nnU-Net beside this package's U-Net: same subjects, same minutes, same cores, in one run.

    python3 -m venv /tmp/venv-nnunet
    /tmp/venv-nnunet/bin/pip install torch==2.13.0 nnunetv2==2.8.1
    python -m tests.benchmarks.nnunet --python /tmp/venv-nnunet/bin/python [--minutes 20]
        [--subjects 5 20 0] [--seed 0] [--output DIR]

One network each, without an ensemble, trained on the processor for so many minutes one after the
other, and judged on the validation crops, whose subjects neither has seen. The minutes hold
training alone: not nnU-Net's planning and preparation, nor this package's first epochs that tell
how many fit. ``--subjects`` is of how many, 0 all; those of a seed are the first of its order, as
in the learning curve. What is finished is left alone.
"""

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from segment.models.training.plan import Run, TrainingPlan, case_name, subject_of
from segment.reading.nifti import read_values
from segment.resume import replacing
from tests.benchmarks.few_labels import Cell, chosen_cases
from tests.benchmarks.networks import STRUCTURES, compared, judged, mean_of
from tests.shared_data import shared_data

TRAINER = Path(__file__).with_name("nnunet_train.py")
DATASET = "Dataset700_Hippocampus"
THREADS = 2
TRIED_STEPS = 30  # that tell how many epochs fit
LABELS = {"background": 0, "anterior": 1, "posterior": 2}


def ours(train: Sequence[int], val: Sequence[int], minutes: float, output: Path) -> dict[str, Any]:
    """Train this package's U-Net for so many minutes as its epochs fill, and judge it."""
    import torch
    from safetensors.torch import load_file

    from segment.models.network import build_network, load_state, parameters_of
    from segment.models.training.run import train_run

    torch.set_num_threads(THREADS)
    data = shared_data("hippocampus").parent
    plan = TrainingPlan.read(Path(str(files("segment.models.training").joinpath("train.toml"))))
    tried = 1 + -(-TRIED_STEPS * plan.batch // len(train))
    steps = train_run(replace(plan, settling_epochs=0), _run("try", tried, train), data, output)
    next(steps)  # the first reads the crops, too
    an_epoch_s = _trained(steps) / (tried - 1)
    epochs = max(1, round(60 * minutes / an_epoch_s))
    settling = plan.settling_epochs if epochs > 2 * plan.settling_epochs else 0
    filled = replace(plan, settling_epochs=settling, checkpoint_every_epochs=epochs)
    seconds = _trained(train_run(filled, _run("ours", epochs - settling, train), data, output))
    network = build_network(plan.network, plan.patch, len(plan.structures), {})
    load_state(network, load_file(output / "ours" / "weights.safetensors"))
    return {
        "steps": epochs * (len(train) // plan.batch),
        "batch": plan.batch,
        "seconds": seconds,
        "parameters": parameters_of(network),
        "agreements": judged(plan.network, network.eval(), val, data / "hippocampus"),
    }


def theirs(
    train: Sequence[int], val: Sequence[int], minutes: float, output: Path, python: str
) -> dict[str, Any]:
    """Let nnunetv2 train and predict in its own environment, and judge its labels."""
    data = shared_data("hippocampus")
    raw = output / "nnUNet_raw" / DATASET
    for folder in (raw / "imagesTr", raw / "labelsTr", output / "images"):
        folder.mkdir(parents=True)
    for case in train:
        image = raw / "imagesTr" / f"case_{case:03d}_0000.nii.gz"
        shutil.copy(data / "images" / case_name(case), image)
        shutil.copy(data / "labels" / case_name(case), raw / "labelsTr" / f"case_{case:03d}.nii.gz")
    for case in val:
        shutil.copy(data / "images" / case_name(case), output / "images" / case_name(case))
    told = {
        "channel_names": {"0": "MRI"},
        "labels": LABELS,
        "numTraining": len(train),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(told))
    command = [python, str(TRAINER), str(output), "--minutes", str(minutes)]
    with (output / "nnunet.log").open("w") as log:
        subprocess.run([*command, "--threads", str(THREADS)], check=True, stdout=log, stderr=log)
    found = json.loads((output / "trained.json").read_text())
    drawn = iter(val)

    def labels_of(_box: object) -> np.ndarray:
        path = output / "labels" / case_name(next(drawn))
        return read_values(path).array.astype(np.int64)

    return {**found, "agreements": compared(labels_of, val, data)}


def rows(chosen: argparse.Namespace) -> Iterator[str]:
    """Train what is not finished, and write a row for each network."""
    split = json.loads((shared_data("hippocampus") / "split.json").read_text())
    val = tuple(split["val"])
    subjects = {subject_of(case) for case in val}
    yield (
        f"{chosen.minutes:g} minutes of {THREADS} threads, load {os.getloadavg()[0]:.1f} at the"
        f" start; n = {len(val)} validation crops of {len(subjects)} subjects, one seed.\n"
    )
    yield (
        "| training subjects | network | parameters | steps x crops | seconds | Dice, whole |"
        " Dice, anterior | Dice, posterior | mean surface distance, mm |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for size in chosen.subjects:
        train = tuple(chosen_cases(split["train"], Cell(size, "scratch", chosen.seed)))
        count = len({subject_of(case) for case in train})
        for name in ("nnU-Net", "unet"):
            folder = chosen.output / f"{count}-{chosen.minutes:g}-{chosen.seed}-{name}"
            path = folder.with_suffix(".json")
            if not path.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                given = (train, val, chosen.minutes, folder)
                found = ours(*given) if name == "unet" else theirs(*given, chosen.python)
                with replacing(path) as temporary:
                    temporary.write_text(json.dumps(found), encoding="utf-8")
            yield _row(count, name, json.loads(path.read_text(encoding="utf-8")))


def _row(count: int, name: str, found: dict[str, Any]) -> str:
    dice = [f"{mean_of(found, part, 'dice'):.3f}" for part in STRUCTURES]
    distance = f"{mean_of(found, 'whole', 'mean_surface_distance_mm'):.2f}"
    taken = (f"{found['parameters']:,}", f"{found['steps']} x {found['batch']}")
    cells = (str(count), name, *taken, f"{found['seconds']:.0f}", *dice, distance)
    return f"| {' | '.join(cells)} |"


def _run(name: str, epochs: int, train: Sequence[int]) -> Run:
    return Run(name, 0, None, epochs, tuple(train), ())


def _trained(steps: Iterator[object]) -> float:
    """Return the seconds that a training takes."""
    began = time.monotonic()
    for _ in steps:
        pass
    return time.monotonic() - began


def main() -> None:
    """Print the table row by row."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--python", required=True, help="of an environment with nnunetv2")
    arguments.add_argument("--minutes", type=float, default=20)
    arguments.add_argument("--subjects", type=int, nargs="+", default=[5, 20, 0])
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--output", type=Path, default=Path("runs/nnunet"))
    chosen = arguments.parse_args()
    for row in rows(chosen):
        print(row, flush=True)


if __name__ == "__main__":
    main()
