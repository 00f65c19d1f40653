"""What a study's text must look like, as a grammar in Lark syntax. Knows nothing of models.

Words are runs of letters that are no number word; slots are named tokens. Every repetition has a
bound, so that what is written has an end.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from assistant.writers.vlm.vocabulary import NEWLINE, is_numeral

MOST_LETTERS = 40  # of one word, or of a run of Han characters
MOST_WORDS = 40  # between two slots
MOST_MARKS = 4  # between two words
MOST_MENTIONS = 2  # of optional slots beside one required one
MOST_EXTRA_LINES = 2  # of one group in the findings
NEWLINE_RULE = r'"\n"'
LATIN = re.compile(r"[A-Za-z]+")
UNITS = frozenset("%％‰°$€£¥")


@dataclass(frozen=True)
class Prose:
    """The characters of a language between slots.

    A Han numeral stands only in a pair of ``pairs``, with the letter after it. ``forbidden`` are
    words: of Latin letters as whole words, in any case; of others anywhere. ``joints`` are all that
    may lead from a required slot to the next one of its sentence, ``leads`` all that may lead to a
    sentence's first one where none is required before it.
    """

    letters: str
    marks: str
    pairs: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Slots of one record, or of records that are withheld together.

    The required ones stand in one line, next to each other, and those of ``then`` later in the same
    sentence, or alone; the optional ones around or after it. Those of a change stand after that of
    ``ahead``, with words between, and what leads on to ``then`` turns to its error.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[str, ...]:
        """All slots, each once."""
        all_of_them = (*self.ahead, *self.required, *self.then, *self.optional)
        return tuple(dict.fromkeys(all_of_them))


@dataclass(frozen=True)
class Grammar:
    """The grammar of one text and the slots that may stand in it."""

    text: str
    slots: frozenset[str]

    @cached_property
    def sha256(self) -> str:
        """Name the grammar for the provenance of a report."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def prose_of(
    texts: Iterable[str],
    forbidden: Iterable[str],
    joints: Iterable[str] = (),
    leads: Iterable[str] = (),
    turns: Iterable[str] = (),
) -> Prose:
    """Learn the characters of a language from its texts, which hold no slots and no numbers.

    A forbidden word that they use themselves ("excludes zero") is allowed: the verifier knows where
    it may stand. Raises ValueError for a text with a number or the sign of a unit.
    """
    joined = NEWLINE.join(texts)
    characters = sorted({*joined, *_capitals(joined)} - {NEWLINE})
    if numbers := [c for c in characters if unicodedata.category(c).startswith("N") or c in UNITS]:
        msg = f"numbers and units stand in slots; the texts hold {''.join(numbers)!r}"
        raise ValueError(msg)
    letters = [c for c in characters if unicodedata.category(c)[0] in "LM"]
    used = {word.lower() for word in LATIN.findall(joined)}
    return Prose(
        letters="".join(c for c in letters if not is_numeral(c)),
        marks="".join(c for c in characters if c not in letters),
        pairs=_pairs(joined, letters),
        forbidden=tuple(
            dict.fromkeys(
                word
                for word in forbidden
                if " " not in word and not (word in used if word.isascii() else word in joined)
            )
        ),
        joints=tuple(joints),
        leads=tuple(leads),
        turns=tuple(turns),
    )


def _capitals(text: str) -> set[str]:
    """List the capitals of a text's Latin letters: any word may begin a sentence."""
    return {letter.upper() for word in LATIN.findall(text) for letter in word}


def report_grammar(groups: Sequence[Group], section: str, prose: Prose) -> Grammar:
    """Demand the groups in order, one statement a line, then the section token, then statements.

    Each line holds slots of one group. After the section token there are at least one and at most
    one more than there are groups.
    """
    findings = " ".join(f"g{n}" for n in range(len(groups)))
    rules = [
        f"start: {findings} {section} {NEWLINE_RULE} said ({NEWLINE_RULE} said){{0,{len(groups)}}}",
        f"said: {' | '.join(f'said{n}' for n in range(len(groups)))}",
        *(rule for n, group in enumerate(groups) for rule in _finding_rules(n, group)),
        *(_said_rule(n, group) for n, group in enumerate(groups)),
        *_prose_rules(replace(prose, turns=())),
    ]
    slots = {slot for group in groups for slot in group.slots}
    return _grammar(rules, slots | {section})


def answer_grammar(lines: Sequence[Group], prose: Prose) -> Grammar:
    """Demand these lines in order, each with the required slots of its group.

    Of a group that requires none a line holds at least one of the optional. Raises ValueError where
    no line is asked for.
    """
    return _lines_grammar(lines, (), (), prose)


def comparison_grammar(
    lines: Sequence[Group], said: Sequence[Group], section: str, prose: Prose
) -> Grammar:
    """Demand these lines in order, then the section token, then those that are ``said`` shortly.

    Without any of those there is no section token. Raises ValueError where no line is asked for.
    """
    return _lines_grammar(lines, said, (section,) if said else (), prose)


def _lines_grammar(
    lines: Sequence[Group], said: Sequence[Group], between: tuple[str, ...], prose: Prose
) -> Grammar:
    """Demand lines, what stands between them and others, and these."""
    if not lines:
        msg = "expected at least one line to be written, found none"
        raise ValueError(msg)
    groups = (*lines, *said)
    names = [f"line{n}" for n in range(len(groups))]
    names[len(lines) : len(lines)] = between
    rules = [
        f"start: {f' {NEWLINE_RULE} '.join(names)}",
        *(rule for n, group in enumerate(groups) for rule in _line_rules(n, group)),
        *_prose_rules(prose if any(g.ahead for g in groups) else replace(prose, turns=())),
    ]
    return _grammar(rules, {slot for group in groups for slot in group.slots} | {*between})


def _grammar(rules: Sequence[str], slots: set[str]) -> Grammar:
    """Write the rules down; tokens are never forced as bytes, which could be cut in other ways."""
    text = "\n".join(['%llguidance { "no_forcing": true }', *rules]) + "\n"
    return Grammar(text, frozenset(slots))


def _finding_rules(n: int, group: Group) -> Iterator[str]:
    """Write the lines of one group: that of its required slots, then some of optional ones."""
    if not group.optional:
        yield f"g{n}: line{n} {NEWLINE_RULE}"
    else:
        yield f"g{n}: line{n} {NEWLINE_RULE} more{n}{{0,{MOST_EXTRA_LINES}}}"
        yield f"more{n}: head any{n} (mid any{n}){{0,{MOST_MENTIONS}}} tail {NEWLINE_RULE}"
    yield from _line_rules(n, group)


def _line_rules(n: int, group: Group) -> Iterator[str]:
    """Write a line with the required slots of a group, and its optional ones around them."""
    leads_on = " turn " if group.ahead else " join "
    run = leads_on.join([*filter(None, [" ".join(group.required)]), *group.then]) or f"any{n}"
    before, after = " ".join(["head", *(f"{slot} mid" for slot in group.ahead)]), "tail"
    if group.optional:
        before += f" (any{n} mid){{0,{MOST_MENTIONS}}}"
        after = f"(mid any{n}){{0,{MOST_MENTIONS}}} tail"
        yield f"any{n}: {' | '.join(group.optional)}"
    if group.then and not group.required:
        before = "lead"
    yield f"line{n}: {before} {run} {after}"


def _said_rule(n: int, group: Group) -> str:
    """Write a line with slots of one group; where several are required, with a run of some."""
    if len(group.required) < 2:
        one = f"({' | '.join(group.slots)})"
        return f"said{n}: head {one} (mid {one}){{0,{MOST_MENTIONS}}} tail"
    runs = (
        " ".join([slot, *(f"{later}?" for later in group.required[start:])])
        for start, slot in enumerate(group.required, start=1)
    )
    return f"said{n}: head ({' | '.join(runs)}) tail"


def _prose_rules(prose: Prose) -> Iterator[str]:
    """Write what stands before, between and after slots.

    A line neither begins nor ends with a space.
    """
    yield f"head: (WORD MARK){{0,{MOST_WORDS}}} WORD?"
    yield f"mid: MARK? (WORD MARK){{0,{MOST_WORDS}}} WORD?"
    leading = {"join": prose.joints, "lead": prose.leads, "turn": prose.turns}
    for rule, texts in leading.items():
        if texts:
            yield f"{rule}: {' | '.join(json.dumps(text, ensure_ascii=False) for text in texts)}"
    yield f"tail: WORD? (MARK WORD){{0,{MOST_WORDS}}} CLOSE?"
    yield f"WORD: {_word(prose)}"
    yield f"MARK: /{_one_of(prose.marks)}{{1,{MOST_MARKS}}}/"
    yield f"CLOSE: /{_one_of(prose.marks.replace(' ', ''))}{{1,{MOST_MARKS}}}/"


def _word(prose: Prose) -> str:
    """Write the expression of a word: letters and pairs, but no number word."""
    units = "|".join([_one_of(prose.letters), *prose.pairs])
    whole = [*(word for word in prose.forbidden if word.isascii()), "[IVX]{2,}"]
    inside = [w for w in prose.forbidden if not w.isascii() and {*w} <= {*prose.letters}]
    refused = [f"(?i:{'|'.join(whole[:-1])})", whole[-1]] if len(whole) > 1 else whole
    unless = f" & ~/{'|'.join(refused)}/"
    if inside:
        unless += f" & ~/(?s:.*)({'|'.join(inside)})(?s:.*)/"
    return f"/({units}){{1,{MOST_LETTERS}}}/{unless}"


def _one_of(characters: str) -> str:
    """Write a class of characters; neighbours become ranges."""
    codes = sorted(ord(character) for character in characters)
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return f"[{''.join(_escaped(low) + '-' + _escaped(high) for low, high in ranges)}]"


def _escaped(code: int) -> str:
    return f"\\x{{{code:x}}}"


def _pairs(text: str, letters: Sequence[str]) -> tuple[str, ...]:
    """List each Han numeral of the texts with the letter after it; raises where there is none."""
    found, numerals = set(), {character for character in {*text} if is_numeral(character)}
    for character, following in pairwise(text + NEWLINE):
        if character not in numerals:
            continue
        if following not in letters or is_numeral(following):
            msg = f"a numeral stands before a letter that is none, not in {character + following!r}"
            raise ValueError(msg)
        found.add(character + following)
    return tuple(sorted(found))
