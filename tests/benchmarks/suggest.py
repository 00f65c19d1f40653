"""What to label next, simulated: the suggested scans against random ones, on the training subjects.

    python -m tests.benchmarks.suggest [--output runs/suggest] [--first 3] [--each 3] [--rounds 4]
        [--seeds 3] [--steps 320] [--filters 16,32,64,128]

Every way begins with the same few subjects, from which is learnt once. In each round two members
learn from what is labelled, are judged on the validation subjects, and the next subjects are chosen
among the others: by ``segment.suggest`` from the members' agreement and the spread of their
volumes, or at random. A round that is finished is a line of ``rounds.jsonl`` and left alone; those
of other options stay apart.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from segment import organs
from segment.adapt.plan import AdaptPlan
from segment.calibration import spread
from segment.infer import segment_crop
from segment.measure import agreement, member_volumes_ml
from segment.models import Box
from segment.models.ensemble import Ensemble
from segment.models.training.local import ensemble_of
from segment.models.training.plan import Run, TrainingPlan, case_name, subject_of
from segment.models.training.run import train_run
from segment.models.windows import middle, scaled
from segment.reading import read_nifti
from segment.suggest import Candidate, looks_of, suggest
from tests.benchmarks.few_labels_curve import WHOLE, ranged
from tests.benchmarks.few_labels_judged import STRUCTURES, judged_alone
from tests.benchmarks.lines import add_line, digest_of, finished_in
from tests.shared_data import shared_data

WAYS = ("suggested", "random")


@dataclass(frozen=True)
class Settings:
    """What sets rounds apart: how is learnt, and how many subjects are labelled in each."""

    plan: AdaptPlan
    sizes: tuple[int, ...]
    filters: tuple[int, ...] = ()

    @property
    def slug(self) -> str:
        """Name the settings in a path and in a line."""
        return digest_of(asdict(self))


def simulate(
    way: str, seed: int, settings: Settings, data: Path, output: Path
) -> Iterator[dict[str, Any]]:
    """Label subjects in rounds, up to each size in turn; yield a row a round."""
    sizes = settings.sizes
    split = json.loads((data / WHOLE / "split.json").read_text(encoding="utf-8"))
    subjects = sorted({subject_of(case) for case in split["train"]})
    order = np.random.default_rng(seed).permutation(subjects).tolist()
    labelled = order[: sizes[0]]
    slug = settings.slug
    lines = finished_in(output / "rounds.jsonl", slug)
    done = {(row["way"], row["seed"], row["subjects"]): row for row in lines}
    for size, following in zip(sizes, (*sizes[1:], sizes[-1]), strict=True):
        if (row := done.get((way, seed, size))) is None:
            name = f"{'start' if size == sizes[0] else way}-{seed}-{size}"
            folder = output / slug / name
            ensemble = _learnt(seed, labelled, settings, data, folder, split["train"])
            cases = judged_alone(ensemble, split["val"], data)
            others = [s for s in order if s not in labelled]
            rng = np.random.default_rng([seed, size])
            count = following - size
            if way == "random" or count == 0:
                chosen = rng.permutation(others)[:count].tolist()
            else:
                chosen = _suggested(ensemble, others, labelled, split["train"], count, data)
            row = {
                "settings": slug,
                "way": way,
                "seed": seed,
                "subjects": size,
                "chosen": [int(subject) for subject in chosen],
                "dice": statistics.mean(c["dice"] for c in cases if c["structure"] == WHOLE),
            }
            add_line(output / "rounds.jsonl", row)
        yield row
        labelled = [*labelled, *row["chosen"]]


def _learnt(
    seed: int,
    labelled: Sequence[int],
    settings: Settings,
    data: Path,
    folder: Path,
    train: Sequence[int],
) -> Ensemble:
    """Train two members on the labelled subjects, from scratch."""
    cases = tuple(case for case in train if subject_of(case) in labelled)
    plan: TrainingPlan = replace(
        settings.plan.training("unet", "hippocampus_{:03d}.nii.gz", STRUCTURES[1:], len(cases)),
        sizes={"filters": settings.filters} if settings.filters else {},
        images="hippocampus/images",
        labels="hippocampus/labels",
    )
    members = []
    for member in range(2):
        run = Run(f"member{member}", 10_000 * seed + member, None, plan.epochs, cases, ())
        for step in train_run(plan, run, data, folder):
            print(f"{folder.name} {step.run} epoch {step.epoch}/{step.epochs} loss {step.loss:.4f}")
        members.append(folder / run.name / "weights.safetensors")
    return ensemble_of(plan, members)


def _suggested(
    ensemble: Ensemble,
    others: Sequence[int],
    labelled: Sequence[int],
    train: Sequence[int],
    count: int,
    data: Path,
) -> list[int]:
    """Choose subjects by what the members make of one crop of each."""
    first = {subject_of(case): case for case in reversed(train)}
    candidates = [_candidate(ensemble, first[subject], data) for subject in others]
    known = [_candidate(ensemble, first[subject], data).looks for subject in labelled]
    named = {case_name(first[subject]): subject for subject in others}
    return [named[one.name] for one in suggest(candidates, count, known)]


def _candidate(ensemble: Ensemble, case: int, data: Path) -> Candidate:
    """Say how sure the members are of one crop; without intervals, how their volumes spread."""
    volume = read_nifti(data / WHOLE / "images" / case_name(case))
    found = segment_crop(volume, "left", ensemble).segmentation
    structures = organs.load(WHOLE).structures
    box = Box(volume.array, np.ones(volume.array.shape, bool))
    return Candidate(
        name=case_name(case),
        agreement=min(agreement(found, structure) for structure in structures),
        width=max(spread(member_volumes_ml(found, structure), 0.0) for structure in structures),
        looks=looks_of(scaled(box, middle(volume.array.shape))),
    )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the mean Dice of the whole over seeds and the lowest to the highest, a row a size."""
    if not rows:
        return "No round has finished yet."
    lines = ["| subjects | seeds | " + " | ".join(WAYS) + " |", "|---|---|---|---|"]
    for size in sorted({row["subjects"] for row in rows}):
        mine = [row for row in rows if row["subjects"] == size]
        shown = []
        for way in WAYS:
            dice = [row["dice"] for row in mine if row["way"] == way]
            shown.append(ranged(dice, 3) if dice else "-")
        seeds = len({row["seed"] for row in mine})
        lines.append(f"| {size} | {seeds} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what is not finished, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("runs/suggest"))
    arguments.add_argument("--first", type=int, default=3)
    arguments.add_argument("--each", type=int, default=3)
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--steps", type=int)
    arguments.add_argument("--filters", default="", help="of the network; default: of a new U-Net")
    chosen = arguments.parse_args()
    plan = AdaptPlan.read(Path(str(files("segment.adapt").joinpath("adapt.toml"))))
    if chosen.steps is not None:
        plan = replace(plan, steps=chosen.steps, least_epochs=1)
    chosen.output.mkdir(parents=True, exist_ok=True)
    sizes = tuple(chosen.first + chosen.each * number for number in range(chosen.rounds))
    filters = tuple(int(one) for one in chosen.filters.split(",") if one)
    settings = Settings(plan, sizes, filters)
    data = shared_data(WHOLE).parent
    for seed in range(chosen.seeds):
        for way in WAYS:
            for row in simulate(way, seed, settings, data, chosen.output):
                print(f"{way} seed {seed} {row['subjects']} subjects: {row['dice']:.3f}")
    print(table(finished_in(chosen.output / "rounds.jsonl", settings.slug)))


if __name__ == "__main__":
    main()
