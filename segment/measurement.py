"""One number of one structure, with everything that makes it a measurement.

Knows nothing of how it was counted, of languages or of reports.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from segment.segmentation import Side

Basis = Literal["predicted", "entered", "derived", "outlined"]
EARLIER = "earlier volume"  # the quantity of a volume that was measured in an earlier examination
EARLIER_LOAD = "earlier lesion volume"  # the same of all lesions together
PIECES = "{lesions}"  # UCUM: the unit of a count, with what is counted as its annotation
OUTLINE = "outline half a voxel off"  # the calibration of bounds that no case was held against


class Reliability(StrEnum):
    """Whether a number may stand in a sentence: alone, only said to have no interval, or not."""

    REPORTABLE = "reportable"
    WITHOUT_INTERVAL = "without interval"
    NOT_RELIABLE = "not reliable"
    NOT_ASSESSED = "not assessed"


class Reason(StrEnum):
    """Why a number may not stand in a sentence, or not without these words beside it."""

    REGISTRATION_UNTRUSTED = "registration-untrusted"
    ORIENTATION_IMPLAUSIBLE = "orientation-implausible"
    OUTSIDE_FIELD = "outside-field"
    TRUNCATED = "truncated"
    MEMBERS_DISAGREE = "members-disagree"
    IMPLAUSIBLE_VOLUME = "implausible-volume"
    MISPLACED = "misplaced"
    EMPTY = "empty"
    INTERVAL_TOO_WIDE = "interval-too-wide"
    OUTSIDE_CALIBRATION = "outside-calibration"
    BLANK_SLICES = "blank-slices"
    FRAGMENTED = "fragmented"
    DEPENDS_ON_UNRELIABLE = "depends-on-unreliable"
    NO_INTERVAL = "no-interval"
    NO_VOXELS = "no-voxels"
    NOT_LABELLED = "not-labelled"
    NOT_HOUNSFIELD = "not-hounsfield"
    NOT_ALIGNED = "not-aligned"
    OTHER_SIZE = "other-size"
    OTHER_RESOLUTION = "other-resolution"
    OTHER_PROTOCOL = "other-protocol"
    DATES_UNKNOWN = "dates-unknown"
    DATES_TOO_CLOSE = "dates-too-close"
    OUTLINE_LEAKS = "outline-leaks"
    HOTTER_NEIGHBOUR = "hotter-neighbour"


@dataclass(frozen=True)
class Interval:
    """Bounds calibrated to hold the expert's value in the share ``coverage`` of cases.

    Bounds that a person stated, or that follow from such, are no prediction, and neither are those
    of an outline that may be half a voxel off: ``coverage`` is None.
    """

    lower: float
    upper: float
    coverage: float | None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            msg = f"an interval has finite bounds, not {self.lower} to {self.upper}"
            raise ValueError(msg)
        is_share = self.coverage is None or 0 < self.coverage < 1
        if not self.lower <= self.upper or not is_share:
            msg = f"not an interval: {self.lower} to {self.upper} at coverage {self.coverage}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Calibration:
    """Which calibration an interval comes from, and on how many cases."""

    id: str
    n: int


@dataclass(frozen=True)
class Reference:
    """The central ``coverage`` of a quantity among ``n`` cases of a stated source.

    ``scope`` says in one phrasebook key whom it describes and what it must not be taken for.
    """

    lower: float
    upper: float
    coverage: float
    n: int
    source: str
    scope: str


@dataclass(frozen=True)
class Measurement:
    """A value with unit, interval and origin; without them it is not a measurement.

    ``value`` is absent exactly when the structure was not assessed. ``interval`` is absent then as
    well, and where nothing says how far the value may be from the truth: such a record is
    *without interval*, has that for its reason, and is compared with nothing. ``unit`` is
    UCUM (``mL``, ``%``), ``code`` is SNOMED CT, ``denominator`` says in words what a ratio is of,
    ``mask_sha256`` is the hash of the counted mask and ``voxels`` how many it holds;
    ``expression`` is set on a value derived from other records, over their ids. ``comparator`` is
    the date of the examination that a change is counted from, or says that it is not known.
    """

    id: str
    structure: str
    code: str
    side: Side
    quantity: str
    unit: str
    value: float | None
    interval: Interval | None
    reliability: Reliability
    reason: Reason | None
    method: str
    denominator: str | None = None
    comparator: str | None = None
    date: str | None = None
    calibration: Calibration | None = None
    mask_sha256: str | None = None
    voxels: int | None = None
    voxel_volume_mm3: float | None = None
    expression: str | None = None
    reference: Reference | None = None

    @property
    def basis(self) -> Basis | None:
        """What the bounds rest on: a prediction, an outline, a person, or what a person entered."""
        if self.interval is None:
            return None
        if self.interval.coverage is not None:
            return "predicted"
        if self.calibration is not None:
            return "outlined"
        return "entered" if self.expression is None else "derived"

    def __post_init__(self) -> None:
        label = f"{self.id} ({self.side} {self.structure} {self.quantity})"
        if (self.reliability is Reliability.REPORTABLE) != (self.reason is None):
            msg = f"{label}: a reason stands exactly when the value may not be reported"
            raise ValueError(msg)
        if self.reliability is Reliability.NOT_ASSESSED:
            if self.value is not None or self.interval is not None:
                msg = f"{label} was not assessed and yet holds a value"
                raise ValueError(msg)
            return
        if self.value is None or not math.isfinite(self.value):
            msg = f"{label} holds no finite value and is not marked as not assessed"
            raise ValueError(msg)
        if self.reliability is Reliability.REPORTABLE and self.interval is None:
            msg = f"{label} is reportable without an interval"
            raise ValueError(msg)
        self._check_alone(label)
        if self.interval and not self.interval.lower <= self.value <= self.interval.upper:
            msg = f"{label}: {self.value} lies outside its own interval {self.interval}"
            raise ValueError(msg)
        if self.unit == "%" and self.denominator is None:
            msg = f"{label} is a ratio without a denominator"
            raise ValueError(msg)

    def _check_alone(self, label: str) -> None:
        """Hold a record without an interval to having nothing that one would rest on."""
        is_alone = self.reliability is Reliability.WITHOUT_INTERVAL
        if is_alone != (self.reason is Reason.NO_INTERVAL):
            msg = f"{label} is {self.reliability} and has the reason {self.reason}"
            raise ValueError(msg)
        if is_alone and (self.interval, self.calibration, self.reference) != (None, None, None):
            msg = f"{label} is without interval and yet holds an interval or what rests on one"
            raise ValueError(msg)

    @property
    def is_withheld(self) -> bool:
        """Whether no sentence may state its value."""
        return self.reliability in (Reliability.NOT_RELIABLE, Reliability.NOT_ASSESSED)

    @property
    def is_of_comparison(self) -> bool:
        """Whether this is of an earlier examination, or compares with one."""
        return self.comparator is not None or self.quantity in (EARLIER, EARLIER_LOAD)
