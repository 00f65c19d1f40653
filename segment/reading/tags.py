"""The allow-list: which DICOM tags are ever read. Knows nothing of their values.

None of them names a person, a place or a device's serial number. Tags of a functional group or of
another sequence are named by the keyword of their own, or of the single-frame tag they stand for.
"""

# One value each, as text.
TEXT_TAGS = (
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "PhotometricInterpretation",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "SeriesDate",
    "SeriesTime",
    "StudyDate",
    "StudyTime",
    "Manufacturer",
    "StackID",
    "ComplexImageComponent",
    "EchoPulseSequence",
    "EchoPlanarPulseSequence",
    "InversionRecovery",
    "Spoiling",
    "Units",
    "SUVType",
    "DecayCorrection",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)
WORD_TAGS = ("ImageType", "ScanningSequence", "SequenceVariant", "CorrectedImage")
NUMBER_TAGS = (
    "SeriesNumber",
    "InstanceNumber",
    "AcquisitionNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "FrameReferenceTime",
    "MagneticFieldStrength",
    "SliceThickness",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "PatientWeight",
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
)
VECTOR_TAGS = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "DiffusionGradientOrientation": 3,
}
READ_TAGS = (*TEXT_TAGS, *WORD_TAGS, *NUMBER_TAGS, *VECTOR_TAGS)

# Sequences of one item whose tags are read as if they stood outside: PS3.3 C.8.9.2.
NESTED_TAGS = {
    "RadiopharmaceuticalInformationSequence": (
        "RadionuclideTotalDose",
        "RadionuclideHalfLife",
        "RadiopharmaceuticalStartTime",
        "RadiopharmaceuticalStartDateTime",
    ),
}
# Functional groups, and what their tags are called here: PS3.3 C.7.6.16.2, C.8.13.5 and C.8.15.3.
FUNCTIONAL_GROUPS = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope",
        "RescaleIntercept": "RescaleIntercept",
    },
    "FrameContentSequence": {
        "StackID": "StackID",
        "TemporalPositionIndex": "TemporalPositionIndex",
        "FrameAcquisitionDateTime": "AcquisitionDateTime",
    },
    "MRImageFrameTypeSequence": {
        "FrameType": "ImageType",
        "ComplexImageComponent": "ComplexImageComponent",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "MRTimingAndRelatedParametersSequence": {
        "RepetitionTime": "RepetitionTime",
        "FlipAngle": "FlipAngle",
    },
    "MRModifierSequence": {
        "InversionRecovery": "InversionRecovery",
        "InversionTimes": "InversionTime",
        "Spoiling": "Spoiling",
    },
    "MRDiffusionSequence": {"DiffusionBValue": "DiffusionBValue"},
}
SHARED_GROUPS = "SharedFunctionalGroupsSequence"
FRAME_GROUPS = "PerFrameFunctionalGroupsSequence"
SEQUENCES = (SHARED_GROUPS, FRAME_GROUPS, *NESTED_TAGS)
