"""How often the topic of a question is found, for questions by somebody who knew none of ours.

    python -m tests.benchmarks.topics

The questions of ``tests/benchmarks/questions`` were written without sight of the wordings that the
model is fitted on. Second questions of a dialogue are asked as such; where a topic needs a named
structure it is the left hippocampus. Declined is what is answered as not measured, whichever way.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import prompts
from assistant.writers import phrasings
from assistant.writers.phrasings import Phrasings
from assistant.writers.questions import likeliest_topic
from assistant.writers.questions.fit import asked_in
from assistant.writers.questions.names import plain, simplified
from assistant.writers.questions.topics import UNCLEAR
from assistant.writers.vlm.data import UNANSWERABLE
from tests.benchmarks.shares import share

QUESTIONS = Path(__file__).parent / "questions"
AROUND = 6  # questions that each wording of an instruction is put around
SHOWN = 40
DECLINED = {*UNANSWERABLE, UNCLEAR}


class Question(NamedTuple):
    """A question, its topic and its language."""

    text: str
    topic: str
    language: str


@cache
def of_others(language: str) -> Phrasings:
    """Put the benchmark's questions in the place of ours, without those that happen to be ours."""
    told = phrasings.load(language)
    ours = {
        bare(wording)
        for table in (told.questions, told.follow_ups)
        for wordings in table.values()
        for wording in wordings
    }
    tables = tomllib.loads((QUESTIONS / f"{language}.toml").read_text(encoding="utf-8"))
    kept = {
        name: {t: tuple(w for w in words if bare(w) not in ours) for t, words in table.items()}
        for name, table in tables.items()
    }
    return replace(told, questions=kept["questions"], follow_ups=kept["follow_ups"])


def bare(text: str) -> str:
    """Return the letters and places of a question alone."""
    return re.sub(r"[^\w{}]", "", text.casefold())


def questions(language: str) -> Iterator[Question]:
    """Read the questions of a language, with their places filled."""
    for example in asked_in(of_others(language), AROUND, pointed=0):
        yield Question(example.text, example.topic, language)


def heard(question: Question) -> str:
    """Return the topic that a question is taken for."""
    words = prompts.load(question.language)
    return likeliest_topic(plain(simplified(question.text), words))


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


def main() -> None:
    """Ask for every topic and print."""
    asked = [question for language in prompts.languages() for question in questions(language)]
    print_table(asked, [heard(question) for question in asked])


if __name__ == "__main__":
    main()
