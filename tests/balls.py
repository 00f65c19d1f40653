"""DICOM series that show a ball of known volume, at any positions of its slices."""

import math

import numpy as np
from pydicom.uid import generate_uid

from tests.hostile.make import dicom_slice

RADIUS_MM = 30.0
VOLUME_MM3 = 4 / 3 * math.pi * RADIUS_MM**3
INSIDE, OUTSIDE = 1000, 100
SIZE, PIXEL_MM = 96, 1.0


def ball_series(folder, distances_mm, *, tilt_degrees=0.0, sideways_mm=(), **tags):
    """Write slices of a ball at distances along z from the first; a tilt moves each along y."""
    folder.mkdir(parents=True)
    middle_mm = np.array([0, 0, (distances_mm[0] + distances_mm[-1]) / 2])
    uid = generate_uid(entropy_srcs=[str(folder)])
    for index, z_mm in enumerate(distances_mm):
        y_mm = math.tan(math.radians(tilt_degrees)) * (z_mm - middle_mm[2])
        y_mm += sideways_mm[index] if len(sideways_mm) else 0.0
        corner_mm = np.array([-SIZE / 2 * PIXEL_MM, y_mm - SIZE / 2 * PIXEL_MM, z_mm])
        data = dicom_slice((SIZE, SIZE))
        data.SeriesInstanceUID, data.SeriesNumber = uid, 1
        data.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [round(float(x), 6) for x in corner_mm]
        rows, columns = np.indices((SIZE, SIZE)) * PIXEL_MM
        away = np.stack([corner_mm[0] + columns, corner_mm[1] + rows, 0 * rows + z_mm])
        distance_mm = np.linalg.norm(away - middle_mm[:, None, None], axis=0)
        picture = np.where(distance_mm <= RADIUS_MM, INSIDE, OUTSIDE).astype("<u2")
        data.PixelData = picture.tobytes()
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.save_as(folder / f"{index:03d}", enforce_file_format=True)
    return folder


def ball_mm3(volume):
    """Measure the ball: the voxels nearer to the inside's value than to the outside's."""
    count = int((volume.array > (INSIDE + OUTSIDE) / 2).sum())
    return count * volume.geometry.voxel_volume_mm3
