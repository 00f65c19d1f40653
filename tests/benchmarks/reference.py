"""The reference distribution of the hippocampus: the training subjects' expert tracings.

python -m tests.benchmarks.reference
"""

import json

import nibabel
import numpy as np

from segment import organs
from segment.models.training.plan import case_name, subject_of
from tests.shared_data import shared_data

TAIL = (5, 95)
PERCENTILES = range(5, 100, 10)
CENTRAL = 90


def main() -> None:
    """Print what organ.toml holds."""
    data = shared_data("hippocampus")
    train = json.loads((data / "split.json").read_text())["train"]
    labels = {
        case: np.asarray(nibabel.load(data / "labels" / case_name(case)).dataobj) for case in train
    }
    numbers = {"hippocampus anterior": [1], "hippocampus posterior": [2], "hippocampus": [1, 2]}
    for structure in organs.load("hippocampus").structures:
        volumes = {c: np.isin(a, numbers[structure.name]).sum() / 1000 for c, a in labels.items()}
        low, high = np.percentile(list(volumes.values()), TAIL)
        print(f"{structure.name}: {low:.3f} to {high:.3f} mL, n = {len(volumes)}")
        spread = np.percentile(list(volumes.values()), PERCENTILES)
        print("    percentiles 5, 15 ... 95: " + ", ".join(f"{value:.3f}" for value in spread))
    volumes = {case: float((array > 0).sum()) / 1000 for case, array in labels.items()}
    odd = [case for case in volumes if case % 2 == 1 and case + 1 in volumes]
    index = [200 * abs(volumes[c] - volumes[c + 1]) / (volumes[c] + volumes[c + 1]) for c in odd]
    print(
        f"larger minus smaller side: up to {np.percentile(index, CENTRAL):.2f} % of their mean,"
        f" n = {len({subject_of(c) for c in odd})} subjects"
    )


if __name__ == "__main__":
    main()
