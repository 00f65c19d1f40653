"""From a folder of labelled scans to the folder of an organ with its networks.

Knows nothing of exams or words. What was interrupted goes on: registrations, checkpoints and
finished runs lie in the folder of the work.
"""

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from importlib.resources import as_file
from pathlib import Path

from segment import models, organs
from segment.adapt.judge import Figures, held_out_figures
from segment.adapt.plan import Request
from segment.adapt.prepare import Prepared, Progress, Step, prepare
from segment.adapt.write import organ_text, write_model
from segment.calibration import Calibrated
from segment.crossfit import crossfit
from segment.models.training.plan import TrainingPlan, case_name, plan_runs
from segment.models.training.run import fit_of, stages_of, train
from segment.models.training.start import Start
from segment.quantiles import cases_needed
from segment.resume import replacing
from segment.shelf import ORGAN


@dataclass(frozen=True)
class Adapted:
    """What was made: the organ's structures, how good they are, and what is missing.

    ``start`` is the model that it was made from, and ``begun`` says what of it was read and for
    how long that was held. ``more_subjects`` is how many more an interval of the wanted coverage
    needs; 0 where there are enough.
    """

    structures: tuple[str, ...]
    crops: int
    subjects: int
    start: str
    begun: str
    figures: tuple[Figures, ...]
    more_subjects: int


def adapt(request: Request, work: Path, output: Path) -> Generator[Step, None, Adapted]:
    """Learn a structure and write its organ, model, calibration and card into ``output``.

    Raises ScanError for scans that cannot be used and ValueError for too few subjects, and where
    ``work`` holds runs of other scans or of another plan.
    """
    prepared = yield from prepare(request, work)
    plan, data, runs, fitted = prepared.plan, work / "data", work / "runs", work / "calibrated"
    weights = models.place(prepared.start) / str(models.describe(prepared.start)["weights"])
    with as_file(weights) as init:
        start = Start(init, request.plan.schedule)
        yield from _trained(prepared, data, runs, start)
        told_start, begun = start.told, begun_with(plan, start)
    text = organ_text(request, prepared.structures, prepared.centres_mm, prepared.volumes_ml)
    organ = organs.read(text, request.folder)
    steps = crossfit(plan, organ, data, runs, fitted, request.coverage, is_by_subject=True)
    for step in steps:
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
        begun=begun,
        figures=figures,
        more_subjects=0 if has_intervals else needed - prepared.subjects,
    )
    output.mkdir(parents=True, exist_ok=True)
    (output / ORGAN).write_text(text, encoding="utf-8")
    write_model(request, made, plan, fitted, told_start, output)
    return made


def _trained(prepared: Prepared, data: Path, runs: Path, start: Start) -> Iterator[Step]:
    """Train every run that is not finished, on the data that its checkpoints are of."""
    _check_same(prepared, data, runs, start)
    plan, planned = prepared.plan, plan_runs(prepared.plan, prepared.split)
    lengths = {run.name: run.epochs + plan.settling_epochs for run in planned}
    for step in train(plan, data, runs, start=start):
        before = list(lengths).index(step.run)
        done = sum(list(lengths.values())[:before]) + step.epoch
        yield Progress("learning", done, sum(lengths.values()))


def _check_same(prepared: Prepared, data: Path, runs: Path, start: Start) -> None:
    """Refuse to go on with runs that learnt from other boxes or otherwise; raises ValueError."""
    plan = prepared.plan
    digest = hashlib.sha256()
    for name in (case_name(case, plan.case) for case in prepared.split["train"]):
        for kind in (plan.images, plan.labels):
            digest.update(name.encode() + (data / kind / name).read_bytes())
    learning = {"scans": digest.hexdigest(), "start": start.told, **asdict(plan)}
    sealed = json.loads(json.dumps(learning))
    runs.mkdir(parents=True, exist_ok=True)
    seal = runs / "seal.json"
    found = json.loads(seal.read_text(encoding="utf-8")) if seal.exists() else sealed
    if others := [key for key in sealed if sealed[key] != found.get(key)]:
        msg = f"{runs.parent.name}: expected runs of the same {', '.join(others)}, found others"
        raise ValueError(f"{msg}; give another --runs folder")
    with replacing(seal) as temporary:
        temporary.write_text(json.dumps(sealed), encoding="utf-8")


def begun_with(plan: TrainingPlan, start: Start) -> str:
    """Say what a member began with, and for how long that was held."""
    fit = fit_of(plan, start)
    first, *_ = stages_of(plan, plan.epochs, start, fit)
    held = "none of them was held"
    if first.is_held:
        held = f"these were held for the first {first.end} of {plan.epochs} epochs"
    new = ", ".join(fit.new) or "nothing"
    return (
        f"{len(fit.read)} of {len(fit.read) + len(fit.new)} tensors were read; {held}; new: {new}"
    )
