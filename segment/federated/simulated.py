"""Many sites of one federation in one process: the same rounds and files, and nothing is sent.

Knows nothing of networks or of scans: how a site greets and learns is passed in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segment.errors import without_folders
from segment.federated.greeting import Greeting
from segment.federated.plan import FederationPlan
from segment.federated.scores import Scores
from segment.federated.server import Reply
from segment.federated.site import Site
from segment.federated.together import Together, mean_change
from segment.federated.updates import Weights, rounded


@dataclass(frozen=True)
class SimulatedSites:
    """Sites by the files of their settings; one learns after the other, however long it takes.

    ``greet_one`` says who a site is; ``learn_one`` trains it one round, between the files of that
    round; ``score_one`` judges on its held-out cases the weights that lie there.
    """

    files: Sequence[Path]
    greet_one: Callable[[Site], Greeting]
    learn_one: Callable[[Site, int], object]
    score_one: Callable[[Site], Scores]

    def present(self) -> Sequence[int]:
        """Number the sites in the order of their files."""
        return range(len(self.files))

    def greet(self, nodes: Sequence[int], wait_s: float) -> Mapping[int, Greeting | str]:
        """Ask sites who they are; a reason stands for one whose settings cannot be used."""
        del wait_s
        return {node: self._greeting(node) for node in nodes}

    def learn(
        self, nodes: Sequence[int], number: int, weights: Weights, wait_s: float
    ) -> Mapping[int, Reply]:
        """Train each site in turn; one that fails says why, since all is of one machine."""
        del wait_s
        return {node: self._learnt(node, number, weights) for node in nodes}

    def learn_together(
        self, cases: Mapping[int, int], number: int, weights: Weights, plan: FederationPlan
    ) -> Together:
        """Train each site in turn and add up; here nothing has to be hidden."""
        replies = self.learn(tuple(cases), number, weights, plan.round_s)
        learnt = {node: reply.weights for node, reply in replies.items() if reply.weights}
        return mean_change(learnt, cases, weights)

    def score(
        self, nodes: Sequence[int], weights: Weights, wait_s: float
    ) -> Mapping[int, Mapping[str, Any] | str]:
        """Let each site judge the weights in turn; one that fails says why."""
        del wait_s
        return {node: self._scored(node, weights) for node in nodes}

    def _scored(self, node: int, weights: Weights) -> Mapping[str, Any] | str:
        try:
            site = Site.read(self.files[node])
            site.keep_final(weights)
            return self.score_one(site).table()
        except OSError as error:
            return without_folders(error)
        except ValueError as error:
            return str(error)

    def _greeting(self, node: int) -> Greeting | str:
        try:
            return self.greet_one(Site.read(self.files[node]))
        except OSError as error:
            return without_folders(error)
        except ValueError as error:
            return str(error)

    def _learnt(self, node: int, number: int, weights: Weights) -> Reply:
        site = Site.read(self.files[node])
        try:
            learnt = site.learnt(number, weights, lambda: self.learn_one(site, number))
            return Reply(rounded(learnt, FederationPlan.read(site.plan).sent))
        except OSError as error:
            return Reply(None, without_folders(error))
        except ValueError as error:
            return Reply(None, str(error))
