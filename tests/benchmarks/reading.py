"""Seconds and memory of reading 200 slices of 512 x 512, beside SimpleITK's reader of series.

python -m tests.benchmarks.reading [FOLDER]

Without a folder a series is made. Each run is a process of its own, the two readers in turn.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom

from tests.hostile.make import dicom_slices

SLICES, SIZE, RUNS = 200, 512, 3
OURS = """
import resource, sys, time
from pathlib import Path
import numpy
from segment.reading import read_dicom_series
from segment.reading import dicom  # its packages are loaded before the clock starts, as theirs are
files = sorted(Path(sys.argv[1]).iterdir())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
array = read_dicom_series(files).array
"""
THEIRS = """
import resource, sys, time
import SimpleITK as sitk
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
reader.SetOutputPixelType(sitk.sitkFloat32)
array = sitk.GetArrayViewFromImage(reader.Execute())
"""
REPORT = """
took = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_SELF)
children = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = sum(u.ru_utime + u.ru_stime for u in (used, children))
print(took, cpu, (used.ru_maxrss - before) * 1024 / array.size / 4, children.ru_maxrss / 1024)
"""


def made(folder: Path) -> Path:
    """Write a series whose pixels are noise of 12 bits."""
    dicom_slices(folder, count=SLICES, shape=(16, 16))
    pixels = np.random.default_rng(0).integers(0, 4096, (SIZE, SIZE)).astype("<u2")
    for index, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        data.Rows = data.Columns = SIZE
        data.PixelData = np.roll(pixels, index).tobytes()
        data.save_as(path)
    return folder


def measured(code: str, folder: Path) -> list[float]:
    """Run a reader; return wall seconds, CPU seconds, its share of memory, its child's in MB."""
    command = [sys.executable, "-c", code + REPORT, str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(number) for number in said.split()]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else made(Path(temporary) / "series")
        runs: dict[str, list[list[float]]] = {"voxcite": [], "SimpleITK": []}
        for _ in range(RUNS):
            runs["voxcite"].append(measured(OURS, folder))
            runs["SimpleITK"].append(measured(THEIRS, folder))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, best of {RUNS}\n")
    print("| reader | seconds | CPU seconds | memory, of the voxels as float32 | child, MB |")
    print("|---|---|---|---|---|")
    best = {name: np.min(found, axis=0) for name, found in runs.items()}
    for name, (took, cpu, share, child) in best.items():
        print(f"| {name} | {took:.2f} | {cpu:.2f} | {share:.2f} | {child:.0f} |")
    wall, cpu = best["voxcite"][:2] / best["SimpleITK"][:2]
    print(f"\nvoxcite takes {wall:.2f} of SimpleITK's seconds, {cpu:.2f} of its CPU seconds")


if __name__ == "__main__":
    main()
