"""Dice, surface distances and coverage on the validation subjects, which no network has seen.

    python -m tests.benchmarks.accuracy [--write]

``--write`` puts the sentences that `voxcite list` shows beside the model.
"""

import argparse
import json
from importlib.resources import files
from pathlib import Path

from assistant import Assistant, Settings
from assistant.evaluation import evaluate, pairs, summary
from tests.shared_data import shared_data

QUANTITIES = (
    "dice",
    "surface_dice",
    "hausdorff95_mm",
    "mean_surface_distance_mm",
    "precision",
    "recall",
    "relative_volume_error",
    "absolute_relative_volume_error",
)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", action="store_true")
    chosen = arguments.parse_args()
    data = shared_data("hippocampus")
    wanted = set(json.loads((data / "split.json").read_text())["val"])
    matched = [
        pair
        for pair in pairs(data / "images", data / "labels")
        if int(pair[0].name[12:15]) in wanted
    ]
    assistant = Assistant.from_settings(Settings(writer="template"))
    evaluated = list(evaluate(assistant, matched, "left"))
    groups = [str((int(case.name[12:15]) + 1) // 2) for case in evaluated]
    table = summary(evaluated, groups, assistant)
    sentences = []
    print(f"{table['n']} crops of {table['groups']} validation subjects\n")
    print("| structure | quantity | mean | 95 % bootstrap interval |\n|---|---|---|---|")
    for row in table["metrics"]:
        if row["quantity"] in QUANTITIES:
            told = f"{row['mean']:.3f} | {row['lower']:.3f} to {row['upper']:.3f}"
            print(f"| {row['structure']} | {row['quantity']} | {told} |")
        if row["quantity"] in ("dice", "mean_surface_distance_mm"):
            sentences.append(
                f"{row['structure']}: {row['quantity'].replace('_', ' ')} {row['mean']:.3f}"
                f" ({row['lower']:.3f} to {row['upper']:.3f}, n = {row['n']} validation crops)"
            )
    print("\n| structure | cases | n | coverage | accepted | relative width |")
    print("|---|---|---|---|---|---|")
    for row in table["coverage"]:
        band = f"{row['band_lower']:.3f} to {row['band_upper']:.3f}"
        told = f"{row['coverage_mean']:.3f} | {band} | {row['width_mean']:.3f}"
        print(f"| {row['structure']} | {row['stratum']} | {row['n']} | {told} |")
    if chosen.write:
        path = Path(str(files("segment.models.unet").joinpath("figures.txt")))
        path.write_text("\n".join(sentences) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
