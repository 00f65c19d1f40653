"""A round of secure aggregation without a network, as ``python -m tests.secure_round SITES DEAD``.

Runs in the environment of Flower: its server's workflow and each site's mod are the real ones, and
messages are handed over. DEAD sites go away once keys are shared. Prints what the server saw.
"""

import json
import sys
from copy import deepcopy

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.common import bytes_to_ndarray
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.supercore.task_identity import TaskIdentity

from segment.federated.flower.masks import RANGE, masked, masks
from segment.federated.flower.secure import answer_of, learn_together, sent_in
from segment.federated.together import change_of

RNG = np.random.default_rng(0)
WEIGHTS = {
    "b": RNG.normal(size=(30, 7)).astype(np.float32),
    "a": RNG.normal(size=5000).astype(np.float32),
}


def context():
    return Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})


class Site:
    """A site that adds a change of its own, through Flower's mod."""

    def __init__(self, node):
        self.node, self.context = node, context()
        self.change = {n: RNG.normal(size=w.shape).astype(np.float32) for n, w in WEIGHTS.items()}

    def answer(self, message):
        def learn(asked, _):
            number, sent = sent_in(asked.content)
            assert number == 3
            learnt = {name: sent[name] + self.change[name] for name in sent}
            return Message(answer_of(change_of(learnt, sent), self.node), reply_to=asked)

        return masked(message, self.context, learn)


class HandedOver:
    """Hands messages to sites, which answer at once or have died."""

    def __init__(self, sites, dead):
        self.sites, self.dead, self.asked, self.masked = sites, dead, 0, {}

    def send_and_receive(self, messages, timeout=None):
        assert timeout == 60
        self.asked += 1
        return [reply for one in messages if (reply := self.reply(one)) is not None]

    def reply(self, message):
        node = message.metadata.dst_node_id
        if self.asked > 2 and node in self.dead:
            return None
        arrived = Message(metadata=message.metadata, content=deepcopy(message.content))
        answered = self.sites[node].answer(arrived)
        held = answered.content.config_records[RECORD_KEY_CONFIGS]
        if Key.MASKED_PARAMETERS in held:
            self.masked[node] = [bytes_to_ndarray(part) for part in held[Key.MASKED_PARAMETERS]]
        return answered


def is_of_whole_secrets():
    """Tell whether secrets that Flower folds into the same 32 bits draw other masks."""
    secret, turned = bytes(range(32)), bytes((*range(4, 32), *range(4)))
    (one,), (other,), (again,) = (masks(s, RANGE, [(9,)]) for s in (secret, turned, secret))
    return bool((one != other).all() and (one == again).all())


def main(count, dead):
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    nodes = list(range(11, 11 + count))
    sites, gone = {node: Site(node) for node in nodes}, set(nodes[:dead])
    grid = HandedOver(sites, gone)
    found = learn_together(grid, context(), {n: n for n in nodes}, 4, 3, WEIGHTS, 60)
    if found.change is None:
        sys.stdout.write(json.dumps({"reason": found.reason}) + "\n")
        return
    inside = [node for node in nodes if node not in gone]
    wanted = np.average([sites[n].change["a"] for n in inside], axis=0, weights=inside)
    sent = grid.masked[inside[0]][1].ravel().astype(float)  # after the weight, in order of names
    seen = abs(np.corrcoef(sent, sites[inside[0]].change["a"])[0, 1])
    told = {
        "found": found.change["a"].tolist(),
        "wanted": wanted.tolist(),
        "inside": sorted(found.nodes),
        "correlation": seen,
        "is_of_whole_secrets": is_of_whole_secrets(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
