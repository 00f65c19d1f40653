"""The server's last question: how wrong is what all learnt, on cases that each site held out?

Sites answer in counts alone. Knows nothing of networks, of scans, or of how messages travel.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segment.federated.greeting import Greeting
from segment.federated.plan import SEGMENTER, FederationPlan, sha256_of
from segment.federated.rounds import FINAL, read_weights
from segment.federated.scores import Scores, organ_of, together
from segment.federated.server import Sites, gather
from segment.federated.updates import rounded
from segment.organs import Organ
from segment.resume import replacing

SCORES = "scores.json"
MOST_OF_A_SITE = 10_000  # subjects: one that claims more would drown the others, or the memory


@dataclass(frozen=True)
class Told:
    """How many held-out subjects a site scored, or why it scored none."""

    site: str
    n: int
    reason: str = ""


@dataclass(frozen=True)
class Gathered:
    """What all sites told of one set of weights; ``scores`` are None where nobody scored any."""

    weights_sha256: str
    sites: tuple[Told, ...]
    scores: Scores | None

    @classmethod
    def read(cls, path: Path, plan: FederationPlan) -> "Gathered":
        """Read what ``write`` wrote; raises ValueError for anything else."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            sites = tuple(Told(**site) for site in table["sites"])
            levels = table["levels"]
            organ = organ_of(plan.training["structures"][1:])
            scores = Scores.from_table(levels, organ) if levels else None
            return cls(table["weights_sha256"], sites, scores)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{path.name}: expected the scores of a federation, found something else"
            raise ValueError(f"{msg}; let the federation write it anew") from error

    def write(self, path: Path) -> None:
        """Write the counts of all sites together, and how many subjects each scored."""
        table = {
            "weights_sha256": self.weights_sha256,
            "sites": [asdict(site) for site in self.sites],
            "levels": {} if self.scores is None else self.scores.table(),
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(table) + "\n", encoding="utf-8")


def gather_scores(plan_file: Path, folder: Path, sites: Sites) -> Gathered | None:
    """Ask every site for its scores of the final weights, and write their sum beside these.

    What was gathered before is not asked for again. Returns None for the writer, which measures
    nothing. Raises StoppedError where too few sites are left, and ValueError where a federation
    has not ended.
    """
    plan = FederationPlan.read(plan_file)
    if plan.part != SEGMENTER:
        return None
    weights_sha256 = hashlib.sha256((folder / FINAL).read_bytes()).hexdigest()
    if (folder / SCORES).exists():
        before = Gathered.read(folder / SCORES, plan)
        if before.scores is not None and before.weights_sha256 == weights_sha256:
            return before
    organ = organ_of(plan.training["structures"][1:])
    own = Greeting.of("server", sha256_of(plan_file), 0, plan.part)
    roll = gather(sites, {}, own, plan, plan.least_sites)
    weights = rounded(read_weights(folder / FINAL), plan.sent)
    replies = sites.score(tuple(roll.members), weights, plan.round_s)
    told, found = [Told(left.site, 0, left.reason) for left in roll.refused], []
    for node, member in roll.members.items():
        reply = replies.get(node, f"no answer within {plan.round_s:g} s")
        try:
            scores = _of_one_site(reply, organ)
        except ValueError as error:
            told.append(Told(member.site, 0, str(error)))
        else:
            told.append(Told(member.site, scores.n))
            found.append(scores)
    gathered = Gathered(weights_sha256, tuple(told), together(found) if found else None)
    gathered.write(folder / SCORES)
    return gathered


def _of_one_site(reply: Mapping[str, Any] | str, organ: Organ) -> Scores:
    """Return the counts of a reply; raises ValueError with the reason for what is none."""
    if isinstance(reply, str):
        raise ValueError(reply)
    scores = Scores.from_table(reply, organ)
    most = max(one.n for level in scores.levels.values() for one in level.values())
    if most > MOST_OF_A_SITE:
        msg = f"expected {MOST_OF_A_SITE} subjects at the most, found {most}"
        raise ValueError(f"{msg}; hold fewer out")
    return scores
