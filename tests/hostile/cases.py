"""Every hostile input by its kind: those of the catalogue, and those made by the other modules."""

from tests.hostile.case import Case
from tests.hostile.catalogue import BAD_INPUTS
from tests.hostile.crowds import CROWDS
from tests.hostile.names import NAMES
from tests.hostile.objects import OBJECTS
from tests.hostile.strangers import STRANGERS
from tests.hostile.truncations import TRUNCATIONS

CATALOGUED = {
    "archives": ("zip",),
    "files and folders": ("missing file", "empty", "pipe", "name of", "folder", "two NIfTI"),
    "DICOM headers and pixels": (
        *("DICOM", "slice", "series", "mosaic", "localiser", "multi-frame", "ultrasound"),
        *("inverted", "gantry", "echoes", "volumes that", "nested", "pixel spacing", "orientation"),
    ),
}


def kind_of(name):
    """Say of what kind an input of the catalogue is; what is no other is a NIfTI file."""
    for kind, words in CATALOGUED.items():
        if any(word in name for word in words):
            return kind
    return "NIfTI headers and voxels"


def _catalogued():
    for name, (make, arguments, code) in BAD_INPUTS.items():
        yield Case(kind_of(name), name, make, code, arguments=arguments)


CASES = (*_catalogued(), *TRUNCATIONS, *OBJECTS, *CROWDS, *NAMES, *STRANGERS)
