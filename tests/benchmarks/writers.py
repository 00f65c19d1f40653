"""The tuned writer beside what it must beat, on reports of held-out subjects and held-out ledgers.

    python -m tests.benchmarks.writers --data FOLDER [--reports 100] [--model M] [--adapter A]
    python -m tests.benchmarks.writers --data FOLDER --rows "without its adapter"  # takes long

One table: the tuned model shown its own pictures, those of others and none; the same report always;
the report of the nearest training ledger; the template; and, asked for, the model without its
adapter. Whether a sentence holds of its records is read by plain expressions that share no code
with the verifier.
"""

import argparse
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

import prompts
from assistant.draft import Draft, Statement
from assistant.finish import complete, compose, replay
from assistant.ledger import Ledger
from assistant.render import SlotError, render
from assistant.writers import Brief, drain, vlm
from assistant.writers.template import Template
from assistant.writers.vlm.asking import Request
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.base import cached_base
from assistant.writers.vlm.data import Pair, held_out_pairs, training_pairs
from assistant.writers.vlm.model import Placement, load_embedded
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.ready import Ready, make_ready, read
from assistant.writers.vlm.sights import Gallery, Grey, crop_views, strengths_between
from assistant.writers.vlm.sources import source_of
from assistant.writers.vlm.spoken import vocabulary_of
from assistant.writers.vlm.tell import tell
from segment.measurement import Measurement
from tests.benchmarks.plain_numbers import foreign, unbound
from tests.benchmarks.plain_words import contradictions
from tests.benchmarks.shares import share

KNOWN = 4000  # training pairs, of which the nearest report is taken
BLOCK = 100  # pairs drawn at once
UNLIKE = 10.0  # how far a reliable record is from a withheld one, in log volume
WRITTEN = ("comparison", "findings", "impression")  # others are the exam's fixed sentences
WHOLE = ("report", "comparison")  # pairs that hold all statements of a report
SLOT = re.compile(r"\{\w+\.(\w+)\}")
WITHOUT = "without its adapter"
HEADS = (
    *("writer", "statements", "records told by itself", "statements replaced"),
    *("contradictions as written", "in the report", "wrong numbers in the report"),
    *("wordings", "median seconds"),
)
Writing = Generator[Statement, None, Draft]
Write = Callable[[Pair, Brief], Writing]


@dataclass(frozen=True)
class Result:
    """What became of one report. ``told`` counts the records that a statement which held cites."""

    records: int
    told: int
    statements: int
    replaced: int
    contradictions: int
    left_over: int
    wrong_numbers: int
    wordings: frozenset[str]
    seconds: float


def run(write: Write, pair: Pair) -> Result:
    """Write, verify and complete one report, and read all of it again in another way."""
    ledger = pair.task.ledger
    brief = Brief(ledger, exam(), prompts.load(pair.task.language))
    records = {record.id: record for record in ledger.records}
    start = perf_counter()
    composed = drain(compose(write(pair, brief), brief))
    seconds = perf_counter() - start
    report = complete(composed, brief, {})
    lines = [line for line in report.lines if line.cites]
    written = [said for said in composed.draft.statements if said.section in WRITTEN]
    replaced = {problem.text for problem in composed.problems}
    held = [said for said in written if said.text not in replaced]
    return Result(
        records=len(records),
        told=len({cite for said in held for cite in said.cites}),
        statements=len(written),
        replaced=len(written) - len(held),
        contradictions=sum(_contradicts(said, ledger, brief) for said in written),
        left_over=sum(bool(contradictions(x.text, _cited(x.cites, records))) for x in lines),
        wrong_numbers=sum(bool(foreign(x, records) or unbound(x, records)) for x in lines),
        wordings=frozenset(SLOT.sub(r"{\1}", said.text) for said in written),
        seconds=seconds,
    )


def _contradicts(said: Statement, ledger: Ledger, brief: Brief) -> bool:
    """Tell whether a statement, as it was written, says what does not hold of its records."""
    try:
        text = render(said, ledger, brief.phrasebook)
    except SlotError:
        return False
    return bool(contradictions(text, [ledger[cite] for cite in said.cites]))


def _cited(cites: Sequence[str], records: dict[str, Measurement]) -> list[Measurement]:
    return [records[cite] for cite in cites if cite in records]


# what writes


def with_model(ready: Ready, pictures: Callable[[Pair], Grey], pair: Pair, brief: Brief) -> Writing:
    """Let a model write, shown some pictures."""
    return tell(ready, brief, Request(pixels=pictures(pair)))


def without_adapter() -> Ready:
    """Read the embedded model with its tower and projector alone."""
    parts, base = source_of(None, None).parts, cached_base()
    assert parts is not None
    assert base is not None
    model = load_embedded(base, parts, Placement("auto", "bfloat16"), with_adapter=False)
    return make_ready(model, vocabulary_of(model.tokenizer, prompts.languages()), "bfloat16")


def with_template(pair: Pair, brief: Brief) -> Writing:
    """Let the template write."""
    return Template().write(brief)


def always_the_same(pair: Pair, brief: Brief) -> Writing:
    """Say of every study what was right for the first training ledger with both sides."""
    whole = next(p for p in _known(pair.task.language) if len(p.task.ledger.records) == 7)
    return replay(Draft(whole.statements, "constant"))


def nearest(pair: Pair, brief: Brief) -> Writing:
    """Say what was right for the training ledger whose records are the most like these."""
    mine = pair.task.ledger.records

    def distance(other: Pair) -> float:
        return sum(map(_distance, mine, other.task.ledger.records))

    alike = [p for p in _known(pair.task.language) if len(p.task.ledger.records) == len(mine)]
    alike = [p for p in alike if p.task.ledger.records[0].side == mine[0].side]
    alike = alike or list(_known(pair.task.language))
    return replay(Draft(min(alike, key=distance).statements, "nearest"))


def _distance(mine: Measurement, other: Measurement) -> float:
    if mine.reason is not None or other.reason is not None:
        return 0.0 if mine.reason == other.reason else UNLIKE
    assert mine.value is not None
    assert other.value is not None
    if mine.expression or other.value <= 0:
        return abs(mine.value - other.value) / 100
    return abs(float(np.log(mine.value / other.value)))


@cache
def _known(language: str) -> tuple[Pair, ...]:
    pairs = training_pairs(np.random.default_rng(1), KNOWN, (language,))
    return tuple(pair for pair in pairs if pair.topic in WHOLE)


def _untuned(gallery: Gallery, image_px: int) -> Write:
    return partial(with_model, without_adapter(), partial(own_pictures, gallery, image_px))


# what is shown


def own_pictures(gallery: Gallery, image_px: int, pair: Pair) -> Grey:
    """Show the pictures of the pair's own cases; none where its ledger was invented."""
    sights = gallery.of_pair(pair, np.random.default_rng(0))
    shown = [gallery.pixels(sight) for sight in sights]
    return np.concatenate(shown) if shown else np.zeros((0, image_px, image_px), np.float32)


def pictures_of_others(gallery: Gallery, image_px: int, pairs: Sequence[Pair], pair: Pair) -> Grey:
    """Show as many pictures, of the next pair that has them."""
    wanted = len(own_pictures(gallery, image_px, pair))
    place = next(n for n, other in enumerate(pairs) if other is pair)
    for other in (*pairs[place + 1 :], *pairs[:place]):
        shown = own_pictures(gallery, image_px, other)
        if other.cases != pair.cases and len(shown) >= wanted:
            return shown[:wanted]
    return np.zeros((0, image_px, image_px), np.float32)


def no_pictures(image_px: int, pair: Pair) -> Grey:
    """Show nothing."""
    return np.zeros((0, image_px, image_px), np.float32)


# the table


def reports(n: int, seed: int) -> tuple[Pair, ...]:
    """Draw reports in held-out words about held-out subjects and invented ledgers."""
    rng = np.random.default_rng(seed)
    found: list[Pair] = []
    while len(found) < n:
        found += [pair for pair in held_out_pairs(rng, BLOCK) if pair.topic in WHOLE]
    return tuple(found[:n])


def row(name: str, results: Sequence[Result]) -> str:
    """Write what became of all reports of one writer."""
    statements = sum(result.statements for result in results)
    told = share(sum(r.told for r in results), sum(r.records for r in results))
    replaced = share(sum(r.replaced for r in results), statements)
    wrong = share(sum(r.contradictions for r in results), statements)
    left = sum(r.left_over for r in results)
    numbers = sum(r.wrong_numbers for r in results)
    wordings = len(frozenset().union(*(r.wordings for r in results)))
    seconds = median(r.seconds for r in results)
    cells = (name, statements, told, replaced, wrong, left, numbers, wordings, f"{seconds:.2f}")
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write everything and print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--reports", type=int, default=100)
    parser.add_argument("--model", help="a folder or a name on the hub")
    parser.add_argument("--adapter", help="a folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", metavar="NAME", help=f"those with this in their name; {WITHOUT}")
    asked = parser.parse_args(arguments)
    pairs = reports(asked.reports, asked.seed)
    ready = read(asked.model, asked.adapter)
    plan = TrainingPlan.read(Path(str(files(vlm).joinpath("train.toml"))))
    px = ready.model.image_px
    views = crop_views(asked.data / plan.images, asked.data / plan.labels, px, "held out")
    gallery = Gallery(views, strengths_between(plan.weakest, plan.strongest))
    rows: dict[str, Write] = {
        "tuned, its own pictures": partial(with_model, ready, partial(own_pictures, gallery, px)),
        "tuned, others' pictures": partial(
            with_model, ready, partial(pictures_of_others, gallery, px, pairs)
        ),
        "tuned, no picture": partial(with_model, ready, partial(no_pictures, px)),
        "always the same report": always_the_same,
        "report of the nearest ledger": nearest,
        "template": with_template,
    }
    if asked.rows == WITHOUT:
        rows = {WITHOUT: _untuned(gallery, px)}
    elif asked.rows:
        rows = {name: write for name, write in rows.items() if asked.rows in name}
    real = sum(any(case is not None for case in pair.cases) for pair in pairs)
    compared = sum(any(r.is_of_comparison for r in pair.task.ledger.records) for pair in pairs)
    print(
        f"{len(pairs)} reports, {real} of measured held-out subjects, {compared} with a prior;"
        f" seed {asked.seed}\n"
    )
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for name, write in rows.items():
        print(row(name, [run(write, pair) for pair in pairs]), flush=True)


if __name__ == "__main__":
    main()
