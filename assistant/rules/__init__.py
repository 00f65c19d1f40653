"""Published rules, one folder each: which limits a quantity is held against, by which source.

A rule says which of its criteria are met by what was measured. It names no category of response
and no disease; nothing here knows of sentences, and only the folder of a rule knows of lesions.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import count
from typing import Any

from assistant.judgement import (
    Amount,
    Condition,
    Gap,
    Input,
    Judgement,
    Obstacle,
    decide,
    input_of,
    missing,
)
from assistant.ledger import Ledger
from segment.table import filled, shelved


@dataclass(frozen=True)
class Criterion:
    """One criterion of a rule: all of its conditions must hold."""

    name: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Rule:
    """A rule with its source, and whom that source measured.

    ``structures`` are those that it is about, any where there are none. ``departs`` says in what
    this rule is not the whole of its source.
    """

    name: str
    version: str
    source: str
    doi: str
    measured_in: str
    departs: str
    structures: tuple[str, ...]
    criteria: tuple[Criterion, ...]

    @property
    def cited_as(self) -> str:
        """The source as a report cites it."""
        return f"{self.source}, doi:{self.doi}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The quantities that it goes by, each once."""
        conditions = (c for criterion in self.criteria for c in criterion.conditions)
        return tuple(dict.fromkeys(q for c in conditions for q in c.quantities))


def available() -> tuple[str, ...]:
    """Name the rules that have a folder here."""
    return shelved(__package__, "rule.toml")


def load(name: str) -> Rule:
    """Read one rule; raises ValueError for an unknown name and for an unknown or missing key."""
    if name not in available():
        msg = f"unknown rule {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(name, "rule.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    criteria = [_criterion(entry, name) for entry in table.pop("criteria", ())]
    return filled(Rule, {**table, "name": name, "criteria": criteria}, f"rule {name}")


def judge(names: Sequence[str], ledger: Ledger) -> tuple[Judgement, ...]:
    """Hold the records of a ledger against rules: each criterion, each structure, each side.

    Where the ledger has nothing that a rule goes by, its criteria say once what is missing.
    """
    numbers = count(1)
    made: list[Judgement] = []
    for rule in map(load, names):
        for inputs in _groups(rule, ledger):
            made += (_judgement(rule, c, inputs, next(numbers)) for c in rule.criteria)
    return tuple(made)


def judge_inputs(name: str, inputs: Mapping[str, Input]) -> tuple[Judgement, ...]:
    """Hold what is not in a ledger against one rule: an input for each quantity that is known."""
    rule = load(name)
    return tuple(_judgement(rule, c, inputs, n) for n, c in enumerate(rule.criteria, start=1))


def _criterion(entry: Mapping[str, Any], name: str) -> Criterion:
    """Read one criterion."""
    conditions = [filled(Condition, c, f"rule {name}") for c in entry.get("conditions", ())]
    return filled(Criterion, {**entry, "conditions": conditions}, f"rule {name}")


def _groups(rule: Rule, ledger: Ledger) -> Iterator[Mapping[str, Input]]:
    """List what there is of each structure of each side by its quantity, or nothing once."""
    groups: dict[tuple[str, str], dict[str, Input]] = {}
    for record in ledger.records:
        is_meant = not rule.structures or record.structure in rule.structures
        if is_meant and record.quantity in rule.needs:
            group = groups.setdefault((record.structure, record.side), {})
            group[record.quantity] = input_of(record)
    yield from groups.values() or [{}]


def _judgement(
    rule: Rule, criterion: Criterion, inputs: Mapping[str, Input], number: int
) -> Judgement:
    """Judge one criterion by what there is."""
    chosen = [_chosen(condition, inputs) for condition in criterion.conditions]
    found = [inputs.get(c.quantities[0], Gap((), Obstacle.MISSING)) for c in chosen]
    outcome, reason = decide(chosen, found)
    return Judgement(
        id=f"c{number}",
        rule=rule.name,
        version=rule.version,
        source=rule.cited_as,
        criterion=criterion.name,
        conditions=tuple(chosen),
        cites=tuple(dict.fromkeys(cite for one in found for cite in one.cites)),
        outcome=outcome,
        reason=reason,
        missing=missing(chosen, [q for q, one in inputs.items() if not _is_missing(one)]),
    )


def _is_missing(found: Input) -> bool:
    """Tell whether there is something, but nothing that was measured."""
    return isinstance(found, Gap) and found.obstacle is Obstacle.MISSING


def _chosen(condition: Condition, inputs: Mapping[str, Input]) -> Condition:
    """Narrow a condition to the quantity that it goes by: the first known, or else the first."""
    held = [quantity for quantity in condition.quantities if quantity in inputs]
    known = [quantity for quantity in held if isinstance(inputs[quantity], Amount)]
    first = (known or held or list(condition.quantities))[0]
    return replace(condition, quantities=(first,))
