"""The server's side of Flower: messages out, replies in. What becomes of them is decided elsewhere.

Started by ``flwr run`` beside a SuperLink.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from segment.federated.flower.records import (
    CONFIG,
    FAILED,
    GREET,
    GREETING,
    LEARN,
    PART,
    ROUND,
    SCORE,
    SCORES,
    WEIGHTS,
    arrays_of,
    record_of,
)
from segment.federated.flower.secure import learn_together
from segment.federated.greeting import Greeting
from segment.federated.intervals import gather_scores
from segment.federated.plan import FederationPlan
from segment.federated.server import Reply, federate
from segment.federated.site import LOG
from segment.federated.together import Together
from segment.federated.updates import Weights

TOLD = getLogger("flwr")
FILES = ("plan", "start", "output")
WHY = {
    GREET: f"its settings or its plan were refused; its {LOG} says why",
    LEARN: f"its training failed; its {LOG} says why",
    SCORE: f"it could not judge held-out cases; its {LOG} says why",
}


@dataclass(frozen=True)
class FlowerSites:
    """The SuperNodes of a SuperLink, as sites; numbers travel as ``sent``."""

    grid: Grid
    context: Context
    sent: str

    def present(self) -> Sequence[int]:
        """Return the nodes whose heartbeat is heard, in order."""
        return sorted(self.grid.get_node_ids())

    def greet(self, nodes: Sequence[int], wait_s: float) -> Mapping[int, Greeting | str]:
        """Ask nodes who they are."""
        replies = self._ask(nodes, GREET, RecordDict(), wait_s)
        return {node: _greeting(reply) for node, reply in replies.items()}

    def learn(
        self, nodes: Sequence[int], number: int, weights: Weights, wait_s: float
    ) -> Mapping[int, Reply]:
        """Send the weights of a round, and return what came back in time."""
        config = ConfigRecord({ROUND: number})
        content = RecordDict({WEIGHTS: record_of(weights, self.sent), CONFIG: config})
        replies = self._ask(nodes, LEARN, content, wait_s)
        return {node: _learnt(reply) for node, reply in replies.items()}

    def learn_together(
        self, cases: Mapping[int, int], number: int, weights: Weights, plan: FederationPlan
    ) -> Together:
        """Send the weights of a round, and return the sum of what came back in time."""
        least, wait_s = plan.least_sites, plan.round_s
        return learn_together(self.grid, self.context, cases, least, number, weights, wait_s)

    def score(
        self, nodes: Sequence[int], weights: Weights, wait_s: float
    ) -> Mapping[int, Mapping[str, Any] | str]:
        """Send the final weights, and return the counts that came back in time."""
        content = RecordDict({WEIGHTS: record_of(weights, self.sent)})
        replies = self._ask(nodes, SCORE, content, wait_s)
        return {node: _scored(reply) for node, reply in replies.items()}

    def _ask(
        self, nodes: Sequence[int], kind: str, content: RecordDict, wait_s: float
    ) -> dict[int, Message]:
        messages = [Message(content, node, kind, ttl=wait_s) for node in nodes]
        replies = self.grid.send_and_receive(messages, timeout=wait_s)
        return {reply.metadata.src_node_id: reply for reply in replies}


def _greeting(reply: Message) -> Greeting | str:
    if reason := _why_failed(reply):
        return reason
    try:
        return Greeting.from_table(dict(reply.content.config_records[GREETING]))
    except (KeyError, ValueError):
        return "expected a greeting of this version, found another; install the same version"


def _learnt(reply: Message) -> Reply:
    if reason := _why_failed(reply):
        return Reply(None, reason)
    try:
        return Reply(arrays_of(reply.content.array_records[WEIGHTS]))
    except (KeyError, TypeError, ValueError):
        return Reply(None, "expected weights as numbers, found something else; update the site")


def _scored(reply: Message) -> Mapping[str, Any] | str:
    if reason := _why_failed(reply):
        return reason
    try:
        table = json.loads(str(reply.content.config_records[SCORES][SCORES]))
    except (KeyError, ValueError, RecursionError):
        table = None
    told = "expected counts in bins, found something else; install the same version"
    return table if isinstance(table, dict) else told


def _why_failed(reply: Message) -> str:
    """Say what failed at a site; nothing where it did not fail. A site's own words go nowhere."""
    if reply.has_error():
        return f"it went away or its app failed; its SuperNode and its {LOG} say why"
    failed = reply.content.config_records.get(FAILED)
    if failed is None:
        return ""
    return WHY.get(failed.get(PART), "it failed in a way that is not known here; update it")


def serve(grid: Grid, context: Context) -> None:
    """Run the federation that the run's settings name."""
    plan, start, output = (Path(str(context.run_config[key])) for key in FILES)
    sites = FlowerSites(grid, context, FederationPlan.read(plan).sent)
    for done in federate(plan, start, output, sites):
        used = [line.site for line in done.lines if line.is_used]
        TOLD.info("round %d: %s", done.number, ", ".join(used))
        for line in done.lines:
            if line.reason:
                TOLD.warning("round %d: %s: %s", done.number, line.site, line.reason)
    TOLD.info("the sites judge what all learnt on the cases they held out")
    gathered = gather_scores(plan, output, sites)
    for told in () if gathered is None else gathered.sites:
        TOLD.info("intervals: %s: %s", told.site, told.reason or f"{told.n} subjects scored")


app = ServerApp()
app.main()(serve)
