"""How wrong the final networks are on a site's own held-out cases. Knows nothing of Flower."""

from collections.abc import Sequence

from segment.calibration import THICKNESSES
from segment.crossfit import Case, Fold, judge, one_a_subject, score
from segment.federated.plan import FederationPlan
from segment.federated.scores import FARTHEST, FLOOR, Scores, organ_of
from segment.federated.site import Site
from segment.federated.sketch import Sketch, sketch
from segment.federated.training import training_of
from segment.models.training.local import ensemble_of
from segment.models.training.plan import read_split, subject_of


def score_held_out(site: Site) -> Scores:
    """Judge the weights that were sent on one side of each subject under ``val``, in bins.

    Raises ValueError where the site held none out, and for weights of another network.
    """
    plan = training_of(FederationPlan.read(site.plan))
    held_out = tuple(read_split(site.data / plan.split)["val"])
    if not held_out:
        msg = f"{plan.split}: expected cases under val, found none; hold some out and train anew"
        raise ValueError(msg)
    if seen := {subject_of(case) for case in held_out} & {subject_of(c) for c in site.trained()}:
        msg = f"{plan.split}: expected subjects under val that no round trained on, found"
        raise ValueError(f"{msg} {len(seen)} others; hold them out and train anew")
    organ = organ_of(plan.structures[1:])
    fold = Fold(0, ensemble_of(plan, [site.final]), held_out)
    cases = [
        found
        for thickness in THICKNESSES
        for case in held_out
        for found in judge(fold, plan, organ, site.data, case, thickness)
    ]
    return in_bins(one_a_subject(cases))


def in_bins(cases: Sequence[Case]) -> Scores:
    """Count the scores of judged cases in bins.

    Where neither the expert nor the network drew anything there is none; where the network alone
    did, no interval is wide enough.
    """
    names = dict.fromkeys(case.structure for case in cases)
    levels = {
        str(thickness): {name: _sketch(cases, thickness, name) for name in names}
        for thickness in THICKNESSES
    }
    return Scores(levels)


def _sketch(cases: Sequence[Case], thickness: int, name: str) -> Sketch:
    mine = [case for case in cases if (case.thickness_mm, case.structure) == (thickness, name)]
    drawn = [case for case in mine if case.true_ml > 0 or case.value_ml > 0]
    return sketch([score(case, FLOOR) if case.true_ml > 0 else -FARTHEST for case in drawn])
