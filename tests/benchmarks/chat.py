"""How often a question in others' words is answered rightly, and an unanswerable one declined.

    python -m tests.benchmarks.chat [--questions 300] [--writer template|vlm]

Right is exact: the records cited are those of the expected answer, fixed sentences are of the
expected kind, every number is one of a cited record, by a lexer that shares no code with the
verifier, and whether something is small is told by its place against the reference range. How well
a sentence is worded is not judged. The questions are those of ``tests/benchmarks/questions``, whose
author had seen none of ours; the ledgers are held out.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count

import numpy as np

import prompts
from assistant import Assistant, Settings
from assistant.answer import Answer
from assistant.draft import Statement
from assistant.finish import complete, compose
from assistant.report import Line, Report
from assistant.writers import Brief, drain
from assistant.writers.phrasings import EVERY, Phrasings
from assistant.writers.questions.topics import ACQUISITION, UNCLEAR
from assistant.writers.template import Template
from assistant.writers.vlm.author import exam, whole
from assistant.writers.vlm.data import CHANGE, UNANSWERABLE, Pair, held_out_pairs
from segment.measurement import Measurement
from tests.benchmarks.plain_numbers import foreign, numbers, unbound
from tests.benchmarks.plain_words import claims
from tests.benchmarks.shares import share
from tests.benchmarks.topics import of_others

UNANSWERABLE_SHARE = 0.3
TOLD_IN_NUMBERS = (
    "volume",
    "sure",
    CHANGE,
)  # topics whose answer holds a number if the record does
PLACED = {"below", "within", "above", "overlaps"}
JUDGED = {"increased", "decreased", "within error"}
BLOCK = 200  # pairs drawn at once


@dataclass(frozen=True)
class Checked:
    """A question with what was answered, and what is wrong with that; empty when nothing is."""

    pair: Pair
    answer: Answer
    wrong: tuple[str, ...]
    is_declined: bool

    @property
    def is_unanswerable(self) -> bool:
        """Tell whether the study holds no answer to the question."""
        return self.pair.topic in UNANSWERABLE


def questions(n: int, seed: int) -> tuple[Pair, ...]:
    """Draw dialogues in others' words, three in ten about what the study cannot answer."""
    wanted = {True: round(n * UNANSWERABLE_SHARE)}
    wanted[False] = n - wanted[True]
    found: dict[bool, list[Pair]] = {True: [], False: []}
    for pair in _dialogues(seed):
        of_kind = found[pair.topic in UNANSWERABLE]
        if len(of_kind) < wanted[pair.topic in UNANSWERABLE]:
            of_kind.append(pair)
        if all(len(found[kind]) == wanted[kind] for kind in wanted):
            break
    return (*found[False], *found[True])


def _dialogues(seed: int) -> Iterator[Pair]:
    for block in count():
        pairs = held_out_pairs(np.random.default_rng((seed, block)), BLOCK, told=all_held_out)
        yield from (pair for pair in pairs if pair.task.question is not None)


@cache
def all_held_out(language: str) -> Phrasings:
    """Return others' questions, each at a place that is held out: none of them was trained on."""
    told = of_others(language)
    questions, follow_ups = (
        {topic: tuple(w for w in wordings for _ in range(EVERY)) for topic, wordings in t.items()}
        for t in (told.questions, told.follow_ups)
    )
    return replace(told, questions=questions, follow_ups=follow_ups)


def report_of(pair: Pair) -> Report:
    """Return the report that the template writes of a pair's ledger, with no scan behind it."""
    brief = Brief(pair.task.ledger, exam(), prompts.load(pair.task.language))
    return complete(drain(compose(Template().write(brief), brief)), brief, {})


def ask(assistant: Assistant, pair: Pair) -> Checked:
    """Ask the question of a pair, after the turns before it, and check the answer."""
    assert pair.task.question is not None
    speaking = replace(assistant, phrasebook=prompts.load(pair.task.language))
    answer = speaking.ask(report_of(pair), pair.task.question, pair.task.turns)
    return check(pair, answer)


def check(pair: Pair, answer: Answer) -> Checked:
    """Compare an answer with the expected one."""
    records = {record.id: record for record in pair.task.ledger.records}
    declining = {f"answer.{topic}" for topic in (*UNANSWERABLE, ACQUISITION, UNCLEAR)}
    kinds = kinds_of(answer.lines, pair.task.language)
    is_declined = bool(kinds) and kinds <= declining and not any(a.cites for a in answer.lines)
    wrong = tuple(_wrong(pair, answer, records))
    return Checked(pair, answer, wrong, is_declined)


def _wrong(pair: Pair, answer: Answer, records: Mapping[str, Measurement]) -> Iterator[str]:
    expected, found = (
        _cited(said, pair.topic, records) for said in (pair.statements, answer.lines)
    )
    if found != expected:
        yield f"cites {sorted(found)}, expected {sorted(expected)}"
    expected, found = (
        kinds_of(said, pair.task.language) for said in (pair.statements, answer.lines)
    )
    if found != expected:
        yield f"says {sorted(found)}, expected {sorted(expected)}"
    for line in answer.lines:
        if badly := (*foreign(line, records), *unbound(line, records)):
            yield f"numbers: {', '.join(badly)}"
    if pair.topic == "size" and not _places_all(answer.lines, records):
        yield "does not place a reliable record against its reference range"
    if pair.topic == CHANGE and not _judges_all(answer.lines, records):
        yield "does not say of a reliable change whether it is beyond its error"
    if pair.topic in TOLD_IN_NUMBERS and not _tells_all(answer.lines, records):
        yield "tells no number of a reliable record"


def _cited(
    said: Sequence[Statement | Line], topic: str, records: Mapping[str, Measurement]
) -> frozenset[str]:
    """List what is cited; of a summary without the reliable parts, which it may tell or not."""
    cited = {cite for one in said for cite in one.cites}
    if topic != "summary":
        return frozenset(cited)
    return frozenset(c for c in cited if whole(records[c]) or records[c].reason is not None)


def kinds_of(said: Sequence[Statement | Line], language: str) -> frozenset[str]:
    """Name the kind of each fixed sentence, whichever of its wordings was taken."""
    keys = _keys(language)
    return frozenset(keys.get(one.text, "none that is fixed") for one in said if not one.cites)


@cache
def _keys(language: str) -> Mapping[str, str]:
    phrases = prompts.load(language).phrases
    return {
        text: key.rpartition(".")[0] if key.startswith("answer.") else key
        for key, text in phrases.items()
    }


def _tells_all(lines: Sequence[Line], records: Mapping[str, Measurement]) -> bool:
    """Tell whether each line about a reliable record holds a number."""
    reliable = [line for line in lines if any(records[c].reason is None for c in line.cites)]
    return all(numbers(line.text) for line in reliable)


def _places_all(lines: Sequence[Line], records: Mapping[str, Measurement]) -> bool:
    """Tell whether what is said of each reliable record with a reference range places it there."""
    return all(
        PLACED & {*claims(line.text)}
        for line in lines
        for cite in line.cites
        if records[cite].reason is None and records[cite].reference is not None
        if records[cite].comparator is None
    )


def _judges_all(lines: Sequence[Line], records: Mapping[str, Measurement]) -> bool:
    """Tell whether what is said of each reliable change holds it against its measurement error."""
    return all(
        JUDGED & {*claims(line.text)}
        for line in lines
        for cite in line.cites
        if records[cite].reason is None
    )


# the table


def row(name: str, found: Sequence[Checked]) -> str:
    """Write how many of some questions were answered rightly."""
    right = sum(not checked.wrong for checked in found)
    return f"| {name} | {len(found)} | {right} | {share(right, len(found))} |"


def _print_table(found: Sequence[Checked]) -> None:
    topics: dict[str, list[Checked]] = defaultdict(list)
    for checked in found:
        topics[checked.pair.topic].append(checked)
    print("| topic | questions | right | share, exact 95 % interval |\n|---|---|---|---|")
    for topic in sorted(topics, key=lambda name: (name in UNANSWERABLE, name)):
        print(row(f"{topic}{' (unanswerable)' if topic in UNANSWERABLE else ''}", topics[topic]))
    for language in prompts.languages():
        print(row(language, [c for c in found if c.pair.task.language == language]))
    print(row("after an earlier turn", [c for c in found if c.pair.task.turns]))
    print(row("all", found))
    unanswerable = [checked for checked in found if checked.is_unanswerable]
    declined = sum(checked.is_declined for checked in unanswerable)
    wrongly = sum(checked.is_declined and not checked.is_unanswerable for checked in found)
    print(
        f"\nunanswerable, declined: {declined} of {len(unanswerable)}, "
        f"{share(declined, len(unanswerable))}"
    )
    print(f"answerable, yet declined: {wrongly} of {len(found) - len(unanswerable)}")
    replaced = sum(bool(checked.answer.problems) for checked in found)
    print(f"answers with a statement that could not stand: {replaced} of {len(found)}")
    _print_failures(topics)


def _print_failures(topics: Mapping[str, Sequence[Checked]]) -> None:
    """Show one wrong answer a topic."""
    for topic, found in sorted(topics.items()):
        wrong = [checked for checked in found if checked.wrong]
        if not wrong:
            continue
        first = wrong[0]
        turns = "".join(f"{turn.question!r}, then " for turn in first.pair.task.turns)
        said = " / ".join(line.text for line in first.answer.lines)
        print(f"\n{topic}, {len(wrong)} wrong: {turns}{first.pair.task.question!r}")
        print(f"  answered: {said}\n  but: {'; '.join(first.wrong)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--writer", choices=("template", "vlm"), default="template")
    parser.add_argument("--model", help="of the vlm writer: a folder or a name on the hub")
    parser.add_argument("--adapter", help="of the vlm writer: a folder")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    settings = Settings(
        writer=asked.writer, model=asked.model, adapter=asked.adapter, reader="none"
    )
    assistant = Assistant.from_settings(settings)
    found = [ask(assistant, pair) for pair in questions(asked.questions, asked.seed)]
    print(f"writer {asked.writer}, seed {asked.seed}\n")
    _print_table(found)


if __name__ == "__main__":
    main()
