"""Each hospital alone, all of them federated, and their scans pooled: one table.

    python -m tests.benchmarks.federated_table [--output runs/federated] [--ways federated,...]
    python -m tests.benchmarks.federated_table --table

Four uneven hospitals with scanners that differ (``federated_sites.py``), six for one that died, one
that is slow and one that poisons, and twenty small ones. Federations run in this process, by the
rounds, the checks and the aggregation of the real servers; nothing is sent, and sites train one
after the other. Every way trains for as many epochs. An interrupted run goes on. Privately trained
rounds take other random numbers each time.
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import binom

from segment import quantiles
from segment.calibration import cases_needed
from segment.federated.learning import learn_round, write_first
from segment.federated.plan import FederationPlan
from segment.federated.rounds import FINAL, JOURNAL
from segment.federated.scoring import score_held_out
from segment.federated.server import federate
from segment.federated.simulated import SimulatedSites
from segment.federated.site import LEARNT, SENT, Site
from segment.federated.sketch import joined, reach, sketch
from segment.federated.training import greeting_of, training_of
from segment.infer import segment_crops
from segment.models.ensemble import Ensemble
from segment.models.training.local import ensemble_of
from segment.models.training.plan import Run, case_name, subject_of
from segment.models.training.run import train_run
from segment.privacy import Private, told
from segment.reading import read_nifti
from tests.benchmarks.federated_sites import FOUR, SPLIT, WHOLE, alike, write_hospitals
from tests.benchmarks.few_labels_judged import STRUCTURES
from tests.benchmarks.lines import add_line, finished_in
from tests.shared_data import shared_data

PLAN = Path(__file__).with_name("federated.toml")
COVERAGE = 0.9
SPREAD = 0.1  # of one network, which has no other: the sketches then reach a factor of e either way
PARTS = STRUCTURES[1:]
PRIVATE = Private(clip=1.0, noise=1.5, share=0.25, steps=8, delta=1e-2, most_epsilon=30.0)
ALONE = tuple(site.name for site in FOUR)
WAYS = ("federated", "centralised", *ALONE, "private", "six", "six with faults", "twenty")
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "federated": {},
    "private": {"private": asdict(PRIVATE)},
    "six": {"sites": 6, "combine": "median"},
    "six with faults": {"sites": 6, "combine": "median"},
    "twenty": {"sites": 20},
}
FAULTS = {"site-4": "it has died", "site-5": "it is too slow", "site-6": "poisons"}
SCALE = -10.0  # of the change that the poisoning site sends


@dataclass(frozen=True)
class Trained:
    """Weights of one way, what travelled for them and how long they took."""

    weights: Path
    rounds: int
    mebibytes: float
    seconds: float


def plan_of(way: str, plan: Path, output: Path) -> Path:
    """Write the plan of a way, and return its file."""
    changes = dict(CHANGES.get(way, {}))
    private = changes.pop("private", {})
    lines = []
    for line in plan.read_text(encoding="utf-8").splitlines():
        key = line.partition(" = ")[0]
        lines.append(f"{key} = {json.dumps(changes.pop(key))}" if key in changes else line)
        if line == "[private]":
            lines += [f"{key} = {value!r}" for key, value in private.items()]
    path = output / f"{way.replace(' ', '-')}.toml"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def federated(way: str, plan: Path, data: Path, output: Path) -> Trained:
    """Run a federation, or the rest of it."""
    count = {"six": 6, "six with faults": 6, "twenty": 20}.get(way)
    hospitals = FOUR if count is None else alike(count)
    folder = output / (f"alike-{count}" if count else "four")
    files = write_hospitals(hospitals, data, folder, plan)
    start = plan.with_suffix(".safetensors")
    if not start.exists():
        write_first(FederationPlan.read(plan), start, None)
    clock = plan.with_suffix(".seconds")

    faults = FAULTS if way == "six with faults" else {}

    def learn(site: Site, number: int) -> None:
        fault = faults.get(site.name)
        if fault not in (None, "poisons"):
            raise TimeoutError(fault)
        timed(learn_round(site, number), clock)
        if fault:
            poison(site.round_folder(number))

    sites = SimulatedSites(files, greeting_of, learn, score_held_out)
    rounds = plan.with_suffix("")
    for done in federate(plan, start, rounds, sites):
        used = sum(line.is_used for line in done.lines)
        print(f"{way}: round {done.number}, {used} of {len(done.lines)} sites", flush=True)
    return Trained(rounds / FINAL, done_rounds(rounds), most_sent(rounds), seconds(clock))


def poison(folder: Path) -> None:
    """Turn a site's change round, and make it larger, before it is sent."""
    learnt, sent = load_file(folder / LEARNT), load_file(folder / SENT)
    turned = {name: sent[name] + SCALE * (learnt[name] - sent[name]) for name in sent}
    save_file(turned, folder / LEARNT)


def done_rounds(folder: Path) -> int:
    """Count the rounds that a folder holds."""
    return len(list(folder.glob("round-*.safetensors")))


def most_sent(folder: Path) -> float:
    """Return what one site sends in all rounds, in mebibytes."""
    lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()[1:]
    largest = max(float(line.split(",")[6]) for line in lines)
    return largest * done_rounds(folder)


def pooled(way: str, plan: Path, data: Path, output: Path) -> Trained:
    """Train one hospital's network, or that of all scans in one place; each for all epochs."""
    federation = FederationPlan.read(plan)
    files = write_hospitals(FOUR, data, output / "four", plan)
    sites = [site for f in files if (site := Site.read(f)).name == way or way == "centralised"]
    place, cases, sent = output / f"pool-{way}", [], 0
    for kind in ("images", "labels"):
        (place / WHOLE / kind).mkdir(parents=True, exist_ok=True)
    for site in sites:
        for case in split_of(site)["train"]:
            cases.append(case)
            for kind in ("images", "labels"):
                path = (site.data / WHOLE / kind / case_name(case)).resolve()
                sent += path.stat().st_size
                with suppress(FileExistsError):
                    (place / WHOLE / kind / case_name(case)).symlink_to(path)
    epochs = federation.rounds * federation.epochs
    run = Run(way, federation.seed, None, epochs, tuple(cases), ())
    clock = plan.with_suffix(".seconds")
    training = replace(training_of(federation), epochs=epochs)
    timed(train_run(training, run, place, output), clock)
    travelled = sent / 2**20 if way == "centralised" else 0.0
    return Trained(output / way / "weights.safetensors", 0, travelled, seconds(clock))


def timed(steps: Iterable[object], clock: Path) -> None:
    """Take steps, each of which adds its seconds to a file that outlives an interruption."""
    begun = time.monotonic()
    for _ in steps:
        with clock.open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - begun:.3f}\n")
        begun = time.monotonic()


def seconds(clock: Path) -> float:
    """Return the seconds of all steps."""
    return sum(float(line) for line in clock.read_text(encoding="utf-8").split())


def split_of(site: Site) -> Mapping[str, list[int]]:
    """Read which cases of a site are for what."""
    found: Mapping[str, list[int]] = json.loads((site.data / WHOLE / SPLIT).read_text("utf-8"))
    return found


def judged(way: str, trained: Trained, plan: Path, data: Path, output: Path) -> dict[str, Any]:
    """Judge weights at each of the four hospitals, by its own scanner."""
    ensemble = ensemble_of(training_of(FederationPlan.read(plan)), [trained.weights])
    row: dict[str, Any] = {"settings": "federated", "way": way, "sites": {}}
    for file in write_hospitals(FOUR, data, output / "four", plan):
        site = Site.read(file)
        cases = {part: split_of(site)[part] for part in ("val", "kept")}
        row["sites"][site.name] = {
            part: compared(ensemble, chosen, site.data) for part, chosen in cases.items()
        }
    return {
        **row,
        "rounds": trained.rounds,
        "mebibytes": trained.mebibytes,
        "seconds": trained.seconds,
    }


def compared(ensemble: Ensemble, cases: Sequence[int], data: Path) -> list[dict[str, Any]]:
    """Compare what a network draws with the expert's outlines: Dice, and error of the volume."""
    images = [read_nifti(data / WHOLE / "images" / case_name(case)) for case in cases]
    found = []
    for case, side in zip(cases, segment_crops(images, "left", ensemble), strict=True):
        label = read_nifti(data / WHOLE / "labels" / case_name(case)).array
        shape = side.segmentation.geometry.shape
        block = tuple(slice(s, s + n) for s, n in zip(side.start, shape, strict=True))
        for name, parts in {WHOLE: PARTS, **{part: (part,) for part in PARTS}}.items():
            expert = np.isin(label, [STRUCTURES.index(part) for part in parts])
            drawn = np.zeros(expert.shape, bool)
            drawn[block] = side.segmentation.mask(*parts)
            both = int((drawn & expert).sum())
            found.append(
                {
                    "case": case,
                    "structure": name,
                    "dice": 2 * both / int(drawn.sum() + expert.sum()),
                    "volume_error": int(drawn.sum()) / int(expert.sum()) - 1,
                }
            )
    return found


def scores(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the signed scores of whole hippocampi, in u; one that was not found scores worst."""
    errors = [row["volume_error"] for row in rows if row["structure"] == WHOLE]
    return [float(np.log(1 / max(1 + error, 1e-3)) / SPREAD) for error in errors]


def one_side(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep one side of each subject: both are alike, and would count twice."""
    first = {subject_of(row["case"]): row["case"] for row in reversed(rows)}
    return [row for row in rows if row["case"] == first[subject_of(row["case"])]]


def covered(row: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return how many of how many subjects of each hospital its interval holds.

    There is none where a hospital has too few of its own, and where quantiles lie beyond the grid.
    """
    sites, way = row["sites"], row["way"]
    kept = {name: scores(found["kept"]) for name, found in sites.items()}
    if way in ALONE:
        sites, kept = {way: sites[way]}, {way: kept[way]}
        if len(kept[way]) < cases_needed(COVERAGE, is_two_sided=True):
            return {}
    if way == "centralised" or way in ALONE:
        below, above = quantiles.reach([s for site in kept.values() for s in site], COVERAGE)
    else:
        try:
            below, above = reach(joined([sketch(s) for s in kept.values()]), COVERAGE)
        except ValueError:
            return {}
    found = {}
    for name, site in sites.items():
        seen = scores(one_side(site["val"]))
        found[name] = (sum(below <= s <= above for s in seen), len(seen))
    return found


def dice(row: Mapping[str, Any], sites: Sequence[str]) -> float:
    """Return the mean Dice of both parts over sites."""
    several = [one for name in sites for one in row["sites"][name]["val"]]
    return float(np.mean([one["dice"] for one in several if one["structure"] in PARTS]))


def volume_error(row: Mapping[str, Any], sites: Sequence[str]) -> float:
    """Return the mean absolute relative error of whole volumes over sites."""
    several = [one for name in sites for one in row["sites"][name]["val"]]
    errors = [abs(one["volume_error"]) for one in several if one["structure"] == WHOLE]
    return float(np.mean(errors))


def table(rows: Sequence[Mapping[str, Any]], plan: FederationPlan) -> str:
    """Write a line for each way, and what the private one gives away."""
    head = "| way | Dice, own scanner | Dice, all scanners | volume error | held by 90 % intervals,"
    lines = [
        f"{head} {', '.join(ALONE)} | rounds | MB sent by a site | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: WAYS.index(row["way"])):
        way = row["way"]
        mine = [way] if way in ALONE else list(ALONE)
        cells = [f"{part} of {n}" for part, n in covered(row).values()]
        rounds, sent = row["rounds"] or "–", row["mebibytes"]
        lines.append(
            f"| {way} | {dice(row, mine):.3f} | {dice(row, ALONE):.3f} |"
            f" {volume_error(row, mine):.1%} | {', '.join(cells) or 'none'} |"
            f" {rounds} | {f'{sent:.1f}' if sent else '–'} | {row['seconds']:.0f} |"
        )
    n = len({subject_of(one["case"]) for one in rows[0]["sites"][ALONE[0]]["val"]}) if rows else 0
    low, high = binom.interval(0.95, n, COVERAGE)
    lines += ["", f"Of {n} subjects an interval of 90 % holds {low:.0f} to {high:.0f} (95 %)."]
    lines.append("None: too few subjects of its own, or errors beyond the grid of the sketches.")
    if any(row["way"] == "private" for row in rows):
        lines.append(f"Private: {told(PRIVATE, plan.rounds)}.")
    return "\n".join(lines)


def main() -> None:
    """Train and judge the ways that are not finished, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("runs/federated"))
    arguments.add_argument("--plan", type=Path, default=PLAN)
    arguments.add_argument("--ways", default=",".join(WAYS))
    arguments.add_argument("--table", action="store_true", help="print what is there")
    chosen = arguments.parse_args()
    done = chosen.output / "ways.jsonl"
    if not chosen.table:
        torch.set_num_threads(1)
        run(chosen.ways.split(","), chosen.plan, chosen.output)
    print(table(finished_in(done, "federated"), FederationPlan.read(chosen.plan)))


def run(ways: Sequence[str], plan: Path, output: Path) -> None:
    """Train and judge the ways that are not finished."""
    output.mkdir(parents=True, exist_ok=True)
    done, data = output / "ways.jsonl", shared_data()
    for way in ways:
        if way in {row["way"] for row in finished_in(done, "federated")}:
            continue
        own = plan_of(way, plan, output)
        make = federated if way in CHANGES else pooled
        trained = make(way, own, data, output)
        add_line(done, judged(way, trained, own, data, output))
        print(f"{way}: {dice(finished_in(done, 'federated')[-1], ALONE):.3f}", flush=True)


if __name__ == "__main__":
    main()
