"""PET and CT of the phantom as DICOM series, written by pydicom."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from segment.geometry import Geometry
from tests.hostile.make import dicom_slice

DOSE_BQ, HALF_LIFE_S, WEIGHT_KG, ELAPSED_S = 350e6, 6586.2, 80.0, 3600
PET_STORAGE, CT_STORAGE = "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.2"
FRAME = generate_uid(entropy_srcs=["frame"])
SUV_PER_BQ_ML = WEIGHT_KG * 1000 / (DOSE_BQ * 2 ** (-ELAPSED_S / HALF_LIFE_S))


def write_pet(folder, volume, **changes):
    """Write uptake as the activity in Bq/mL that makes it, scanned an hour after injection."""
    injection = Dataset()
    injection.RadionuclideTotalDose = DOSE_BQ
    injection.RadionuclideHalfLife = HALF_LIFE_S
    injection.RadiopharmaceuticalStartTime = "090000"
    tags = {
        "SOPClassUID": PET_STORAGE,
        "Modality": "PT",
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY", "SCAT"],
        "PatientWeight": WEIGHT_KG,
        "SeriesTime": "100000",
        "AcquisitionTime": "100000",
        "RadiopharmaceuticalInformationSequence": [injection],
    }
    activity = volume.array / SUV_PER_BQ_ML
    slope = float(activity.max()) / 65000
    return _write(folder, activity, volume.geometry, slope, 0.0, {**tags, **changes})


def write_ct(folder, geometry, **changes):
    """Write a CT of water on a grid."""
    tags = {"SOPClassUID": CT_STORAGE, "Modality": "CT"}
    water = np.zeros(geometry.shape)
    water[0] = -1000.0
    return _write(folder, water, geometry, 1.0, -1024.0, {**tags, **changes})


def ct_grid(spacing_mm=(3.0, 3.0, 2.5), *, field_mm=(210.0, 180.0, 205.0), middle_z_mm=-50.0):
    """Cover most of the body by smaller voxels than the PET's (LPS)."""
    shape = tuple(round(field / mm) for field, mm in zip(field_mm, spacing_mm, strict=True))
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + (0.3, -0.6, middle_z_mm)
    return Geometry(shape, affine)


def _write(folder, values, geometry, slope, intercept, tags):
    """Write slices along the axes of the patient."""
    folder.mkdir(parents=True)
    di, dj, _ = geometry.spacing_mm
    uid = generate_uid(entropy_srcs=[str(folder)])
    for k in range(geometry.shape[2]):
        x, y, z = geometry.to_world(np.array([[0.0, 0.0, k]]))[0]
        data = dicom_slice(geometry.shape[1::-1], seed=k)
        data.SeriesInstanceUID, data.SeriesNumber = uid, 1
        data.FrameOfReferenceUID, data.SeriesDate, data.AcquisitionDate = FRAME, *["20240229"] * 2
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [round(float(mm), 6) for mm in (-x, -y, z)]
        data.PixelSpacing, data.SliceThickness = [dj, di], geometry.spacing_mm[2]
        data.BitsStored, data.HighBit = 16, 15
        data.RescaleSlope, data.RescaleIntercept = f"{slope:.10g}"[:16], intercept
        stored = np.rint((values[:, :, k].T - intercept) / float(data.RescaleSlope))
        data.PixelData = np.clip(stored, 0, 65535).astype("<u2").tobytes()
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        data.save_as(folder / f"{k:03d}", enforce_file_format=True)
    return folder
