"""Secure aggregation by Flower's SecAgg+, with what it expects of a strategy around it.

Sites mask what they send so that masks cancel in the sum alone; where a site goes away, the others'
shares of its secrets take its masks off. Source: Bell et al. 2020 (SecAgg+). Decides nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, RecordDict
from flwr.common import (
    Code,
    FitIns,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.compat.common import recorddict_compat as compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.serverapp import Grid

from segment.federated.flower.masks import SERVER, of_whole_secrets
from segment.federated.flower.records import ROUND
from segment.federated.together import LEVELS, RANGE, Together
from segment.federated.updates import Changes, Weights

NAMES = "names"


@dataclass(frozen=True)
class _Node:
    """What the workflow wants to know of a site."""

    node_id: int


@dataclass
class _Asking:
    """Asks chosen nodes for one round and keeps what comes back, as strategy and client manager."""

    nodes: Mapping[int, int]
    config: dict[str, Any]
    found: list[Changes] = field(default_factory=list)
    inside: frozenset[int] = frozenset()

    def num_available(self) -> int:
        """Count the nodes, as a client manager does."""
        return len(self.nodes)

    def configure_fit(
        self, _round: int, parameters: Parameters, _manager: object
    ) -> list[tuple[_Node, FitIns]]:
        """Send everybody the same weights."""
        return [(_Node(node), FitIns(parameters, self.config)) for node in self.nodes]

    def aggregate_fit(
        self, _round: int, results: list[tuple[_Node, FitRes]], _failures: object
    ) -> tuple[None, dict[str, Any]]:
        """Keep the sum, which every result holds by now."""
        self.inside = frozenset(node.node_id for node, _ in results)
        if results:
            self.found = parameters_to_ndarrays(results[0][1].parameters)
        return None, {}


def learn_together(
    grid: Grid,
    context: Context,
    nodes: Mapping[int, int],
    least: int,
    number: int,
    weights: Weights,
    wait_s: float,
) -> Together:
    """Let nodes, given with their cases, train one round, and return the mean of their changes."""
    names = sorted(weights)
    asking = _Asking(nodes, {NAMES: json.dumps(names), ROUND: number})
    legacy = LegacyContext(context, strategy=asking, client_manager=asking)
    parameters = ndarrays_to_parameters([np.asarray(weights[name]) for name in names])
    legacy.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: number})
    legacy.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(
        parameters, keep_input=True
    )
    workflow = SecAggPlusWorkflow(
        num_shares=1.0,
        reconstruction_threshold=max(least, len(nodes) // 2 + 1),
        max_weight=float(max(nodes.values())),
        clipping_range=RANGE,
        quantization_range=LEVELS,
        timeout=wait_s,
    )
    with of_whole_secrets(SERVER):
        workflow(grid, legacy)
    if not asking.found:
        return Together(None, frozenset(), "too few sites stayed to take the masks off")
    change = {
        name: np.asarray(tensor, np.float32)
        for name, tensor in zip(names, asking.found, strict=True)
    }
    return Together(change, asking.inside)


def sent_in(content: RecordDict) -> tuple[int, Weights]:
    """Return the round and the weights that a site was sent."""
    asked = compat.recorddict_to_fitins(content, keep_input=True)
    names = json.loads(str(asked.config[NAMES]))
    arrays = [np.asarray(array, np.float32) for array in parameters_to_ndarrays(asked.parameters)]
    return int(asked.config[ROUND]), dict(zip(names, arrays, strict=True))


def answer_of(change: Weights, cases: int) -> RecordDict:
    """Return what a site's mod masks before it leaves the site."""
    arrays = [np.asarray(change[name]) for name in sorted(change)]
    status = Status(Code.OK, "")
    return compat.fitres_to_recorddict(
        FitRes(status, ndarrays_to_parameters(arrays), cases, {}), keep_input=True
    )
