"""Series of scanners, read beside dcm2niix: the same values in the same places.

Left out are the tilted series with uneven distances, which dcm2niix resamples its own way
(``test_reading_tilt`` holds it against geometry), and JPEG in fragments, which it cannot decode.
"""

import shutil
import subprocess

import nibabel
import numpy as np
import pytest

from assistant.study import read_study
from tests.shared_data import shared_data
from tests.test_reading_dicom import READABLE

BOTH_READ = [folder for folder in READABLE if "fragments" not in folder]
CHOSEN = {  # series of several volumes: what to ask for, and which of theirs it is
    "mr_epi_many_volumes": ("4.3", 2),
    "mr_enhanced_multiframe_five_volumes": ("5.2", 1),
}
CLOSE_MM = 2e-3

needs_dcm2niix = pytest.mark.skipif(
    shutil.which("dcm2niix") is None, reason="needs Debian's dcm2niix"
)


def converted(folder, output):
    """Return what dcm2niix makes of a folder: values and affine."""
    command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "%s", "-o", str(output), str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    (path,) = output.glob("*.nii")
    image = nibabel.load(path)
    return np.asarray(image.dataobj, dtype=np.float32), image.affine


def brought_to(geometry, array, affine):
    """Turn another program's array into the order of our axes; None where places differ."""
    turn = np.linalg.inv(geometry.affine) @ affine
    order = np.argmax(np.abs(turn[:3, :3]), axis=0)
    flips = [axis for axis in range(3) if turn[order[axis], axis] < 0]
    corner = np.zeros(4)
    corner[3] = 1
    corner[flips] = np.array(array.shape)[flips] - 1
    expected = np.zeros((3, 3))
    expected[order, range(3)] = [-1 if axis in flips else 1 for axis in range(3)]
    off_mm = np.abs(geometry.affine[:3] @ (turn @ corner) - geometry.affine[:3, 3]).max()
    assert np.allclose(turn[:3, :3], expected, atol=1e-3)
    assert off_mm < CLOSE_MM
    return np.transpose(np.flip(array, flips), np.argsort(order))


@pytest.mark.slow
@needs_dcm2niix
@pytest.mark.parametrize("folder", BOTH_READ)
def test_a_series_is_what_dcm2niix_makes_of_it(folder, tmp_path):
    path = shared_data("dicom", *folder.split("/"))
    volume = read_study(path).volume
    theirs = brought_to(volume.geometry, *converted(path, tmp_path))
    assert np.array_equal(volume.array, theirs)


@pytest.mark.slow
@needs_dcm2niix
@pytest.mark.parametrize("folder", CHOSEN)
def test_a_volume_of_several_is_that_of_dcm2niix(folder, tmp_path):
    choice, number = CHOSEN[folder]
    path = shared_data("dicom", folder)
    volume = read_study(path, series=choice).volume
    array, affine = converted(path, tmp_path)
    assert np.array_equal(volume.array, brought_to(volume.geometry, array[..., number], affine))
