"""How few reports of a hospital it takes until the writer words its own as the hospital does.

    python -m tests.benchmarks.few_reports --data FOLDER [--output runs/few-reports]
        [--sizes 0,20,50,200] [--do train,own,kept] [--config PLAN] [--held-out 40] [--reports 40]
    python -m tests.benchmarks.few_reports --table

A made hospital (``house``) words reports of real crops in its own way; `voxcite train writer` is
given the folder of its first n and the shipped adapter; n = 0 is the shipped adapter untouched.
Each then writes about subjects that no training saw (``own``), and the shipped evaluation is run
again (``kept``: what it still does of what it could do before). What is finished is left alone, to
the single report, so that several processes can share the sizes and the work.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from assistant import cli
from assistant.writers import vlm
from assistant.writers.vlm import curve
from assistant.writers.vlm.data import Pair
from assistant.writers.vlm.own import Measured, Own
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.prompt import Task
from assistant.writers.vlm.ready import Ready, read
from assistant.writers.vlm.sights import Gallery, Grey, crop_views, strengths_between
from assistant.writers.vlm.train import SHIPPED
from segment.resume import replacing
from tests.benchmarks import house
from tests.benchmarks.likeness import distance
from tests.benchmarks.shares import share
from tests.benchmarks.writers import Result, Write, own_pictures, reports, run, with_model

UNTOUCHED = 0  # reports: the shipped adapter as it is
SIZES = (UNTOUCHED, 20, 50, 200)
TRAIN, OWN, KEPT = "train", "own", "kept"
WORK = (TRAIN, OWN, KEPT)
READING = "{reading}"
REFERENCES, TRAINED = "references.json", "trained.json"
HELD_OUT, MINE, RUN = "held-out", "mine", "run"
HEADS = (
    *("reports learnt from", "sentences replaced", "records told by itself"),
    *("contradictions as written", "wrong numbers in the report"),
    *("distance to the hospital's words", "median seconds a report"),
)
COSTS = ("reports learnt from", "steps", "seconds of steps", "device")
Row = Mapping[str, Any]
Writing = tuple[str, Pair, Write]  # a name, what is written about, and who writes


@dataclass(frozen=True)
class Asked:
    """Where everything lies and how much of it is done."""

    data: Path
    output: Path
    config: Path
    held_out: int
    reports: int

    @property
    def plan(self) -> TrainingPlan:
        """The plan of each training."""
        return TrainingPlan.read(self.config)

    def folder(self, size: int) -> Path:
        """Where what belongs to a size lies."""
        return self.output / f"n{size}"


def shipped_plan() -> Path:
    """Return the plan by which the product learns from reports of one's own."""
    return Path(str(files(vlm).joinpath("train-own.toml")))


# the hospital's reports


def prepare(asked: Asked, sizes: Sequence[int]) -> None:
    """Write the held-out reports of the hospital, what they say, and the folders of the sizes."""
    held_out = _first(house.studies(asked.data, "held out"), asked.held_out)
    known = _first(house.studies(asked.data, "training"), max(sizes, default=UNTOUCHED))
    house.write_folder(held_out, asked.data, asked.output / HELD_OUT)
    told = house.masked(asked.output / HELD_OUT, [study.name for study in held_out])
    with replacing(asked.output / REFERENCES) as temporary:
        temporary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    pool = asked.output / "pool"
    house.write_folder(known, asked.data, pool)
    for size in (size for size in sizes if size != UNTOUCHED):
        house.share_folder(known[:size], pool, asked.folder(size) / MINE)


def _first(studies: Sequence[house.Study], wanted: int) -> Sequence[house.Study]:
    """Take the first studies; raises ValueError where there are fewer."""
    if wanted > len(studies):
        msg = f"expected at most {len(studies)} reports, found {wanted} asked for; give fewer"
        raise ValueError(msg)
    return studies[:wanted]


def names(asked: Asked) -> list[str]:
    """List the held-out studies."""
    return [s.name for s in house.studies(asked.data, "held out")[: asked.held_out]]


# the work


def train(asked: Asked, size: int) -> None:
    """Let the product learn from a size's folder; go on where that was interrupted."""
    folder = asked.folder(size)
    if size == UNTOUCHED or (folder / TRAINED).exists():
        return
    begun = time.monotonic()
    given = ["--data", folder / MINE, "--runs", folder / RUN, "--config", asked.config]
    code = cli.main(["train", "writer", *map(str, given), "--resume"])
    if code != cli.OK:
        msg = f"expected a training on {size} reports, found that it ended with {code}"
        raise SystemExit(msg)
    rows = curve.read(folder / RUN / "adapter" / "log.csv")
    made = {
        "steps": len(rows),
        "seconds": sum(row.seconds for row in rows),
        "command_seconds": time.monotonic() - begun,
        "device": device(),
        "loss": [row.loss for row in rows],
    }
    (folder / TRAINED).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def device() -> str:
    """Name what computes."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def ready_of(asked: Asked, size: int) -> Ready:
    """Read the writer of a size, as `voxcite draft --adapter` does."""
    precision = asked.plan.precision
    if size == UNTOUCHED:
        return read(precision=precision)
    return read(adapter=str(asked.folder(size) / RUN / SHIPPED), precision=precision)


def own_writings(asked: Asked, ready: Ready) -> Iterator[Writing]:
    """Have each held-out report of the hospital written from its scan."""
    for name in names(asked):
        study = house.measured(asked.output / HELD_OUT, name)
        pair = Pair(Task(study.ledger, house.LANGUAGE), (), "", "report", (None, None))
        yield name, pair, partial(with_model, ready, partial(_shown, name, study, ready))


def _shown(name: str, study: Measured, ready: Ready, pair: Pair) -> Grey:
    """Show each side of a study, as training does."""
    views = Own((), (), {name: study}).views(ready.model.image_px)
    return np.concatenate([views[name, side]() for side in study.sides])


def kept_writings(asked: Asked, ready: Ready) -> Iterator[Writing]:
    """Have the first reports of the shipped evaluation written again."""
    plan, px = asked.plan, ready.model.image_px
    folder = asked.data / "hippocampus"
    views = crop_views(folder / "images", folder / "labels", px, "held out")
    gallery = Gallery(views, strengths_between(plan.weakest, plan.strongest))
    write = partial(with_model, ready, partial(own_pictures, gallery, px))
    for number, pair in enumerate(reports(asked.reports, 0)):
        yield str(number), pair, write


WRITINGS: Mapping[str, Callable[[Asked, Ready], Iterator[Writing]]] = {
    OWN: own_writings,
    KEPT: kept_writings,
}


def evaluate(asked: Asked, size: int, work: str) -> None:
    """Have what is not written yet written, a line for each report."""
    path = asked.folder(size) / f"{work}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {row["name"] for row in rows_of(path)}
    wanted = asked.held_out if work == OWN else asked.reports
    if len(known) >= wanted:
        return
    ready = ready_of(asked, size)
    for name, pair, write in WRITINGS[work](asked, ready):
        if name not in known:
            row = row_of(name, run(write, pair))
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"n{size} {work} {name}: {row['seconds']:.1f} s", flush=True)


def row_of(name: str, result: Result) -> dict[str, Any]:
    """Make a line of what became of a report."""
    return asdict(result) | {"name": name, "wordings": sorted(result.wordings), "device": device()}


def rows_of(path: Path) -> list[Row]:
    """Read the lines of a file; one that was cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}\n")]


# the tables


def table(output: Path) -> str:
    """Write what is there: the hospital's reports, the shipped evaluation, and what it cost."""
    known = json.loads((output / REFERENCES).read_text(encoding="utf-8"))
    sizes = sorted(int(folder.name[1:]) for folder in output.glob("n[0-9]*"))
    parts = [
        _section("The hospital's held-out reports", output, sizes, OWN, known),
        _section("The shipped evaluation, run again", output, sizes, KEPT, known),
        _costs(output, sizes),
    ]
    return "\n\n".join(parts)


def _section(
    title: str, output: Path, sizes: Sequence[int], work: str, known: Sequence[str]
) -> str:
    found = {size: rows_of(output / f"n{size}" / f"{work}.jsonl") for size in sizes}
    lines = [_line(size, rows, work, known) for size, rows in found.items() if rows]
    told = "; ".join(f"after {size} {_counted(rows)}" for size, rows in found.items() if rows)
    return "\n".join([f"{title} ({told}):\n", *_headed(HEADS), *lines])


def _counted(rows: Sequence[Row]) -> str:
    """Say how many reports were written on what."""
    on = Counter(row["device"] for row in rows)
    return ", ".join(f"{count} on {name}" for name, count in on.items())


def _line(size: int, rows: Sequence[Row], work: str, known: Sequence[str]) -> str:
    """Write what became of all reports of one writer."""

    def total(key: str) -> int:
        return sum(row[key] for row in rows)

    statements = total("statements")
    cells = (
        _called(size),
        share(total("replaced"), statements),
        share(total("told"), total("records")),
        share(total("contradictions"), statements),
        total("wrong_numbers"),
        _distance(rows, known) if work == OWN else "–",
        f"{median(row['seconds'] for row in rows):.2f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _distance(rows: Sequence[Row], known: Sequence[str]) -> str:
    """Compare the sentences that state a value, slots masked, with the hospital's own."""
    said = [plain(w) for row in rows for w in row["wordings"] if READING in w]
    return f"{distance(said, known):.3f}" if said else "–"


def plain(wording: str) -> str:
    """Mask the slots of a wording as numbers of a report are."""
    for slot in (READING, "{norm}", "{interval}"):
        wording = wording.replace(slot, house.MASK)
    return wording


def _costs(output: Path, sizes: Sequence[int]) -> str:
    """Write what each training took."""
    lines = []
    for size in sizes:
        path = output / f"n{size}" / TRAINED
        if path.exists():
            made = json.loads(path.read_text(encoding="utf-8"))
            cells = (size, made["steps"], f"{made['seconds']:.0f}", made["device"])
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(["The trainings:\n", *_headed(COSTS), *lines])


def _headed(heads: Sequence[str]) -> tuple[str, str]:
    return f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"


def _called(size: int) -> str:
    return "none: the shipped adapter" if size == UNTOUCHED else str(size)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("runs/few-reports"), metavar="DIR")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="0: untouched")
    parser.add_argument("--do", default=",".join(WORK), metavar="WORK", help="of train,own,kept")
    parser.add_argument("--config", type=Path, default=shipped_plan(), help="a training's plan")
    parser.add_argument("--held-out", type=int, default=40, help="reports of the hospital")
    parser.add_argument("--reports", type=int, default=40, help="of the shipped evaluation")
    parser.add_argument("--table", action="store_true", help="print what is there, do nothing")
    given = parser.parse_args(arguments)
    if not given.table:
        if given.data is None:
            parser.error("--data: expected the data folder, found none; it holds hippocampus/")
        asked = Asked(given.data, given.output, given.config, given.held_out, given.reports)
        sizes = [int(size) for size in given.sizes.split(",")]
        prepare(asked, sizes)
        for size in sizes:
            for work in given.do.split(","):
                if work == TRAIN:
                    train(asked, size)
                else:
                    evaluate(asked, size, work)
    print(table(given.output))


if __name__ == "__main__":
    main()
