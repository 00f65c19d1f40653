"""A scan in memory, on its own grid. Knows nothing of files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float32

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry

Modality = Literal["MR", "CT", "PT", "unknown"]


@dataclass(frozen=True, eq=False)
class Volume:
    """Intensities on a grid, in the order in which they were stored.

    ``date`` is the day of the scan as YYYY-MM-DD and ``time`` its time as HH:MM:SS, if known.
    ``facts`` are the series' technical facts that a report may quote (manufacturer, field
    strength, slice thickness ...): never a name, a date of birth or another identifier.
    """

    array: Float32[np.ndarray, "i j k"]
    geometry: Geometry
    sha256: str
    modality: Modality = "unknown"
    sequence: str = "unknown"
    date: str | None = None
    time: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise ScanError(
                Refusal.WRONG_GRID,
                f"the voxels {self.array.shape} do not fill the grid {self.geometry.shape}",
            )
        array = self.array.view()
        array.flags.writeable = False
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
