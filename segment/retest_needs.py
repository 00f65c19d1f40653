"""What repeats of scans need before any is segmented: enough of them, and every file.

Knows nothing of what is found in a repeat; those that are withheld may still leave too few.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from segment.calibration import THICKNESSES
from segment.errors import Refusal, ScanError
from segment.quantiles import cases_needed
from segment.reading.source import file_bytes
from segment.volume import Volume

NOMINAL = 0.9  # the coverage that the correlation of errors is fitted to
RATIOS = (0.95, 1.05)  # of a deformed structure to itself
FEWEST_REPEATS = 2
FEWEST_SUBJECTS = cases_needed(NOMINAL)  # of real visits: sides of one head are no two subjects
OFF_MM = 0.1  # how far a slice may be thicker than one that crops are made of


def check_counts(cases: int, repeats: tuple[int, int]) -> None:
    """Refuse repeats that cannot be compared, and too few crops; raises ValueError.

    ``repeats`` are those of each crop at 1 mm and at each thicker slice. A crop gives one
    difference less than it has repeats, and one for each change that it is deformed by.
    """
    for option, count in zip(("--repeats", "--thick-repeats"), repeats, strict=True):
        check_repeats(option, count)
    pairs = min(*(count - 1 for count in repeats), len(RATIOS))
    needed = math.ceil(cases_needed(NOMINAL) / pairs)
    if cases < needed:
        first, thick = repeats
        msg = (
            f"the held-out crops: expected at least {needed} with --repeats {first} and"
            f" --thick-repeats {thick}, found {cases}; name more under val of the split"
        )
        more = ", or ask for more repeats" if pairs < len(RATIOS) else ""
        raise ValueError(msg + more)


def check_repeats(option: str, count: int) -> None:
    """Refuse a number of repeats of which none can be compared; raises ValueError."""
    if count < FEWEST_REPEATS:
        msg = f"{option}: expected at least {FEWEST_REPEATS}, as repeats are compared, found"
        raise ValueError(f"{msg} {count}; ask for more")


def check_files(folders: Sequence[Path], names: Sequence[str]) -> None:
    """Refuse a case of which a file is missing or none; raises ScanError."""
    for folder in folders:
        for name in names:
            file_bytes(folder / name)


def thickness_of(head: Volume) -> int:
    """Return the slice thickness in mm that a head is counted to; raises ScanError."""
    thick_mm = max(head.geometry.spacing_mm)
    for thickness in THICKNESSES:
        if thickness >= thick_mm - OFF_MM:
            return thickness
    msg = f"the head: expected voxels of at most {THICKNESSES[-1]} mm, found {thick_mm:.3g} mm"
    raise ScanError(Refusal.TOO_COARSE, f"{msg}; give one with thinner slices")


def check_differences(counts: Mapping[str, int]) -> None:
    """Refuse too few differences between reportable repeats of any kind; raises ValueError."""
    needed = cases_needed(NOMINAL)
    for kind, count in counts.items():
        if count < needed:
            msg = f"expected at least {needed} differences between {kind} repeats that are not"
            raise ValueError(f"{msg} withheld, found {count}; give more scans or ask for more")
