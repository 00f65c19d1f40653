"""Studies for batches and the recipes that draft them: real files, parts without weights.

Recipes are functions of a module, since a batch sends them to its workers by name.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel

import prompts
from assistant import Assistant, exams, writers
from assistant.loading import Loading
from assistant.writers import drain
from assistant.writers.template import Template
from segment import organs
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid

DEADLY = 5000.0  # an intensity that ends the process that segments it
WAITS = 1500.0  # an intensity that has whoever segments it wait for a word
MARKS, PATIENCE_S = "VOXCITE_TEST_MARKS", "VOXCITE_TEST_PATIENCE_S"  # of the environment
BEGAN, DIED, TOLD = "began", "died", "told"  # files in the folder of MARKS


def toy(settings):
    """An assistant whose segmenter needs no weights."""
    return assistant_of(settings, ThresholdSegmenter())


def mortal(settings):
    """An assistant that dies of some scans."""
    return assistant_of(settings, MortalSegmenter())


def mortal_once(settings):
    """An assistant that dies of some scans once, and of some waits for a word."""
    return assistant_of(settings, StagedSegmenter(is_mortal=True))


def telling(settings):
    """An assistant that waits with some scans until somebody segments a second one."""
    return assistant_of(settings, StagedSegmenter(tells=True))


def broken(settings):
    """An assistant whose segmenter has a fault."""
    return assistant_of(settings, BrokenSegmenter())


def together(settings):
    """An assistant whose writer writes several texts at once."""
    return replace(toy(settings), writer=Together())


def mortal_together(settings):
    """An assistant that dies of some scans, and whose writer writes several texts at once."""
    return replace(mortal(settings), writer=Together())


def assistant_of(settings, segmenter):
    exam = exams.load(settings.exam)
    return Assistant(
        settings=settings,
        exam=exam,
        organs=tuple(map(organs.load, exam.organs)),
        loading=Loading.of(segmenter),
        calibrated=calibrated(),
        writer=writers.load(settings.writer or "template"),
        phrasebook=prompts.load(settings.language),
    )


@dataclass(eq=False)
class Together:
    """Writes the template's texts several at once, and may break after some; keeps their counts."""

    breaks_after: int = 99
    counts: list = field(default_factory=list)

    def write(self, brief):
        return Template().write(brief)

    def write_many(self, briefs, at_once) -> Iterator:
        self.counts.append(at_once)
        for place, brief in enumerate(briefs):
            if place == self.breaks_after:
                raise RuntimeError("/home/Quetzal")
            yield place, drain(self.write(brief))


@dataclass(eq=False)
class MortalSegmenter(ThresholdSegmenter):
    """Kills its process, as a machine without memory does, where a scan says so."""

    def __call__(self, boxes):
        if any(box.array.max() >= DEADLY for box in boxes):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(boxes)


@dataclass(eq=False)
class StagedSegmenter(ThresholdSegmenter):
    """Dies of a scan the first time, waits with another for a word, or gives that word."""

    is_mortal: bool = False
    tells: bool = False

    def __call__(self, boxes):
        marks = Path(os.environ[MARKS])
        brightest = max(box.array.max() for box in boxes)
        patience_s = float(os.environ[PATIENCE_S])
        if self.is_mortal and brightest >= DEADLY and not (marks / DIED).exists():
            (marks / DIED).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if WAITS <= brightest < DEADLY:
            (marks / BEGAN).touch()
            wait_until((marks / TOLD).exists, patience_s)
        elif self.tells:
            wait_until((marks / BEGAN).exists, patience_s)
            if self.seen:
                (marks / TOLD).touch()
        return super().__call__(boxes)


def wait_until(holds, patience_s):
    """Wait until something holds; raises RuntimeError where it does not in time."""
    until = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > until:
            msg = "it did not come to hold in time"
            raise RuntimeError(msg)
        time.sleep(0.02)


@dataclass(eq=False)
class BrokenSegmenter(ThresholdSegmenter):
    """Fails with words that quote the scan."""

    def __call__(self, boxes):
        raise KeyError("/home/Quetzal/scan.nii.gz")


def crop(path: Path, radius_mm=6.0, brightest=None):
    """Write a ball in the box around one side, ``brightest`` in one of its voxels."""
    phantom = ball(grid((1.5, 1.5, 1.5), field_mm=24.0), radius_mm)
    array = phantom.volume.array.copy()
    if brightest is not None:
        array[tuple(n // 2 for n in array.shape)] = brightest
    return written(path, array, phantom.geometry.affine)


def crops(folder: Path, count, radius_mm=6.0):
    """Write a folder of studies."""
    folder.mkdir(parents=True, exist_ok=True)
    return [crop(folder / f"s{n:04}.nii.gz", radius_mm) for n in range(1, count + 1)]


def written(path, array, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path
