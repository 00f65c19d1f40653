"""Memory and time of the labels of a large CT by a network of 30 labels, patch by patch.

    python -m tests.benchmarks.large_scan [--slices 100 200 400] [--spacing 1.5] [--patch 96]

The CT is noise of 512 x 512 voxels of 0.8 mm in slices of 1.5 mm, and the network is not trained:
its labels mean nothing, its memory and seconds do. Each scan is labelled by `voxcite label` in a
process of its own; memory is the most that the process ever held, reading and writing included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import torch

from segment.models.nnunet.network import UNet
from segment.models.nnunet.plans import Architecture
from tests.toy_nnunet import plans, weights_of

SIZE, EDGE_MM, SLICE_MM = 512, 0.8, 1.5
LABELS = {"background": 0, **{f"organ_{n}": n for n in range(1, 31)}}
FEATURES = (16, 32, 64, 128)
STAGES = len(FEATURES)
CUBES, ONES, TWOS = [[3, 3, 3]] * STAGES, [1, 1, 1], [2, 2, 2]


def write_folder(folder: Path, spacing_mm: float, patch: int) -> None:
    """Write a folder as nnU-Net leaves one, with a network of random weights."""
    table = plans(patch_size=[patch] * 3, spacing=[spacing_mm] * 3)
    options = table["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    strides = [ONES, *[TWOS] * (STAGES - 1)]
    options |= {
        "n_stages": STAGES,
        "features_per_stage": list(FEATURES),
        "kernel_sizes": CUBES,
        "strides": strides,
        "n_conv_per_stage": [2] * STAGES,
        "n_conv_per_stage_decoder": [2] * (STAGES - 1),
    }
    dataset = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz"}
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(table))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    cubes, twos = ((3, 3, 3),) * STAGES, ((2, 2, 2),) * (STAGES - 1)
    counts = (2,) * STAGES
    plan = Architecture(
        False, FEATURES, cubes, ((1, 1, 1), *twos), counts, counts[1:], has_bias=True
    )
    torch.manual_seed(0)
    content = {
        "network_weights": weights_of(UNet(plan, len(LABELS))),
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (),
    }
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")


def write_scan(path: Path, slices: int) -> None:
    """Write a CT of noise."""
    shape = (SIZE, SIZE, slices)
    array = np.random.default_rng(0).integers(-1000, 400, shape, np.int16)
    image = nibabel.Nifti1Image(array, np.diag([EDGE_MM, EDGE_MM, SLICE_MM, 1]))
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


def labelled(scan: Path, model: Path, output: Path) -> tuple[float, float]:
    """Label a scan; return the seconds and the GiB that it took."""
    command = [sys.executable, "-m", "assistant.cli", "label", str(scan)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--model", f"nnunet:{model}", "-o", str(output)], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - began, used.ru_maxrss / 2**20


def main() -> None:
    """Print a row a scan."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slices", type=int, nargs="+", default=[100, 200, 400])
    arguments.add_argument("--spacing", type=float, default=1.5, help="of the network's voxels, mm")
    arguments.add_argument("--patch", type=int, default=96, help="voxels along each edge")
    chosen = arguments.parse_args()
    print(f"{len(LABELS)} classes, voxels of {chosen.spacing} mm, patches of {chosen.patch}\n")
    print("| scan | seconds | seconds a slice | most memory, GiB |")
    print("|---|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder / "model", chosen.spacing, chosen.patch)
        for slices in chosen.slices:
            write_scan(folder / "ct.nii", slices)
            seconds, gib = labelled(folder / "ct.nii", folder / "model", folder / "labels.nii.gz")
            cells = (f"{seconds:.0f}", f"{seconds / slices:.2f}", f"{gib:.2f}")
            print(f"| {SIZE}x{SIZE}x{slices} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
