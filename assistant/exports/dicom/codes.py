"""The codes of the DICOM exports, each with its scheme. Knows nothing of reports.

SCT is SNOMED CT as PS3.16 uses it. What no standard has a code for has one of this project's own.
"""

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from assistant.exports.dicom.text import short

OWN = "99VOXCITE"
SCHEMES = (CodingSchemeIdentificationItem(OWN, name="voxcite", responsible_organization="voxcite"),)
CATEGORY = CodedConcept("91723000", "SCT", "Anatomical Structure")  # CID 7150
AI = CodedConcept("123110", "DCM", "Artificial Intelligence")  # CID 7162
PROCEDURES = {
    "MR": CodedConcept("113091000", "SCT", "Magnetic resonance imaging"),
    "CT": CodedConcept("77477000", "SCT", "Computed tomography"),
    "PT": CodedConcept("82918005", "SCT", "Positron emission tomography"),
}
SIDES = {  # CID 244
    "left": CodedConcept("7771000", "SCT", "Left"),
    "right": CodedConcept("24028007", "SCT", "Right"),
    "none": CodedConcept("51440002", "SCT", "Right and left"),
}
MODIFIERS = {  # CID 2
    "255549009": CodedConcept("255549009", "SCT", "Anterior"),
    "255551008": CodedConcept("255551008", "SCT", "Posterior"),
}


def own(value: str, meaning: str | None = None) -> CodedConcept:
    """Return a code of this project; its value reads as its meaning where none is given."""
    return CodedConcept(value, OWN, short(meaning or value.replace("-", " ")))


def snomed(value: str, meaning: str) -> CodedConcept:
    """Return a code of SNOMED CT."""
    return CodedConcept(value, "SCT", short(meaning))


def modifier_of(value: str, meaning: str) -> CodedConcept:
    """Return the code of a part, with its meaning in CID 2 where that is known."""
    return MODIFIERS.get(value, snomed(value, meaning))


def unit(ucum: str) -> CodedConcept:
    """Return a UCUM unit."""
    return CodedConcept(ucum, "UCUM", ucum)


def language(tag: str) -> CodedConcept:
    """Return a language by its RFC 5646 tag, CID 5000."""
    return CodedConcept(tag, "RFC5646", tag)
