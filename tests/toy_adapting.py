"""Scans and requests at toy size, of which a structure is learnt."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import nibabel
import numpy as np

from segment.adapt.plan import AdaptPlan, Request
from segment.adapt.prepare import Warned, prepare

SHIPPED = Path(str(files("segment.adapt").joinpath("adapt.toml")))
PLACE = (-24.0, -22.0, -10.5)
TOY = replace(
    AdaptPlan.read(SHIPPED),
    steps=6,
    fold_steps=6,
    least_epochs=1,
    settling_epochs=0,
    members=2,
    folds=2,
    fold_members=2,
)
SHAPE = (30, 40, 30)


def write(folder, name, image, label, affine=None):
    for kind, array in (("images", image), ("labels", label)):
        (folder / kind).mkdir(exist_ok=True, parents=True)
        picture = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
        picture.header.set_xyzt_units("mm")
        picture.to_filename(folder / kind / name)


def boxes(folder, names, value=3, seed=0):
    """Write noisy boxes with a bright block that is labelled."""
    rng = np.random.default_rng(seed)
    for name in names:
        label = np.zeros(SHAPE, np.uint8)
        label[8:20, 12:26, 9:19] = value
        image = (rng.normal(500, 40, SHAPE) + 300 * (label > 0)).astype(np.float32)
        write(folder, name, image, label)
    return folder


def request(folder, **changes):
    asked = Request("amygdala", folder / "images", folder / "labels", TOY, centre_mm=PLACE)
    return replace(asked, **changes)


def prepared(asked, work):
    """Prepare the scans; return what was prepared, and the warnings."""
    steps, warnings = prepare(asked, work), []
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value, warnings
        if isinstance(step, Warned):
            warnings.append(step.text)
