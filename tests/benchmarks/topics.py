"""How often the topic of a question is found, for questions by somebody who knew none of ours.

    python -m tests.benchmarks.topics [--writer template|vlm]

The questions of ``tests/benchmarks/questions`` were written without sight of the wordings that the
models are fitted on. Second questions of a dialogue are asked as such; where a topic needs a named
structure it is the left hippocampus. Declined is what is answered as not measured, whichever way.
"""

import argparse
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import prompts
from assistant.writers import phrasings
from assistant.writers.questions import Listener, likeliest_topic, plain, simplified
from assistant.writers.questions.topics import UNCLEAR
from assistant.writers.vlm.data import UNANSWERABLE
from tests.benchmarks.shares import share

QUESTIONS = Path(__file__).parent / "questions"
AROUND = 6  # questions that each wording of an instruction is put around
ANSWERABLE = ("volume", "size", "sides", "sure", "reliable", "not_assessed", "summary")
SHOWN = 40
DECLINED = {*UNANSWERABLE, UNCLEAR}


class Question(NamedTuple):
    """A question, its topic and its language."""

    text: str
    topic: str
    language: str


@cache
def table_of(language: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Read a language's questions and follow-ups by topic, without those that happen to be ours."""
    told = phrasings.load(language)
    ours = {
        bare(wording)
        for table in (told.questions, told.follow_ups)
        for wordings in table.values()
        for wording in wordings
    }
    tables = tomllib.loads((QUESTIONS / f"{language}.toml").read_text(encoding="utf-8"))
    return {
        name: {t: tuple(w for w in words if bare(w) not in ours) for t, words in table.items()}
        for name, table in tables.items()
    }


def bare(text: str) -> str:
    """Return the letters and places of a question alone."""
    return re.sub(r"[^\w{}]", "", text.casefold())


def questions(language: str) -> Iterator[Question]:
    """Read the questions of a language, with their places filled."""
    table = table_of(language)
    asked = [
        Question(text, topic, language)
        for part in ("questions", "follow_ups")
        for topic, wordings in table[part].items()
        if topic != "with_instruction"
        for wording in wordings
        for text in _filled(wording, language)
    ]
    yield from asked
    answerable = [one for one in asked if one.topic in ANSWERABLE]
    for number, around in enumerate(table["questions"]["with_instruction"]):
        for one in random.Random(number).sample(answerable, AROUND):
            yield one._replace(text=around.replace("{question}", one.text))


def _filled(wording: str, language: str) -> Iterator[str]:
    words, told = prompts.load(language), phrasings.load(language)
    name = words.structure("hippocampus", "left")
    for quantity in words.quantities.values() if "{quantity}" in wording else ("",):
        text = wording.replace("{name}", name).replace("{quantity}", quantity)
        yield text.replace("{short}", told.short.get("hippocampus|left", name))


def heard(question: Question, listener: Listener | None) -> str:
    """Return the topic that a question is taken for."""
    words = prompts.load(question.language)
    return likeliest_topic(plain(simplified(question.text), words), listener)


def print_table(asked: Sequence[Question], found: Sequence[str]) -> None:
    """Print the shares, and what is taken for what most often."""
    print("| questions | n | right, exact 95 % interval | unanswerable declined | else declined |")
    print("|---|---|---|---|---|")
    for language in (*prompts.languages(), "all"):
        pairs = [p for p in zip(asked, found, strict=True) if language in (p[0].language, "all")]
        right = sum(one.topic == topic for one, topic in pairs)
        declined, wrongly = (_declined(pairs, unanswerable=kind) for kind in (True, False))
        print(
            f"| {language} | {len(pairs)} | {share(right, len(pairs))} |"
            f" {share(*declined)} | {share(*wrongly)} |"
        )
    taken = Counter((q.topic, t) for q, t in zip(asked, found, strict=True) if q.topic != t)
    print("\n| topic | taken for | times |\n|---|---|---|")
    for (topic, other), times in taken.most_common(SHOWN):
        print(f"| {topic} | {other} | {times} |")


def _declined(pairs: Sequence[tuple[Question, str]], *, unanswerable: bool) -> tuple[int, int]:
    """Count what is taken for unanswerable among what is so, or among the rest."""
    of_kind = [topic for one, topic in pairs if (one.topic in UNANSWERABLE) == unanswerable]
    return sum(topic in DECLINED for topic in of_kind), len(of_kind)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask for every topic and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writer", choices=("template", "vlm"), default="template")
    chosen = parser.parse_args(arguments)
    listener = None
    if chosen.writer == "vlm":
        from assistant.writers.vlm.ready import read

        listener = read().listener
        assert listener is not None, "the shipped listener does not fit the shipped network"
    asked = [question for language in prompts.languages() for question in questions(language)]
    print_table(asked, [heard(question, listener) for question in asked])


if __name__ == "__main__":
    main()
