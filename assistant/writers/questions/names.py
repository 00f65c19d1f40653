"""Which structures a question names, and how it reads without their names. Knows no topic."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from prompts import Phrasebook
from segment.measurement import Measurement

MARKUP = re.compile(r"<[^<>\s]{0,40}>|[<>{}\[\]|`]")
DATED = re.compile(r"(?<!\d)(?:19|20)\d{2}(?:-\d{2}-\d{2})?(?!\d)")
A_YEAR = "2020"
ID = re.compile(r"(?<![a-z0-9])m[0-9]+(?![a-z0-9])")  # of a record, as reports cite it
OTHER = {"left": "right", "right": "left"}

Names = tuple[tuple[str, str], ...]  # structures, each with a side


class Reading(NamedTuple):
    """A question with one word for every structure, and what it names."""

    text: str
    names: Names


class Cited(NamedTuple):
    """A question with one word for every record that it gives by its id, and these records."""

    text: str
    records: tuple[Measurement, ...]


def readings(
    asked: str, words: Phrasebook, before: Sequence[Measurement] = ()
) -> tuple[Reading, ...]:
    """List the ways to read a simplified question, after an answer about the records ``before``.

    The first takes it as it stands. "The other side", a side or a part without a structure's name,
    the asymmetry index, and a side or part joined to a name, as in "left and right hippocampus",
    may be read as a name as well.
    """
    if across := _across(asked, words, before):
        return (across,)
    as_it_stands = Reading(plain(asked, words), named(asked, words))
    if as_it_stands.names:
        other = _joined(as_it_stands, words)
    else:
        other = _of_index(asked, words) or _bare(asked, words, before)
    return (as_it_stands,) if other is None else (as_it_stands, other)


def simplified(text: str) -> str:
    """Return a text in one form of each letter, in lower case, without markup."""
    return MARKUP.sub(" ", unicodedata.normalize("NFKC", text).lower())


def plain(asked: str, words: Phrasebook) -> str:
    """Read every name of a structure and every date as the same: which it is tells no topic."""
    pattern, _ = _names(words)
    return pattern.sub(words.lexicon["structure"], DATED.sub(A_YEAR, asked))


def named(asked: str, words: Phrasebook) -> Names:
    """List the structures and sides that a simplified text names, in its order.

    A side or a part that stands beside a name, as in "the left and right hippocampus", is one more.
    """
    pattern, meant = _names(words)
    found = dict.fromkeys(meant[match[0]] for match in pattern.finditer(asked))
    beside = _without_idioms(pattern.sub(" ", asked), words)
    for structure, side in tuple(found):
        others = [one for one in _said(beside, words.lexicon["sides"]) if side in OTHER]
        parts = [one for one in _said(beside, words.lexicon["parts"]) if one != structure]
        if structure in words.lexicon["parts"]:
            found |= dict.fromkeys((part, side) for part in parts)
        found |= dict.fromkeys((structure, other) for other in others)
    return tuple(found)


def is_elsewhere(read: str, words: Phrasebook) -> bool:
    """Tell whether a plain text is about a neighbour or a nameless piece of a structure."""
    name, other = words.lexicon["structure"], "|".join(map(re.escape, words.lexicon["elsewhere"]))
    whole = "|".join(map(re.escape, words.lexicon["no_piece"]))
    behind = rf"{name} ?(?!{whole})(?:{other})(?![a-z])"
    before = rf"(?<![a-z])(?:{other}) (?:of|in) (?:the |both )?{name}"
    return re.search(rf"{behind}|{before}", read) is not None


def cited(asked: str, records: Iterable[Measurement], words: Phrasebook) -> Cited:
    """List the records whose ids a simplified text gives, and read each id as a structure."""
    of_id = {record.id: record for record in records}
    found = (of_id[match[0]] for match in ID.finditer(asked) if match[0] in of_id)
    name = words.lexicon["structure"]
    text = ID.sub(lambda match: name if match[0] in of_id else match[0], asked)
    return Cited(text, tuple(dict.fromkeys(found)))


def without_others(asked: str, records: Iterable[Measurement], words: Phrasebook) -> str:
    """Leave out what is joined to a name and has no record, as in "hippocampus and thalamus"."""
    measured = {record.structure for record in records}
    own = {text for text, (structure, _) in words.spellings().items() if structure in measured}
    others = {*words.lexicon["other_structures"]} - own
    name, other = f"(?:{_names(words)[0].pattern})", f"(?:{_any_of(others).pattern})"
    side = rf"(?:{_sides(words)}(?: ?{_joint(words)} ?{_sides(words)})? ?)?"
    joint = rf"\s*(?:[,，]\s*(?:{_joint(words)})?|{_joint(words)})\s*(?:of )?(?:the )?"
    behind, before = rf"({name}){joint}{side}{other}", rf"{side}{other}{joint}({name})"
    found = re.sub(before, r"\1", re.sub(behind, r"\1", asked))
    return asked if found == asked else without_others(found, records, words)


def mentions_part(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified text is about a part of a structure."""
    return any(_said(asked, words.lexicon["parts"]))


def mentions_index(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified text is about the asymmetry index."""
    return _any_of(words.lexicon["quantities"]["asymmetry index"]).search(asked) is not None


def _across(asked: str, words: Phrasebook, before: Iterable[Measurement]) -> Reading | None:
    """Read "the other side" as the structures across from those of one side."""
    sides = {record.side for record in before}
    other_side = _any_of(words.lexicon["other_side"])
    if len(sides) != 1 or not sides <= OTHER.keys() or not other_side.search(asked):
        return None
    names = dict.fromkeys((record.structure, OTHER[record.side]) for record in before)
    return Reading(plain(other_side.sub(words.lexicon["structure"], asked), words), tuple(names))


def _joined(read: Reading, words: Phrasebook) -> Reading | None:
    """Read a side or a part that is joined to a name as a part of the name."""
    name, joint = words.lexicon["structure"], rf" ?{_joint(words)} ?(?:the )?"
    other = rf"(?:{_sides(words)}|{_terms(words.lexicon['parts'])}{_nouns(words)})"
    text = re.sub(rf"{other}{joint}{name}|{name}{joint}{other}", name, read.text)
    return None if text == read.text else Reading(text, read.names)


def _of_index(asked: str, words: Phrasebook) -> Reading | None:
    """Read the asymmetry index as a structure, of no name: one may ask how sure it is."""
    index = _any_of(words.lexicon["quantities"]["asymmetry index"])
    return (
        Reading(index.sub(words.lexicon["structure"], asked), ()) if index.search(asked) else None
    )


def _bare(asked: str, words: Phrasebook, before: Sequence[Measurement]) -> Reading | None:
    """Read sides and parts without a name as one, of the structure and side answered about."""
    asked = _without_idioms(asked, words)
    sides = tuple(_said(asked, words.lexicon["sides"]))
    parts = tuple(_said(asked, words.lexicon["parts"]))
    if not sides and not parts:
        return None
    main = _names(words)[1][words.lexicon["structure"]][0]
    structures = parts or dict.fromkeys(record.structure for record in before) or (main,)
    if not sides:
        known = {record.side for record in before}
        sides = tuple(known) if len(known) == 1 else ("none",)
    side, part, noun = _sides(words), _terms(words.lexicon["parts"]), _nouns(words)
    of_sides, of_parts = words.lexicon["after_side"], words.lexicon["after_part"]
    bare_part = rf"(?:{side} ?)?{part}{noun}{_before((*of_sides, *of_parts))}"
    bare_side = rf"{side}(?: ?{_joint(words)} ?{side})?{_before(of_sides)}"
    text, count = re.subn(rf"{bare_part}|{bare_side}", words.lexicon["structure"], asked)
    found = tuple((structure, side) for structure in structures for side in sides)
    return Reading(text, found) if count else None


def _without_idioms(text: str, words: Phrasebook) -> str:
    """Take out what sounds like a side and is none, as in "left out"."""
    for phrase in words.lexicon["no_side"]:
        text = text.replace(phrase, " ")
    return text


def _sides(words: Phrasebook) -> str:
    return rf"{_terms(words.lexicon['sides'])}{_nouns(words)}"


def _terms(spelt: Mapping[str, Iterable[str]]) -> str:
    return _any_of(term for terms in spelt.values() for term in terms).pattern.join(("(?:", ")"))


def _nouns(words: Phrasebook) -> str:
    """What may stand after a side or a part: "left side", "anterior part"."""
    return rf"(?: ?{_any_of(words.lexicon['side_nouns']).pattern.join(('(?:', ')'))})?"


def _before(after: Iterable[str]) -> str:
    """What stands behind a side that is not that of something else, as in "left kidney"."""
    known = _any_of(after).pattern
    return rf"(?=\s*(?:$|[^\w\s]|\d|{known}))"


def _joint(words: Phrasebook) -> str:
    return "|".join(map(re.escape, words.lexicon["joints"])).join(("(?:", ")"))


def _said(text: str, terms: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """List the keys of which a term stands in a text."""
    for key, spelt in terms.items():
        if _any_of(spelt).search(text):
            yield key


def _any_of(terms: Iterable[str]) -> re.Pattern[str]:
    """Write a pattern of terms, the longest first, that are no part of a longer word."""
    ordered = sorted(terms, key=len, reverse=True)
    return re.compile("|".join(rf"(?<![a-z]){re.escape(term)}(?![a-z])" for term in ordered))


@cache
def _names(words: Phrasebook) -> tuple[re.Pattern[str], Mapping[str, tuple[str, str]]]:
    """List what structures are called, the longest name first; without a side it is both.

    Heard are the structures whose other names are listed: topics were trained on no others, and
    one that no exam with answers measures is answered as one that was not measured.
    """
    heard = words.lexicon["names"]
    meant = {spelt: of for spelt, of in words.spellings().items() if of[0] in heard}
    for spelt, (structure, side) in list(meant.items()):
        for word in words.lexicon["sides"].get(side, ()):
            bare = " ".join(spelt.replace(word, "").split())
            meant.setdefault(bare, (structure, "none"))
    return _any_of(name for name in meant if name), meant
