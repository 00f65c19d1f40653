"""How sure an ensemble is of each structure: three numbers beside its volume. Knows no report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from segment.calibration import spread
from segment.infer import Found, Side
from segment.measure import agreement, member_volumes_ml
from segment.organs import Organ
from segment.predicted_dice import DiceCurve


@dataclass(frozen=True)
class Certainty:
    """One structure of one side.

    ``volume_cv`` is the members' standard deviation over their mean volume and ``pairwise_dice``
    the mean Dice of pairs of them, both None of one member. ``predicted_dice`` is the overlap with
    an expert's tracing that such an agreement went with, off by ``predicted_dice_error`` on
    average; None where no curve was fitted for these members.
    """

    side: str
    structure: str
    members: int
    volume_cv: float | None
    pairwise_dice: float | None
    predicted_dice: float | None
    predicted_dice_error: float | None

    def to_dict(self) -> dict[str, str | int | float | None]:
        """Return the fields as JSON takes them."""
        return asdict(self)


def certainty(
    sides: Sequence[Side],
    organ: Organ,
    structures: Sequence[str],
    curves: Mapping[str, DiceCurve],
) -> tuple[Certainty, ...]:
    """Say of each structure of each side that was found how sure the members are."""
    return tuple(
        _of(side, organ, name, curves.get(name))
        for side in sides
        if isinstance(side, Found)
        for name in structures
    )


def _of(found: Found, organ: Organ, name: str, curve: DiceCurve | None) -> Certainty:
    structure = organ.structure(name)
    volumes = member_volumes_ml(found.segmentation, structure)
    agreed = agreement(found.segmentation, structure)
    is_several = len(volumes) > 1
    is_known = curve is not None and is_several and max(volumes) > 0
    return Certainty(
        side=found.side,
        structure=name,
        members=len(volumes),
        volume_cv=spread(volumes, 0.0) if is_several else None,
        pairwise_dice=agreed if is_several else None,
        predicted_dice=curve(agreed) if curve is not None and is_known else None,
        predicted_dice_error=curve.error if curve is not None and is_known else None,
    )
