"""A folder that nnunetv2 wrote, predicted here and by nnunetv2's own predictor, fold by fold.

    python3 -m venv /tmp/venv-nnunet
    /tmp/venv-nnunet/bin/pip install torch==2.13.0 nnunetv2==2.8.1
    python -m tests.benchmarks.nnunet_folder --python /tmp/venv-nnunet/bin/python

nnunetv2 keeps its sums in half precision and this package in single, which is what is left of the
difference. The networks are not trained: the labels mean nothing, their agreement does.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from segment.models.nnunet import load
from segment.reading import read_nifti

WRITER = Path(__file__).with_name("nnunet_write.py")
PLANNERS = ("ExperimentPlanner", "nnUNetPlannerResEncM")


def compare(folder: Path, planner: str) -> None:
    """Print one row a fold."""
    made = load(folder / "model")
    found = made(read_nifti(folder / "scan.nii.gz"))
    kind = "residual" if made.plans.architecture.is_residual else "plain"
    for fold, ours in enumerate(found.probability):
        theirs = np.load(folder / f"probability_{fold}.npy").transpose(0, 3, 2, 1)
        apart = np.abs(ours - theirs)
        same = (ours.argmax(axis=0) == theirs.argmax(axis=0)).mean()
        print(
            f"| {planner} | {kind} | {fold} | {ours[0].size} | {apart.max():.4f} |"
            f" {apart.mean():.5f} | {100 * same:.3f} |"
        )


def main() -> None:
    """Compare with nnunetv2 for each planner."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--python", required=True, help="of an environment with nnunetv2")
    chosen = arguments.parse_args()
    print("| planner | network | fold | voxels | largest difference | mean | same label, % |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for planner in PLANNERS:
        with tempfile.TemporaryDirectory() as name:
            command = [chosen.python, str(WRITER), name, "--planner", planner]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            compare(Path(name), planner)


if __name__ == "__main__":
    main()
