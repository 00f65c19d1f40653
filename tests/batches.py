"""Studies for batches and the recipes that draft them: real files, parts without weights.

Recipes are functions of a module, since a batch sends them to its workers by name.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import nibabel

import prompts
from assistant import Assistant, exams, writers
from assistant.loading import Loading
from segment import organs
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid

DEADLY = 5000.0  # an intensity that ends the process that segments it


def toy(settings):
    """An assistant whose segmenter needs no weights."""
    return assistant_of(settings, ThresholdSegmenter())


def mortal(settings):
    """An assistant that dies of some scans."""
    return assistant_of(settings, MortalSegmenter())


def broken(settings):
    """An assistant whose segmenter has a fault."""
    return assistant_of(settings, BrokenSegmenter())


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
class MortalSegmenter(ThresholdSegmenter):
    """Kills its process, as a machine without memory does, where a scan says so."""

    def __call__(self, boxes):
        if any(box.array.max() >= DEADLY for box in boxes):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(boxes)


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
