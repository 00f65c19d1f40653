"""A DICOM series with a rare name in every tag that takes a text, for tests that look for it."""

import warnings

import numpy as np
import pydicom
from pydicom.datadict import DicomDictionary, RepeatersDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid
from pydicom.valuerep import PersonName

from tests.hostile.make import dicom_slice

NAME = "Xquetzalwicz"
TEXTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR")
TEXTS = (*TEXTS, "UT")
# What makes a file a picture, without which there is nothing to take a name out of.
NEEDED = {
    *(
        "SpecificCharacterSet",
        "Modality",
        "ImageType",
        "PhotometricInterpretation",
        "NumberOfFrames",
    ),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("SeriesNumber", "InstanceNumber", "RescaleSlope", "RescaleIntercept", "BurnedInAnnotation"),
    *("EchoNumbers", "AcquisitionNumber", "TemporalPositionIdentifier", "DiffusionBValue"),
    *("ScanningSequence", "SequenceVariant", "AcquisitionDateTime", "AcquisitionDate"),
    *("SeriesDate", "StudyDate", "ComplexImageComponent", "StackID"),
}


def plant(data, name=NAME, *, kinds=TEXTS):
    """Write a name into every text tag of the standard, private ones, curves, overlays, items."""
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            if vr in kinds and keyword not in NEEDED and Tag(tag).group > 8 - 1:
                data.add(element(tag, vr, name))
        for mask, (vr, *_) in RepeatersDictionary.items():
            tag = int(mask.replace("x", "0"), 16)
            if vr in kinds:
                data.add(element(tag, vr, name))
        block = data.private_block(0x0029, name, create=True)
        block.add_new(0x10, "LO", name)
        block.add_new(0x11, "OB", name.encode())
        inside = Dataset()
        inside.PatientName = inside.RequestingPhysician = inside.CodeMeaning = name
        deep = Dataset()
        deep.PersonName, deep.RequestAttributesSequence = name, [inside]
        data.RequestAttributesSequence = [inside, deep]
        data.ReferencedImageSequence = [deep]
        data.AnatomicRegionSequence = [inside]
    return data


def element(tag, vr, name):
    """Write a name that no validator and no conversion looks at."""
    written = {"DS": "LO", "IS": "LO"}.get(vr, vr)
    value = PersonName(name) if vr == "PN" else name
    return DataElement(tag, written, value, already_converted=True)


def series_of(volume, folder, *, planted_in=1, **tags):
    """Write a volume as slices; the name stands in the usual tags of all, in every tag of some."""
    folder.mkdir(parents=True)
    ras = np.asarray(volume.geometry.affine)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :3] / spacing
    grey = np.asarray(volume.array, np.float64)
    grey = np.round((grey - grey.min()) / np.ptp(grey) * 4000).astype("<u2")
    uid = generate_uid(entropy_srcs=["series"])
    for k in range(grey.shape[2]):
        data = dicom_slice((grey.shape[1], grey.shape[0]))
        if k < planted_in:
            plant(data)
        data.PatientName, data.PatientID = f"{NAME}^A", f"{NAME}-1"
        data.InstitutionName = data.StudyDescription = data.ImageComments = NAME
        data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = uid, 3, k + 1
        data.FrameOfReferenceUID = "2.25.4711"
        data.SpecificCharacterSet = "ISO_IR 192"
        data.Rows, data.Columns = grey.shape[1], grey.shape[0]
        data.ImageOrientationPatient = [
            *np.round(directions[:, 0], 6),
            *np.round(directions[:, 1], 6),
        ]
        data.ImagePositionPatient = [*np.round(lps[:3, 3] + lps[:3, 2] * k, 6)]
        data.PixelSpacing, data.SliceThickness = [*np.round(spacing[[1, 0]], 6)], 1.0
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.PixelData = grey[:, :, k].T.tobytes()
        with pydicom.config.disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data.save_as(folder / f"{NAME}{k:03d}", enforce_file_format=True)
    return folder
