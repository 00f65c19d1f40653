"""The server's last question: how wrong is what all learnt, on cases that each site held out?

Sites answer in counts alone. Knows nothing of networks, of scans, or of how messages travel.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segment.federated.greeting import Greeting
from segment.federated.plan import SEGMENTER, FederationPlan, sha256_of
from segment.federated.rounds import FINAL, read_weights
from segment.federated.scores import Scores, organ_of, together
from segment.federated.server import Roll, Sites, gather
from segment.federated.updates import LeftOut, Weights, rounded
from segment.organs import Organ
from segment.resume import replacing

SCORES = "scores.json"
MOST_OF_A_SITE = 10_000  # subjects: more would not fit into the memory of whoever reads them


@dataclass(frozen=True)
class Told:
    """What a site counted, or why it counted nothing."""

    site: str
    scores: Scores | None
    reason: str = ""

    @property
    def n(self) -> int:
        """How many held-out subjects it scored."""
        return 0 if self.scores is None else self.scores.n


@dataclass(frozen=True)
class Gathered:
    """What sites told of one set of weights."""

    weights_sha256: str
    sites: tuple[Told, ...]

    @classmethod
    def read(cls, path: Path, organ: Organ) -> "Gathered":
        """Read what ``write`` wrote; raises ValueError for anything else."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            sites = []
            for one in table["sites"]:
                scores = Scores.from_table(one["levels"], organ) if one["levels"] else None
                sites.append(Told(one["site"], scores, one["reason"]))
            return cls(table["weights_sha256"], tuple(sites))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            msg = f"{path.name}: expected the scores of a federation, found something else"
            raise ValueError(f"{msg}; run the federation's last command again") from error

    def write(self, path: Path) -> None:
        """Write each site's counts, or its reason."""
        sites = [
            {
                "site": one.site,
                "n": one.n,
                "reason": one.reason,
                "levels": {} if one.scores is None else one.scores.table(),
            }
            for one in self.sites
        ]
        table = {"weights_sha256": self.weights_sha256, "sites": sites}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(table) + "\n", encoding="utf-8")

    @property
    def scores(self) -> Scores | None:
        """The counts of all sites together; None where no site has any."""
        found = [one.scores for one in self.sites if one.scores is not None]
        return together(found) if found else None


def gather_scores(plan_file: Path, folder: Path, sites: Sites) -> Gathered | None:
    """Ask every site for its scores of the final weights, and write them beside these.

    A site that told its own before is not asked again, and its counts stay. Returns None for the
    writer, which measures nothing. Raises StoppedError where too few sites are left, and ValueError
    for a plan whose structures are no organ's here.
    """
    plan = FederationPlan.read(plan_file)
    if plan.part != SEGMENTER:
        return None
    organ = organ_of(plan.training["structures"][1:])
    before = _kept(folder, organ)
    own = Greeting.of("server", sha256_of(plan_file), 0, plan.part)
    roll = gather(sites, {}, own, plan, plan.least_sites)
    has_told = {one.site for one in before.sites}
    asked = {node: g.site for node, g in roll.members.items() if g.site not in has_told}
    weights = rounded(read_weights(folder / FINAL), plan.sent)
    told = _ask(sites, asked, weights, plan, organ) if asked else ()
    refused = tuple(Told(left.site, None, left.reason) for left in _unheard(roll, has_told))
    gathered = Gathered(before.weights_sha256, (*before.sites, *told, *refused))
    gathered.write(folder / SCORES)
    return gathered


def _kept(folder: Path, organ: Organ) -> Gathered:
    """Return what sites told before of the final weights; a file that cannot be read is none."""
    weights_sha256 = hashlib.sha256((folder / FINAL).read_bytes()).hexdigest()
    none = Gathered(weights_sha256, ())
    if not (folder / SCORES).exists():
        return none
    try:
        found = Gathered.read(folder / SCORES, organ)
    except ValueError:
        return none
    if found.weights_sha256 != weights_sha256:
        return none
    return Gathered(weights_sha256, tuple(one for one in found.sites if one.scores is not None))


def _ask(
    sites: Sites, asked: Mapping[int, str], weights: Weights, plan: FederationPlan, organ: Organ
) -> tuple[Told, ...]:
    """Let sites, by their node, judge the weights."""
    replies = sites.score(tuple(asked), weights, plan.round_s)
    told = []
    for node, site in asked.items():
        try:
            reply = replies.get(node, f"no answer within {plan.round_s:g} s")
            told.append(Told(site, _of_one_site(reply, organ)))
        except ValueError as error:
            told.append(Told(site, None, str(error)))
    return tuple(told)


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


def _unheard(roll: Roll, has_told: set[str]) -> Sequence[LeftOut]:
    """List who may not take part, and has not told before."""
    return [left for left in roll.refused if left.site not in has_told]
