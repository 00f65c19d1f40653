"""Which series of a study is measured and which stand beside it, by their roles.

Knows nothing of files: series are labels here, as the refusal of several lists them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from segment.errors import Refusal, ScanError
from segment.reading.roles import ROLES, Role


@dataclass(frozen=True)
class Cast:
    """The label of the series that is measured, None where roles leave it open, and the others'.

    ``roles`` are those of all series; ``named`` are the labels that somebody gave a role, which are
    read or refused, never left out.
    """

    measured: str | None
    roles: Mapping[str, Role | None]
    beside: Mapping[Role, str]
    named: frozenset[str]


def parsed(texts: Sequence[str]) -> dict[Role, str]:
    """Read what ``--role`` was given, as in ``T1=5``; raises ScanError for an unknown role.

    What stands behind the sign is the number of a series of the study, or a file or folder.
    """
    given: dict[Role, str] = {}
    for text in texts:
        name, sign, what = text.partition("=")
        if not sign or not what or not is_role(name):
            msg = f"--role: expected NAME=SERIES or NAME=FILE, NAME one of {', '.join(ROLES)},"
            advice = "write it as in --role T1=5"
            raise ScanError(Refusal.BAD_OPTION, f"{msg} found {text[:20]!r}; {advice}")
        if name in given:
            msg = f"--role: expected each role once, found {name} twice; give one series for it"
            raise ScanError(Refusal.BAD_OPTION, msg)
        given[name] = what
    return given


def is_role(name: str) -> TypeGuard[Role]:
    """Tell whether a word is the name of a role."""
    return name in ROLES


def cast(
    found: Mapping[str, Role | None], given: Mapping[Role, str], measures: Sequence[Role], name: str
) -> Cast:
    """Choose the series that is measured: of the first of ``measures`` that the study holds.

    ``found`` are the roles of all series by label, ``given`` those that somebody named, which go
    before. A role that several series seem to play stands beside no measurement. Raises ScanError
    where several could be measured, where what is measured is not there though every role is
    known, and for a named series that is not.
    """
    roles = dict(_roles(found, given, name))
    counts = Counter(roles.values())
    wanted = next((role for role in measures if counts[role]), None)
    if wanted is not None and counts[wanted] > 1:
        several = [label for label, role in roles.items() if role == wanted]
        msg = f"{name}: expected one {wanted}, found {len(several)} (series {', '.join(several)})"
        advice = f"choose one with --role {wanted}=N"
        raise ScanError(Refusal.SEVERAL_SERIES, f"{msg}; {advice}")
    if measures and wanted is None and len(found) > 1 and None not in roles.values():
        held = ", ".join(role for role in ROLES if counts[role])
        msg = f"{name}: expected the {' or '.join(measures)} that is measured, found {held}"
        advice = f"give it with --role {measures[0]}=SERIES or a file"
        raise ScanError(Refusal.NO_ROLE, f"{msg}; {advice}")
    alone = {role: label for label, role in roles.items() if role is not None and counts[role] == 1}
    measured = alone.get(wanted) if wanted is not None else None
    beside = {role: alone[role] for role in ROLES if role in alone and role != wanted}
    return Cast(measured, roles, beside, frozenset(given.values()))


def _roles(
    found: Mapping[str, Role | None], given: Mapping[Role, str], name: str
) -> Iterator[tuple[str, Role | None]]:
    """Yield the role of each series: what somebody named, else what was found and is not taken."""
    for role, label in given.items():
        if label not in found:
            msg = f"{name}: expected the series {label[:20]!r} of --role {role} among its own"
            raise ScanError(
                Refusal.BAD_OPTION, f"{msg}, found {', '.join(found)}; give one of them"
            )
    named = {label: role for role, label in given.items()}
    if len(named) < len(given):
        msg = f"{name}: expected each series in one role, found one in several; give each its own"
        raise ScanError(Refusal.BAD_OPTION, msg)
    for label, own in found.items():
        yield label, named.get(label, None if own in given else own)
