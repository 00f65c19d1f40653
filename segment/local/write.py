"""The folder of a local calibration: weights as they were, intervals, figures and card.

Knows nothing of how it was fitted.
"""

import hashlib
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from segment.calibration import Calibrated
from segment.crossfit import WEIGHTS, Case, write_cases
from segment.local.fit import LocalFigures


def write_local(
    calibrated: Calibrated,
    cases: Sequence[Case],
    figures: Sequence[LocalFigures],
    weights: Path,
    segmenter: str,
    output: Path,
) -> None:
    """Write what ``--weights`` takes; no file in it names a scan or a subject."""
    shutil.copyfile(weights, output / WEIGHTS)
    (output / "calibration.json").write_text(calibrated.to_json(), encoding="utf-8")
    write_cases(output / "cases.csv", cases)
    lines = [str(figure) for figure in figures]
    (output / "figures.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    card = files(__package__).joinpath("card.md").read_text(encoding="utf-8")
    (output / "CARD.md").write_text(
        card.format(
            id=calibrated.id,
            source=calibrated.source,
            segmenter=segmenter,
            coverage=f"{calibrated.coverage:.4g}",
            spacing_mm=f"{calibrated.levels[0].spacing_mm:.3g}",
            figures="\n".join(f"- {line}" for line in lines),
            weights_sha256=hashlib.sha256((output / WEIGHTS).read_bytes()).hexdigest(),
        ),
        encoding="utf-8",
    )
