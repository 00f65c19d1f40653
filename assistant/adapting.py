"""A structure that a user adds: its organ and networks, the exam that measures it, and its words.

Knows nothing of how it is learnt or of who shows the steps.
"""

import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import prompts
from assistant import exams
from assistant.exams import Exam
from assistant.settings import DEFAULT_EXAM
from assistant.verify.names import check_name, is_known
from assistant.writers.template import NAME as TEMPLATE
from assistant.written import written_whole
from prompts import adapt as patterns
from segment.adapt.plan import Request
from segment.adapt.prepare import Step
from segment.adapt.run import Adapted, adapt
from segment.shelf import EXAM, shelves
from segment.writing import toml_pair, toml_text

NOT_ASSESSED = ("outlines", "lesions", "other_organs", "change")


def adapted(
    request: Request, work: Path, called: Mapping[str, Mapping[str, str]]
) -> Generator[Step, None, Adapted]:
    """Learn a structure and put its folder on the user's shelves, whole or not at all.

    ``called`` are names of the organ and its parts in other languages, by language and name; where
    there is none, the name itself is used. Raises ScanError and ValueError as ``segment.adapt``.
    """
    _check_words(request, called)
    place, learnt = shelves() / request.folder, work / "learnt"
    with written_whole(place):
        pass  # a shelf that cannot be written to is refused before any work
    made = yield from adapt(request, work, learnt)
    with written_whole(place) as folder:
        for path in sorted(learnt.iterdir()):
            shutil.copyfile(path, folder / path.name)
        exam = _exam(request, made.structures)
        (folder / EXAM).write_text(toml_text(asdict(exam)), encoding="utf-8")
        for language in prompts.languages():
            words = _words(request, made.structures, language, called.get(language, {}))
            (folder / f"words.{language}.toml").write_text(words, encoding="utf-8")
    prompts.load.cache_clear()
    return made


def _check_words(request: Request, called: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse names that would state something in a report, or that are somebody else's.

    Raises ValueError also for unknown languages, and for a name in one of nothing that is learnt.
    """
    own = tuple(dict.fromkeys((request.organ, *request.names.values())))
    if unknown := sorted({name for names in called.values() for name in names} - {*own}):
        msg = f"expected --called of {' or '.join(own)}, found one of {unknown[0]!r}"
        raise ValueError(f"{msg}; correct the name")
    for language in {*prompts.languages(), *called}:
        book = prompts.load(language)
        for name in own:
            words = _named(request, name, language, called.get(language, {}))
            there = book.structures.get(name, {})
            is_another = any(there.get(side, text) != text for side, text in words.items())
            if is_another or (not there and any(is_known(text, book) for text in words.values())):
                msg = f"expected a name that is no other organ's, found {name!r}, which has other"
                raise ValueError(f"{msg} words in {language}; call it otherwise")
        for name in (*own, *called.get(language, {}).values()):
            check_name(name, book, has_sides=len(request.sides) > 1)


def _exam(request: Request, structures: Sequence[str]) -> Exam:
    """Make the exam of an organ after the shipped one of the head."""
    return replace(
        exams.load(DEFAULT_EXAM),
        name=request.folder,
        organs=(request.folder,),
        parts=("head",),
        segmenter=request.folder,
        writer=TEMPLATE,
        coverage=request.coverage,
        structures=tuple(structures),
        asymmetry=tuple(structures[:1]),
        rules=(),
        not_assessed=NOT_ASSESSED,
    )


def _words(
    request: Request, structures: Sequence[str], language: str, called: Mapping[str, str]
) -> str:
    """Write the words of an organ in one language."""
    pattern = patterns.load(language)
    whole = called.get(request.organ, request.organ)
    lines = ["[exams]", toml_pair(_quoted(request.folder), pattern["exam"].format(name=whole))]
    for structure in structures:
        lines += ["", f"[structures.{_quoted(structure)}]"]
        names = _named(request, structure, language, called)
        lines += [toml_pair(side, name) for side, name in names.items()]
    told = pattern["technique"].format(name=whole)
    return "\n".join(
        [*lines, "", "[phrases]", toml_pair(_quoted(f"technique.{request.folder}"), told), ""]
    )


def _named(
    request: Request, structure: str, language: str, called: Mapping[str, str]
) -> Mapping[str, str]:
    """Name a structure of each side in one language."""
    of_side = {"left": "left", "right": "right", "none": "both"}
    if request.sides == ("none",):
        of_side = {"none": "alone"}
    name, pattern = called.get(structure, structure), patterns.load(language)
    return {side: pattern[key].format(name=name) for side, key in of_side.items()}


def _quoted(key: str) -> str:
    """Write a key that holds more than letters."""
    return f'"{key}"'
