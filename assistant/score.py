"""What a reader says of one finding: a probability, and which calibration makes it one.

A finding is named by its fact and its value: ``kind.mr_t1``, ``quality.motion``. Knows nothing of
readers, of reports or of what a finding leads to.
"""

import math
from dataclasses import dataclass

UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class Score:
    """The probability of one finding, and which calibration says that it is one.

    ``calibration`` names the calibration, or is the word ``uncalibrated``.
    """

    id: str
    finding: str
    probability: float
    calibration: str
    reader: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.probability) or not 0 <= self.probability <= 1:
            msg = f"score {self.id}: a probability lies between 0 and 1, not {self.probability}"
            raise ValueError(msg)
        if not self.calibration:
            msg = f"score {self.id}: name its calibration, or mark it {UNCALIBRATED!r}"
            raise ValueError(msg)
        if not all((self.id, self.reader, *self.finding.split("."))) or "." not in self.finding:
            msg = (
                f"score {self.id!r}: expected an id, a reader and a finding such as kind.mr_t1,"
                f" found {self.reader!r} and {self.finding!r}"
            )
            raise ValueError(msg)

    @property
    def is_calibrated(self) -> bool:
        """Whether the probability was compared with what held-out pictures showed."""
        return self.calibration != UNCALIBRATED

    @property
    def fact(self) -> str:
        """What the finding is a value of: ``kind`` of ``kind.mr_t1``."""
        return self.finding.partition(".")[0]

    @property
    def value(self) -> str:
        """Which value of its fact was found: ``mr_t1`` of ``kind.mr_t1``."""
        return self.finding.partition(".")[2]


def percent(probability: float) -> str:
    """Write a probability as a whole percentage without its sign; no reader is ever certain.

    What would round to 100 is ``>99`` and what would round to 0 is ``<1``.
    """
    whole = round(probability * 100)
    if whole >= 100:
        return ">99"
    return "<1" if whole <= 0 else str(whole)
