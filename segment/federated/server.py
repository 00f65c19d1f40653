"""A federation as its server runs it: who may take part, round after round, until the last.

Knows nothing of networks, of scans, or of how messages travel.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from segment.federated.greeting import Greeting, why_refused
from segment.federated.plan import SEGMENTER, FederationPlan, sha256_of
from segment.federated.rounds import (
    FINAL,
    START,
    Round,
    StoppedError,
    finish_round,
    last_round,
    read_weights,
    write_round,
    write_weights,
)
from segment.federated.scores import organ_of
from segment.federated.together import Together, finish_together
from segment.federated.updates import LeftOut, Update, Weights, rounded

PAUSE_S = 1.0  # between looks at who is there


@dataclass(frozen=True, eq=False)
class Reply:
    """What a site sent back in time: weights, or why it has none."""

    weights: Weights | None
    reason: str = ""


@runtime_checkable
class Sites(Protocol):
    """The sites that can be reached, by the number that the network gave each."""

    def present(self) -> Sequence[int]:
        """Return those that are there now."""

    def greet(self, nodes: Sequence[int], wait_s: float) -> Mapping[int, Greeting | str]:
        """Ask them who they are; a text says why one cannot take part."""

    def learn(
        self, nodes: Sequence[int], number: int, weights: Weights, wait_s: float
    ) -> Mapping[int, Reply]:
        """Let them train one round; who does not answer in time is not among the replies."""

    def learn_together(
        self, cases: Mapping[int, int], number: int, weights: Weights, plan: FederationPlan
    ) -> Together:
        """Let nodes, given with their cases, train one round, and return their sum alone."""

    def score(
        self, nodes: Sequence[int], weights: Weights, wait_s: float
    ) -> Mapping[int, Mapping[str, Any] | str]:
        """Let them judge weights on held-out cases; a text says why one has no counts."""


@dataclass(frozen=True)
class Roll:
    """Who takes part in a round, by node, and who does not and why."""

    members: Mapping[int, Greeting]
    refused: tuple[LeftOut, ...]


def federate(plan_file: Path, start_file: Path, folder: Path, sites: Sites) -> Iterator[Round]:
    """Run the rounds that are not done yet, and write each and the final weights; yields each.

    Raises StoppedError where a round cannot be finished, and ValueError where the folder holds
    another federation, the start no weights, or the plan structures of no organ here, of which
    there could be no intervals in the end.
    """
    plan = FederationPlan.read(plan_file)
    if plan.part == SEGMENTER:
        organ_of(plan.training.get("structures", ())[1:])
    own = Greeting.of("server", sha256_of(plan_file), 0, plan.part)
    start_sha256 = hashlib.sha256(start_file.read_bytes()).hexdigest()
    told = {"plan": own.plan_sha256, "start": start_sha256, "code": own.code_sha256}
    folder.mkdir(parents=True, exist_ok=True)
    number, weights = last_round(folder, told) or (START, read_weights(start_file))
    greeted: dict[int, Greeting | str] = {}
    wanted = plan.sites
    while number < plan.rounds:
        number += 1
        roll, wanted = gather(sites, greeted, own, plan, wanted), plan.least_sites
        done = _run_round(number, weights, roll, plan, sites)
        write_round(folder, done, told)
        weights = done.weights
        yield done
    write_weights(folder / FINAL, weights, told)


def _run_round(
    number: int, weights: Weights, roll: Roll, plan: FederationPlan, sites: Sites
) -> Round:
    """Let all members train, each seen by the server or only their sum."""
    sent = rounded(weights, plan.sent)
    if plan.secure:
        cases = {node: greeting.cases for node, greeting in roll.members.items()}
        found = sites.learn_together(cases, number, sent, plan)
        return finish_together(number, sent, found, roll.members, roll.refused, plan)
    replies = sites.learn(tuple(roll.members), number, sent, plan.round_s)
    updates, absent = sort_replies(roll.members, replies, plan.round_s)
    return finish_round(number, sent, updates, (*roll.refused, *absent), plan)


def gather(
    sites: Sites,
    greeted: dict[int, Greeting | str],
    own: Greeting,
    plan: FederationPlan,
    wanted: int,
) -> Roll:
    """Wait for so many sites that may take part, or as long as the plan says and then for fewer.

    ``greeted`` learns who came. Raises StoppedError with each site's reason where they are too few
    for too long.
    """
    until = time.monotonic() + plan.joining_s
    while True:
        present = sites.present()
        if new := [n for n in present if not isinstance(greeted.get(n), Greeting)]:
            greeted |= sites.greet(new, plan.joining_s)
        roll = call(greeted, present, own, plan)
        is_late = time.monotonic() > until
        if len(roll.members) >= (plan.least_sites if is_late else wanted):
            return roll
        if is_late:
            told = "; ".join(f"{left.site}: {left.reason}" for left in roll.refused)
            msg = f"expected {plan.least_sites} sites or more, found {len(roll.members)}"
            raise StoppedError(f"{msg} ({told or 'nobody else came'}); start the missing sites")
        time.sleep(min(PAUSE_S, plan.joining_s))


def call(
    greeted: Mapping[int, Greeting | str],
    present: Sequence[int],
    own: Greeting,
    plan: FederationPlan,
) -> Roll:
    """Part who may take part from who may not; of two with one name the first came first."""
    members: dict[int, Greeting] = {}
    refused, gone = [], []
    for node, greeting in greeted.items():
        names = {member.site for member in members.values()}
        if isinstance(greeting, str):
            refused.append(LeftOut(f"node {node}", greeting))
        elif node not in present:
            gone.append(LeftOut(greeting.site, "it has gone; start its SuperNode again"))
        elif reason := why_refused(greeting, own, plan.least_cases):
            refused.append(LeftOut(greeting.site, reason))
        elif greeting.site in names:
            refused.append(LeftOut(greeting.site, "expected another name, found it twice; rename"))
        else:
            members[node] = greeting
    names = {member.site for member in members.values()}
    return Roll(members, (*refused, *(left for left in gone if left.site not in names)))


def sort_replies(
    members: Mapping[int, Greeting], replies: Mapping[int, Reply], wait_s: float
) -> tuple[tuple[Update, ...], tuple[LeftOut, ...]]:
    """Part the sites that sent weights from those that did not."""
    updates, absent = [], []
    for node, member in members.items():
        reply = replies.get(node, Reply(None, f"no answer within {wait_s:g} s"))
        if reply.weights is None:
            absent.append(LeftOut(member.site, reply.reason))
        else:
            updates.append(Update(member.site, member.cases, reply.weights))
    return tuple(updates), tuple(absent)
