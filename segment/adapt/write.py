"""The files of an organ that was learnt: what is known of it, its model and its card.

Knows nothing of how it was learnt.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from segment.adapt.plan import Request
from segment.models.training.plan import TrainingPlan
from segment.segmentation import Side
from segment.shelf import MODEL
from segment.writing import Value, toml_pair, toml_text

if TYPE_CHECKING:
    from segment.adapt.run import Adapted

LEAST, MOST = 0.5, 1.4  # of the smallest and largest label: a volume beyond is implausible
FITTED = ("weights.safetensors", "calibration.json", "cases.csv")


def organ_text(
    request: Request,
    structures: Sequence[str],
    centres: Mapping[Side, Sequence[float]],
    volumes_ml: Mapping[str, Sequence[float]],
) -> str:
    """Write an organ's TOML: where it lies, and what its labels measured."""
    parts: dict[str, tuple[str, ...]] = {name: (name,) for name in structures}
    if len(structures) > 1:
        parts = {request.organ: tuple(structures), **parts}
    lines = [
        toml_pair("name", request.organ),
        toml_pair("sides", list(request.sides)),
        toml_pair("code", request.code),
        "",
        "[centre_mni_mm]",
        *(toml_pair(side, list(place)) for side, place in centres.items()),
    ]
    for name, labels in parts.items():
        sums = [sum(one) for one in zip(*(volumes_ml[label] for label in labels), strict=True)]
        plausible = [round(LEAST * min(sums), 3), round(MOST * max(sums), 3)]
        lines += ["", f'[structures."{name}"]', toml_pair("labels", list(labels))]
        lines.append(toml_pair("plausible_ml", plausible))
    return "\n".join([*lines, ""])


def write_model(
    request: Request,
    made: "Adapted",
    plan: TrainingPlan,
    fitted: Path,
    start: str,
    output: Path,
) -> None:
    """Write weights, calibration, facts, figures and card of a model."""
    for name in FITTED:
        shutil.copyfile(fitted / name, output / name)
    facts: dict[str, Value] = {
        "name": f"{plan.network}-{request.folder.replace('_', '-')}",
        "version": "1",
        "network": plan.network,
        "structures": list(plan.structures),
        "weights": FITTED[0],
        "calibration": FITTED[1],
        "card": "CARD.md",
    }
    (output / MODEL).write_text(toml_text(facts), encoding="utf-8")
    lines = [str(figure) for figure in made.figures]
    (output / "figures.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    card = files(__package__).joinpath("card.md").read_text(encoding="utf-8")
    (output / "CARD.md").write_text(
        card.format(
            model=facts["name"],
            structures=" and ".join(made.structures),
            members=plan.members,
            network=plan.network,
            start=made.start,
            start_sha256=start.rpartition(" ")[2],
            schedule=request.plan.schedule,
            begun=made.begun,
            crops=made.crops,
            subjects=made.subjects,
            folds=plan.folds,
            calibration=told_interval(made, request.coverage),
            figures="\n".join(f"- {line}" for line in lines),
            weights_sha256=hashlib.sha256((output / FITTED[0]).read_bytes()).hexdigest(),
        ),
        encoding="utf-8",
    )


def told_interval(made: "Adapted", coverage: float) -> str:
    """Say whether there are intervals, or how many more subjects they need."""
    if made.more_subjects:
        return (
            f"No interval: one of {coverage:.0%} needs {made.subjects + made.more_subjects}"
            f" subjects, and there are {made.subjects}; label {made.more_subjects} more."
        )
    return f"Intervals of {coverage:.0%} from {made.subjects} subjects, out of fold."
