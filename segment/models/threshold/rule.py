"""A threshold of intensity as a segmenter. Knows nothing of networks or of what it marks."""

import hashlib
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from segment.models import Box, describe
from segment.table import filled

BINS = 256  # of the histogram that Otsu's threshold is taken from
Values = Float32[np.ndarray, " voxel"]


@dataclass(frozen=True)
class Otsu:
    """The threshold that parts the values into the two groups that differ most.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms", equation 18.
    """

    def __call__(self, values: Values) -> float:
        """Return the threshold, in the values' own unit; one value alone has nothing above it."""
        if np.ptp(values) == 0:
            return float(values.max())
        counts, edges = np.histogram(values, BINS)
        middles = (edges[:-1] + edges[1:]) / 2
        below, sums = np.cumsum(counts), np.cumsum(counts * middles)
        above = below[-1] - below
        apart = sums[:-1] / below[:-1] - (sums[-1] - sums[:-1]) / np.maximum(above[:-1], 1)
        between = below[:-1].astype(np.float64) * above[:-1] * apart**2
        return float(edges[1 + between.argmax()])


@dataclass(frozen=True)
class Fixed:
    """One threshold for every scan, in the unit of its intensities (HU, uptake)."""

    level: float

    def __call__(self, values: Values) -> float:
        """Return the threshold, whatever the values are."""
        del values
        return self.level


@dataclass(frozen=True)
class ShareOfMaximum:
    """A share of the largest value, as lesions in PET are outlined at 41 % of SUVmax.

    Source: Boellaard et al. 2015, "FDG PET/CT: EANM procedure guidelines for tumour imaging:
    version 2.0".
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            msg = f"a share of the maximum lies between 0 and 1, not at {self.share}; 0.41 is usual"
            raise ValueError(msg)

    def __call__(self, values: Values) -> float:
        """Return the threshold; where no value is above 0 there is no uptake, and nothing above."""
        return max(float(values.max()) * self.share, 0.0)


RULES: dict[str, Callable[..., "Rule"]] = {
    "otsu": Otsu,
    "fixed": Fixed,
    "share_of_maximum": ShareOfMaximum,
}
Rule = Otsu | Fixed | ShareOfMaximum


@dataclass(frozen=True)
class Threshold:
    """Marks what is brighter than a rule's threshold, and is sure of it: it has one member."""

    name: str
    structures: tuple[str, ...]
    rule: Rule
    weights_sha256: str
    seeds: tuple[int, ...] = (0,)
    runtime: str = f"numpy {np.__version__}"

    def __call__(self, boxes: Sequence[Box]) -> list[Float32[np.ndarray, "member structure _ _ _"]]:
        """Mark each box by its own threshold; what lies outside the field is background."""
        return [self._marked(box) for box in boxes]

    def _marked(self, box: Box) -> Float32[np.ndarray, "member structure i j k"]:
        values = box.array[box.inside]
        above = box.inside & (box.array > (self.rule(values) if values.size else np.inf))
        return np.stack([~above, above])[None].astype(np.float32)


def load(name: str, rule: Path | None = None) -> Threshold:
    """Load the shipped rule, or one from a TOML file that says its kind."""
    facts = describe(name)
    if rule is None:
        with as_file(files("segment.models").joinpath(name, facts["weights"])) as path:
            return load(name, path)
    digest = hashlib.sha256(rule.read_bytes()).hexdigest()
    title = f"{facts['name']}-{facts['version']} ({rule.stem})"
    return Threshold(title, tuple(facts["structures"]), read_rule(rule), digest)


def read_rule(path: Path) -> Rule:
    """Read a rule: its kind, and the numbers that this kind has; raises ValueError for others."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path.name}: expected TOML, found {error}; copy a shipped rule and change it"
        raise ValueError(msg) from error
    kind = table.pop("kind", None)
    if kind not in RULES:
        msg = f"{path.name}: expected kind to be one of {', '.join(RULES)}, found {kind!r}"
        raise ValueError(msg)
    return filled(RULES[kind], table, path.name)
