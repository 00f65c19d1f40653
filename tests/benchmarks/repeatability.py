"""The same head, moved by up to 5 mm and 5 degrees: within-subject variation of the volumes.

    python -m tests.benchmarks.repeatability [--moves 8] [--disturbed]

The head is resampled once, as a second scan of it would sample it anew, and goes through the whole
of `voxcite draft`. With ``--disturbed`` it is bent in contrast, biased and made noisy besides, as
`voxcite repeatability` does it; moves alone are the optimistic half of a second scan.
"""

import argparse

import numpy as np
from scipy.spatial.transform import Rotation

from assistant import Assistant, Settings
from segment.geometry import Geometry
from segment.resample import sample
from segment.retest import repeated
from segment.volume import Volume
from tests.benchmarks.heads import HEADS, cubes, run, volume_of

FARTHEST_MM, LARGEST_DEGREES = 5.0, 5.0


def moved(volume: Volume, rng: np.random.Generator) -> Volume:
    """Sample a head on a grid that is moved by a random rigid motion."""
    matrix = Rotation.from_rotvec(
        rng.uniform(-1, 1, 3) * np.radians(LARGEST_DEGREES) / np.sqrt(3)
    ).as_matrix()
    centre = volume.geometry.centre_mm
    motion = np.eye(4)
    motion[:3, :3] = matrix
    motion[:3, 3] = centre - matrix @ centre + rng.uniform(-1, 1, 3) * FARTHEST_MM / np.sqrt(3)
    grid = Geometry(volume.geometry.shape, motion @ volume.geometry.affine)
    return Volume(sample(volume, grid)[0], volume.geometry, "moved")


def main() -> None:
    """Print one row a head."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--moves", type=int, default=8)
    arguments.add_argument("--disturbed", action="store_true")
    chosen = arguments.parse_args()
    moves = chosen.moves
    assistant = Assistant.from_settings(Settings(writer="template"))
    print(
        "| head | moves | mean of both sides together, mL | within-subject CV |\n|---|---|---|---|"
    )
    for name in ("MNI152 template", "T1 with contrast, 1.5 mm", "T1 stripped, patient 07"):
        volume = volume_of(HEADS[name])
        if max(volume.geometry.spacing_mm) > 1.01 or min(volume.geometry.spacing_mm) < 0.99:
            volume = cubes(volume)
        totals = []
        for move in range(moves):
            rng = np.random.default_rng(move)
            scan = repeated(volume, rng, FARTHEST_MM) if chosen.disturbed else moved(volume, rng)
            measured = run(assistant, scan, name)
            got = [side[0] for side in measured.sides.values() if not isinstance(side, str)]
            if len(got) == 2:
                totals.append(sum(got))
        cv = np.std(totals, ddof=1) / np.mean(totals)
        print(
            f"| {name} | {len(totals)} of {moves} | {np.mean(totals):.2f} | {cv:.2%} |", flush=True
        )


if __name__ == "__main__":
    main()
