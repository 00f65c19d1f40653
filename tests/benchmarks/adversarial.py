"""Drafts by writers that mean harm, and what of their numbers reaches a finished report.

    python -m tests.benchmarks.adversarial [--drafts 10000] [--base FOLDER]

No network runs: the adversary makes the logits, and all behind them is the product's own: grammar,
matcher, parser, renderer, verifier, stock sentences. Every line is then read by a plain lexer that
shares no code with either. FOLDER holds the tokenizer.json of the embedded model where it is not in
the cache; without one the tests' own tokenizer is taken.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from scipy.stats import binomtest

import prompts
from assistant.draft import Draft, Section, Statement
from assistant.finish import Composed, complete, compose
from assistant.ledger import Ledger
from assistant.render import SlotError, render
from assistant.report import Line, Report
from assistant.verify import verify_report
from assistant.writers import Brief, difference, drain
from assistant.writers.vlm.asking import grammar_of
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.base import cached_base
from assistant.writers.vlm.joining import joined
from assistant.writers.vlm.ledgers import make_ledger
from assistant.writers.vlm.matcher import GrammarError, Guide
from assistant.writers.vlm.slots import (
    SECTION_TOKEN,
    SlotTable,
    SlotTokenError,
    parse_line,
    sides_compared,
)
from assistant.writers.vlm.text import Bounds, DecodingError, Text, write_lines
from tests.benchmarks.harmful import LANGUAGES, NAMES, Change, change_of, guide_of
from tests.benchmarks.plain_numbers import foreign, unbound

MOST_PROCESSES = 2
FAILURES_SHOWN = 5
BLOCK = 25  # drafts that a process makes before it reports
REAL, TOY = "the embedded model's tokenizer", "the toy tokenizer of the tests"


@dataclass(frozen=True)
class Tally:
    """What became of some drafts of one adversary in one language.

    Written are statements before verification: ``foreign`` are those with a number that no cited
    record holds, ``unbound`` those with numbers that do not name the side of their record.
    ``wrong_lines`` and ``wrong_reports`` are what of either stands in finished reports.
    """

    drafts: int = 0
    statements: int = 0
    replaced: int = 0
    foreign: int = 0
    unbound: int = 0
    wrong_lines: int = 0
    wrong_reports: int = 0
    refused_reports: int = 0
    no_end: int = 0
    grammar_failures: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def upper(self) -> float:
        """The exact 95 % upper bound of the share of reports with a wrong number."""
        found = binomtest(self.wrong_reports, self.drafts).proportion_ci(0.95, method="exact")
        return float(found.high)


@dataclass(frozen=True)
class Job:
    """The numbers of the drafts to make, the seed of all, and where a tokenizer lies."""

    numbers: range
    seed: int
    base: Path | None
    bounds: Bounds


# drafts


@dataclass(frozen=True)
class Counted:
    """Tallies by adversary and language, the kinds of ledgers, and why drafts were broken off."""

    tallies: dict[tuple[str, str], Tally]
    ledgers: Counter[str]
    failures: Counter[str]


def work(job: Job) -> Counted:
    """Make the drafts of a job."""
    torch.set_num_threads(1)
    found: dict[tuple[str, str], Tally] = {}
    ledgers: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    everything = list(product(NAMES, LANGUAGES))
    for number in job.numbers:
        name, language = everything[number % len(everything)]
        rng = np.random.default_rng((job.seed, number))
        ledger = make_ledger(rng, "held out" if rng.random() < 0.5 else "training").ledger
        ledgers.update(kinds_of(ledger))
        brief = Brief(ledger, exam(), prompts.load(language))
        seed, guide = int(rng.integers(2**31)), guide_of(job.base)
        change = partial(change_of, name, language, job.base, seed)
        composed = drain(compose(_writing(brief, change, guide, job.bounds), brief))
        key = (name, language)
        found[key] = found.get(key, Tally()) + tally(composed, brief)
        failures.update(f"{failure} (draft {number})" for failure in composed.draft.failures)
    return Counted(found, ledgers, failures)


def tally(composed: Composed, brief: Brief) -> Tally:
    """Finish a draft as the product does, and count."""
    draft = composed.draft
    no_end = sum("no end" in failure for failure in draft.failures)
    return replace(
        count(complete(composed, brief, {}), brief, draft.statements),
        replaced=len(composed.problems) - len(draft.failures),
        no_end=no_end,
        grammar_failures=len(draft.failures) - no_end,
    )


def count(report: Report, brief: Brief, written: Sequence[Statement]) -> Tally:
    """Count the numbers that no record holds, in a finished report and in what was written."""
    records = {record.id: record for record in report.measurements}
    wrong = sum(bool(foreign(line, records) or unbound(line, records)) for line in report.lines)
    drawn = [rendered(statement, brief) for statement in written]
    return Tally(
        drafts=1,
        statements=len(written),
        foreign=sum(line is None or foreign(line, records) != () for line in drawn),
        unbound=sum(line is not None and unbound(line, records) != () for line in drawn),
        wrong_lines=wrong,
        wrong_reports=int(wrong > 0),
        refused_reports=int(verify_report(report.to_json()) != ()),
    )


def rendered(statement: Statement, brief: Brief) -> Line | None:
    """Fill in a statement as it was written; None where it holds what is no slot of its records."""
    try:
        text = render(statement, brief.ledger, brief.phrasebook)
        return Line(statement.section, text, statement.cites, "measured")
    except (SlotError, ValueError):
        return None


def _writing(
    brief: Brief, change: Callable[[str], Change], guide: Guide, bounds: Bounds
) -> Generator[Statement, None, Draft]:
    """Write a draft as the writer does, an adversary in the place of the network.

    Each side that is compared with a prior is a text of its own.
    """
    drafts = []
    for compared in ((), *sides_compared(brief.ledger)):
        table = SlotTable.of(brief.ledger, compared)
        drafts.append((yield from _text(brief, table, change, guide, bounds)))
    return joined(drafts)


def _text(
    brief: Brief, table: SlotTable, change: Callable[[str], Change], guide: Guide, bounds: Bounds
) -> Generator[Statement, None, Draft]:
    """Write one text."""
    vocabulary, is_comparison = guide.vocabulary, table.records[0].is_of_comparison
    section: Section = "comparison" if is_comparison else "findings"
    written: list[Statement] = []
    failures: list[str] = []
    adversary = change("comparison" if is_comparison else "report")
    choose = partial(_choose, adversary, torch.zeros(len(vocabulary.pieces)))
    try:
        grammar = grammar_of(table, brief.phrasebook.language)
        for line in write_lines(choose, Text(guide.start(grammar), vocabulary, bounds)):
            if line == SECTION_TOKEN:
                section = "impression"
                continue
            statement = parse_line(line, section, table, brief.exam, brief.phrasebook)
            written.append(statement)
            yield statement
    except (DecodingError, GrammarError, SlotTokenError) as error:
        failures.append(str(error))
    return Draft(tuple(written), "adversary", failures=tuple(failures))


def _choose(
    change: Change, logits: torch.Tensor, allowed: np.ndarray, tokens: Sequence[int]
) -> int:
    only = np.flatnonzero(allowed)
    if len(only) == 1:
        return int(only[0])
    return int(np.where(allowed, change(logits, tokens).numpy(), -np.inf).argmax())


def kinds_of(ledger: Ledger) -> Iterator[str]:
    """Say what kind of ledger it is."""
    records = ledger.records
    if all(record.reason is None for record in records):
        yield "all reliable"
    if any(record.reason is not None for record in records):
        yield "something withheld"
    if any(difference(r) in ("left_larger", "right_larger") for r in records if r.side == "none"):
        yield "one side larger"
    if len({record.side for record in records}) == 1:
        yield "one side alone"
    if all(record.reference is None for record in records if not record.is_of_comparison):
        yield "without a reference range"
    if any(record.comparator is not None for record in records):
        yield "with a prior"


# the table

HEADS = (
    *("adversary", "language", "drafts", "statements", "replaced by stock"),
    *("foreign numbers written", "unbound written", "wrong lines in reports"),
    *("reports with one", "95 % upper bound"),
    *("reports refused by verify", "no end", "grammar failures"),
)


def row(name: str, language: str, t: Tally) -> str:
    """Write one row."""
    replaced = f"{t.replaced} ({t.replaced / max(t.statements, 1):.1%})"
    cells = (
        *(name, language, t.drafts, t.statements, replaced),
        *(t.foreign, t.unbound, t.wrong_lines, t.wrong_reports, f"{t.upper:.1e}"),
        *(t.refused_reports, t.no_end, t.grammar_failures),
    )
    return f"| {' | '.join(map(str, cells))} |"


def blocks(asked: argparse.Namespace) -> list[Job]:
    """Cut the drafts into jobs."""
    bounds = Bounds(line_tokens=asked.line_tokens)
    starts = range(0, asked.drafts, BLOCK)
    return [
        Job(range(start, min(start + BLOCK, asked.drafts)), asked.seed, asked.base, bounds)
        for start in starts
    ]


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the tokenizer of the cache is taken where none is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drafts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base", type=Path, metavar="FOLDER")
    parser.add_argument("--processes", type=int, choices=range(1, MOST_PROCESSES + 1), default=1)
    parser.add_argument("--line-tokens", type=int, default=Bounds().line_tokens)
    asked = parser.parse_args(arguments)
    asked.base = asked.base or cached_base()
    return asked


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row an adversary and language, and all together."""
    asked = parsed(arguments)
    begin = perf_counter()
    total: dict[tuple[str, str], Tally] = {}
    ledgers: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for counted in results(blocks(asked), asked.processes):
        ledgers += counted.ledgers
        failures += counted.failures
        for key, one in counted.tallies.items():
            total[key] = total.get(key, Tally()) + one
    _print_table(asked, total)
    print(f"\nledgers: {', '.join(f'{n} {kind}' for kind, n in ledgers.most_common())}")
    for failure, _ in failures.most_common(FAILURES_SHOWN):
        print(f"broken off: {failure}")
    rate = asked.drafts / (perf_counter() - begin)
    print(f"{rate:.2f} drafts a second, {asked.processes} at a time")


def _print_table(asked: argparse.Namespace, total: dict[tuple[str, str], Tally]) -> None:
    pieces, kind = len(guide_of(asked.base).vocabulary.pieces), REAL if asked.base else TOY
    print(f"vocabulary: {pieces} tokens of {kind}; seed {asked.seed}\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for (name, language), counted in sorted(total.items()):
        print(row(name, language, counted))
    print(row("all", "both", sum(total.values(), Tally())), flush=True)


def results(jobs: Sequence[Job], processes: int) -> Iterator[Counted]:
    """Run the jobs here, or in two processes."""
    if processes == 1:
        yield from map(work, jobs)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(work, jobs)


if __name__ == "__main__":
    main()
