"""The command ``voxcite list``: everything that can be chosen. Decides nothing."""

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from assistant.rules import Rule


def add_list(commands: "Commands") -> None:
    """Describe the command."""
    listing = commands.add_parser(
        "list", help="exams, organs, models, readers, writers, exports, rules, languages"
    )
    listing.set_defaults(run=run_list)


def run_list(chosen: argparse.Namespace) -> int:
    """List everything that can be chosen, with the figures of its card."""
    del chosen
    import prompts
    from assistant import exams, exports, readers, rules, writers
    from segment import models, organs

    for title, names in (
        ("exams", exams.available()),
        ("organs", organs.available()),
        ("models", models.available()),
        ("readers", readers.available()),
        ("writers", writers.available()),
        ("exports", exports.available()),
        ("rules", rules.available()),
        ("languages", prompts.languages()),
    ):
        print(f"{title}: {', '.join(names)}")
    for name in organs.available():
        for structure in organs.load(name).structures:
            if (r := structure.volume_reference) is not None:
                print(f"  {structure.name}: {r.lower:g} to {r.upper:g} mL, n = {r.n}, {r.source}")
    for name in models.available():
        for line in models.figures(name):
            print(f"  {name}: {line}")
    for line in _of_rules(map(rules.load, rules.available())):
        print(f"  {line}")
    return OK


def _of_rules(known: "Iterable[Rule]") -> Iterator[str]:
    """Tell each rule's source and whom it measured, its limits, and what of it is left out."""
    for rule in known:
        yield f"{rule.name} {rule.version}: {rule.cited_as}; {rule.measured_in}"
        for criterion in rule.criteria:
            limits = (
                f"{c.quantities[0]} {c.relation} {c.limit:g} {c.unit}" for c in criterion.conditions
            )
            yield f"  {criterion.name}: {' and '.join(limits)}"
        yield f"  {rule.departs}"
