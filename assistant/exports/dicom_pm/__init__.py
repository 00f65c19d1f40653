"""The disagreement of a draft's networks as a DICOM Parametric Map, on its series: highdicom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from highdicom.pm import ParametricMap, RealWorldValueMapping
from jaxtyping import Float32
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from assistant.exports.dicom.codes import own, snomed
from assistant.exports.dicom.instance import Uids, called, finished, labelled, marked, quietly
from assistant.exports.dicom.segments import Drawn, check_map, occupied, read_map
from assistant.exports.sheet import Sheet, sheet
from assistant.exports.source import Source
from assistant.maps import STEPS
from assistant.report import Report
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.reading import file_name

SERIES_NUMBER = 9003
ROUNDING = 1e-6
LATERALITY = {"left": "L", "right": "R", "none": "U"}  # PS3.3 C.7.6.16.2.8, unpaired or both
QUANTITY = own("segmentation-entropy", "Entropy of segmentation probability")


@dataclass(frozen=True)
class DicomPm:
    """Writes the entropy as it is, from 0 to 1, in 32-bit floats: dcmqi reads no other."""

    source: Source
    suffix: str = ".pm.dcm"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the instance; raises ScanError where the source is not the report's."""
        del pictures
        drawn = Drawn.of(report, self.source)
        values = read_entropy(self.source.entropy, drawn.series.geometry)
        steps = np.round(values * STEPS).astype(np.uint8)
        check_map(steps, report.provenance.get("entropy_sha256"), self.source.entropy)
        with quietly():
            instance = _instance(drawn, values, report, sheet(report, [], created), created)
            return finished(instance, drawn.series, created)


def read_entropy(path: Path, geometry: Geometry) -> Float32[np.ndarray, "i j k"]:
    """Read the entropy of a draft, which lies on the scan's own grid: 0 to 1."""
    name = file_name(path)
    if not path.is_file():
        msg = f"{name}: expected it beside the segmentation, found none; draft again"
        raise ScanError(Refusal.MISSING, msg)
    values = read_map(path, geometry, "entropy")
    if not values.any():
        msg = f"{name}: expected a voxel in which networks disagree, found none; nothing to write"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    if values.min() < 0 or values.max() > 1 + ROUNDING:
        msg = f"{name}: expected shares from 0 to 1, found other numbers; draft again"
        raise ScanError(Refusal.UNREADABLE, msg)
    return values


def _instance(
    drawn: Drawn, values: Float32[np.ndarray, "i j k"], report: Report, shown: Sheet, created: str
) -> Dataset:
    """Build the instance, without a patient, from the slices with any disagreement."""
    uids = Uids.of(report, created, drawn.series)
    held = occupied(values)
    meaning = RealWorldValueMapping(
        lut_label="entropy",
        lut_explanation="Share of the greatest entropy",
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1,
        intercept=0,
        quantity_definition=QUANTITY,
    )
    instance = ParametricMap(
        source_images=drawn.series.slices[held],
        pixel_array=np.ascontiguousarray(values[:, :, held].transpose(2, 1, 0)),
        **called("pm", SERIES_NUMBER, report, shown, uids),
        **labelled(report, shown),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[meaning],
        window_center=0.5,
        window_width=1.0,
    )
    marked(instance, shown, uids.uid("pm dimensions"))
    (shared,) = instance.SharedFunctionalGroupsSequence
    shared.FrameAnatomySequence = [_anatomy(drawn)]
    _put_in_order(instance)
    return instance


def _put_in_order(instance: Dataset) -> None:
    """Store the frames along the normal of the slices: dcmqi takes them for ordered so."""
    frames = list(instance.PerFrameFunctionalGroupsSequence)
    shape = (len(frames), instance.Rows, instance.Columns)
    pixels = np.frombuffer(instance.FloatPixelData, "<f4").reshape(shape)
    (shared,) = instance.SharedFunctionalGroupsSequence
    across, down = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
    normal = np.cross(across.astype(float), down.astype(float))
    positions = [f.PlanePositionSequence[0].ImagePositionPatient for f in frames]
    order = np.argsort(np.array(positions, dtype=float) @ normal)
    instance.PerFrameFunctionalGroupsSequence = [frames[place] for place in order]
    instance.FloatPixelData = pixels[order].tobytes()
    for number, frame in enumerate(instance.PerFrameFunctionalGroupsSequence, start=1):
        frame.FrameContentSequence[0].DimensionIndexValues = number


def _anatomy(drawn: Drawn) -> Dataset:
    """Say what the frames show, which dcmqi does not read them without."""
    found = {segment.side for segment in drawn.segments} or set(drawn.organ.sides)
    anatomy = Dataset()
    anatomy.FrameLaterality = LATERALITY[next(iter(found))] if len(found) == 1 else "B"
    anatomy.AnatomicRegionSequence = [snomed(drawn.organ.code, drawn.organ.name.capitalize())]
    return anatomy
