"""How long a full set of exports takes, as one command, on a real head of 120 slices of 512 x 512.

    python -m tests.benchmarks.exporting

The report is that of a fixed ledger, fitted to the series with labels that nobody drew, beside two
pictures of noise: what takes time is the size of the grid. The best of some
runs; the process starts anew in each.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from assistant import exports
from assistant.report import report_bytes
from tests.exported import MADE
from tests.shared_data import shared_data
from tests.sources import fitted
from tests.test_report import drafted

SERIES = "mr_t1_whole_head_120slices"
RUNS = 3
PICTURE = (800, 1200, 3)


def seconds(folder: Path, scan: Path, names: str) -> float:
    """Export once and return the time on the clock."""
    voxcite = Path(sys.executable).parent / "voxcite"
    command = [voxcite, "export", folder / "report.json", "--to", names, "--source", scan]
    start = time.perf_counter()
    subprocess.run(
        [*map(str, command), "-o", str(folder / "out")], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> None:
    """Export all at once, then one after the other, and print."""
    scan = shared_data("dicom", SERIES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        report, _ = fitted(drafted(), scan, folder / "segmentation.nii.gz")
        (folder / "report.json").write_bytes(report_bytes(report, MADE))
        for side in ("left", "right"):
            noise = np.random.default_rng(0).integers(0, 256, PICTURE, dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"overlay_hippocampus_{side}.png")
        every = ",".join(exports.available())
        print(f"| export | seconds, best of {RUNS} |\n|---|---|")
        for names in (every, *exports.available()):
            best = min(seconds(folder, scan, names) for _ in range(RUNS))
            print(f"| {'all of them' if names == every else names} | {best:.1f} |")


if __name__ == "__main__":
    main()
