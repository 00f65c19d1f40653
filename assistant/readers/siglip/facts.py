"""The facts that are read from a picture, and their values. Knows nothing of pictures."""

from collections.abc import Mapping

KINDS = (
    "mr_t1",
    "mr_t1_contrast",
    "mr_t2",
    "mr_flair",
    "mr_diffusion",
    "mr_epi",
    "ct",
)
PARTS = ("head", "hippocampus", "trunk", "phantom")
PLANES = ("axial", "coronal", "sagittal")
# Each fact has exactly one value a picture, in this order.
FACTS: Mapping[str, tuple[str, ...]] = {"kind": KINDS, "part": PARTS, "plane": PLANES}
# Faults of a picture, each of which it may have or not.
ARTEFACTS = ("motion", "noise", "low_resolution", "bias_field", "clipping")
NONE = "none"  # of the artefacts; and the plane of what looks alike in every plane
UNKNOWN = -1  # the place of a value that a picture does not have, or that nobody could see


def place_of(fact: str, value: str, part: str) -> int:
    """Return a value's place in its fact; a phantom shows of no fact but its own."""
    if part == "phantom" and fact != "part":
        return UNKNOWN
    values = FACTS[fact]
    return values.index(value) if value in values else UNKNOWN
