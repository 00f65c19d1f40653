"""From a folder of labelled scans to the folder of an organ with its networks.

Knows nothing of exams or words. What was interrupted goes on: registrations, checkpoints and
finished runs lie in the folder of the work.
"""

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path

from segment import models, organs
from segment.adapt.judge import Figures, held_out_figures
from segment.adapt.plan import Request
from segment.adapt.prepare import Prepared, Progress, Step, prepare
from segment.adapt.write import organ_text, write_model
from segment.calibration import Calibrated, cases_needed
from segment.crossfit import crossfit
from segment.models.training.plan import plan_runs
from segment.models.training.run import train
from segment.models.training.start import Start
from segment.shelf import ORGAN


@dataclass(frozen=True)
class Adapted:
    """What was made: the organ's structures, how good they are, and what is missing.

    ``start`` is the model that it was made from. ``more_subjects`` is how many more an interval of
    the wanted coverage needs; 0 where there are enough.
    """

    structures: tuple[str, ...]
    crops: int
    subjects: int
    start: str
    figures: tuple[Figures, ...]
    more_subjects: int


def adapt(request: Request, work: Path, output: Path) -> Generator[Step, None, Adapted]:
    """Learn a structure and write its organ, model, calibration and card into ``output``.

    Raises ScanError for scans that cannot be used and ValueError for too few subjects.
    """
    prepared = yield from prepare(request, work)
    plan, data, runs, fitted = prepared.plan, work / "data", work / "runs", work / "calibrated"
    weights = models.place(prepared.start) / str(models.describe(prepared.start)["weights"])
    with as_file(weights) as init:
        start = Start(init, request.plan.schedule)
        yield from _trained(prepared, data, runs, start)
        told_start = start.told
    text = organ_text(request, prepared.structures, prepared.centres_mm, prepared.volumes_ml)
    organ = organs.read(text, request.folder)
    for step in crossfit(plan, organ, data, runs, fitted, request.coverage):
        yield Progress(step.step, step.done, step.of)
    figures = yield from held_out_figures(plan, organ, data, runs, prepared.split)
    calibrated = Calibrated.from_json((fitted / "calibration.json").read_text(encoding="utf-8"))
    has_intervals = any(calibrated.levels[0].volume.values())
    needed = cases_needed(request.coverage, is_two_sided=True)
    made = Adapted(
        structures=tuple(structure.name for structure in organ.structures),
        crops=len(prepared.split["train"]),
        subjects=prepared.subjects,
        start=prepared.start,
        figures=figures,
        more_subjects=0 if has_intervals else needed - prepared.subjects,
    )
    (output / ORGAN).write_text(text, encoding="utf-8")
    write_model(request, made, plan, fitted, told_start, output)
    return made


def _trained(prepared: Prepared, data: Path, runs: Path, start: Start) -> Iterator[Step]:
    """Train every run that is not finished, on the data that its checkpoints are of."""
    _check_same(data, runs)
    plan, planned = prepared.plan, plan_runs(prepared.plan, prepared.split)
    lengths = {run.name: run.epochs + plan.settling_epochs for run in planned}
    for step in train(plan, data, runs, start=start):
        before = list(lengths).index(step.run)
        done = sum(list(lengths.values())[:before]) + step.epoch
        yield Progress("learning", done, sum(lengths.values()))


def _check_same(data: Path, runs: Path) -> None:
    """Refuse to go on with runs that learnt from other boxes; raises ValueError."""
    digest = hashlib.sha256()
    for path in sorted(data.glob("*/*.nii.gz")):
        digest.update(path.name.encode() + path.read_bytes())
    runs.mkdir(parents=True, exist_ok=True)
    seal = runs / "data.sha256"
    if seal.exists() and seal.read_text(encoding="utf-8") != digest.hexdigest():
        msg = f"{runs.parent.name}: expected runs of these scans, found those of others"
        raise ValueError(f"{msg}; give another --runs folder")
    seal.write_text(digest.hexdigest(), encoding="utf-8")
