"""Reports whose volumes are counts of labels in a series, and what SEG and map say of them.

Read back with dcmqi and pydicom; nothing here knows how the files were written.
"""

import json
import random
from dataclasses import replace

import nibabel
import numpy as np

import prompts
from assistant.exports.source import Source
from assistant.finish import finish
from assistant.folder import ENTROPY
from assistant.ledger import Ledger
from assistant.maps import STEPS, map_sha256
from assistant.report import report_bytes
from assistant.study import read_study
from segment.measurement import Reason, Reliability
from tests.drafts import template_draft
from tests.exported import instance_of
from tests.ledgers import asymmetry, volume, withheld
from tests.sources import series, written

SIZE = {"shape": (40, 36), "count": 14, "spacing_mm": 2.0}
PARTS = {"m2": (1,), "m3": (2,), "m5": (3,), "m6": (4,), "m1": (1, 2), "m4": (3, 4)}
NAMES = ("hippocampus", "hippocampus anterior", "hippocampus posterior")
SIDE_CODES = {"left": "7771000", "right": "24028007"}
PART_CODES = {"anterior": "255549009", "posterior": "255551008"}
MADE_BY = {"segmenter": "unet-1", "model_sha256": "b" * 64}


def scan_of(folder):
    """Write the series that all reports are of and read it once."""
    scan = series(folder / "scan", **SIZE)
    return scan, read_study(scan)


def generated(seed, language, scan, study, folder, exam):
    """Return a report of random labels in a series, and its source."""
    chance = random.Random(seed)
    labels = labels_at_random(chance, study.volume.geometry.shape)
    entropy = np.random.default_rng(seed).integers(0, STEPS + 1, labels.shape).astype(np.uint8)
    entropy[labels == 0] = 0
    path = folder / "segmentation.nii.gz"
    written(labels, study.volume.geometry, path)
    written(entropy, study.volume.geometry, path.with_name(ENTROPY), 1 / STEPS)
    ledger = Ledger(records_of(chance, labels, study.volume.geometry.voxel_volume_mm3))
    words = prompts.load(language)
    made = MADE_BY | {
        "input_sha256": study.volume.sha256,
        "segmentation_sha256": map_sha256(labels),
        "entropy_sha256": map_sha256(entropy),
    }
    report = finish(template_draft(ledger, exam, words), ledger, exam, words, made)
    return report, Source(scan, path)


def labels_at_random(chance, shape):
    """Fill a quarter of the grid for each label, each with a share of its own."""
    labels = np.zeros(shape, np.uint8)
    half_i, half_j = shape[0] // 2, shape[1] // 2
    for label, (i, j) in enumerate(((0, 0), (0, half_j), (half_i, 0), (half_i, half_j)), start=1):
        block = labels[i : i + half_i, j : j + half_j]
        count = int(chance.uniform(0.3, 0.95) * block.size)
        places = np.random.default_rng(chance.getrandbits(32)).permutation(block.size)[:count]
        block[np.unravel_index(places, block.shape)] = label
    return labels


def records_of(chance, labels, voxel_mm3):
    """Count the labels as records of random widths; some of them may not be reported."""
    width, records = chance.uniform(0.02, 0.25), []
    for number in range(6):
        key = f"m{number + 1}"
        count = int(np.isin(labels, PARTS[key]).sum())
        value = count * voxel_mm3 / 1000
        bounds = value / (1 + width), value * (1 + width)
        side = "left" if number < 3 else "right"
        record = volume(key, NAMES[number % 3], side, value, *bounds)
        record = replace(record, voxels=count, voxel_volume_mm3=voxel_mm3)
        is_withheld = chance.random() < 0.12
        records.append(withheld(record, Reason.TRUNCATED) if is_withheld else record)
    index = asymmetry(records[0], records[3], chance.uniform(0.3, 30.0))
    if records[0].reason or records[3].reason:
        index = withheld(index, Reason.DEPENDS_ON_UNRELIABLE, Reliability.NOT_RELIABLE)
    return (*records, index)


def expected_segments(report):
    """List by record what report.json says of each structure that was drawn."""
    found = {}
    for record in json.loads(report_bytes(report))["measurements"]:
        if record["quantity"] == "volume" and record["voxels"]:
            part = record["structure"].rpartition(" ")[2]
            codes = [SIDE_CODES[record["side"]], PART_CODES.get(part)]
            found[record["id"]] = {
                "label": f"{record['side']} {record['structure']}",
                "organ": record["code"],
                "modifiers": [code for code in codes if code],
                "algorithm": ("AUTOMATIC", MADE_BY["segmenter"]),
                "voxels": record["voxels"],
                "ml": round(record["value"], 6),
            }
    return found


def segments_by_pydicom(instance):
    """Read what each segment says of itself, and count its voxels in the frames."""
    import pydicom

    pixels = np.atleast_3d(instance.pixel_array)
    counted = dict.fromkeys((s.SegmentNumber for s in instance.SegmentSequence), 0)
    for frame, plane in zip(instance.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        (of,) = frame.SegmentIdentificationSequence
        counted[of.ReferencedSegmentNumber] += int((plane > 0).sum())
    assert pydicom.uid.SegmentationStorage == instance.SOPClassUID
    (shared,) = instance.SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence
    voxel_mm3 = np.prod([*measures.PixelSpacing, measures.SpacingBetweenSlices])
    found = {}
    for segment in instance.SegmentSequence:
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        voxels = counted[segment.SegmentNumber]
        found[segment.TrackingID] = {
            "label": segment.SegmentLabel,
            "organ": kind.CodeValue,
            "modifiers": [m.CodeValue for m in kind.SegmentedPropertyTypeModifierCodeSequence],
            "algorithm": (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName),
            "voxels": voxels,
            "ml": round(float(voxels * voxel_mm3) / 1000, 6),
        }
    return found


def segments_by_dcmqi(instance, folder, dcmqi):
    """Let dcmqi take the segments apart; count in its pictures and read its description."""
    instance.save_as(folder / "seg.dcm")
    for old in folder.glob("s-*"):
        old.unlink()
    dcmqi("segimage2itkimage", "-t", "nii", "-p", "s", "--outputDirectory", folder,
          "--inputDICOM", folder / "seg.dcm")  # fmt: skip
    table = json.loads((folder / "s-meta.json").read_text(encoding="utf-8"))
    found = {}
    for (said,) in table["segmentAttributes"]:
        image = nibabel.load(folder / f"s-{said['labelID']}.nii.gz")
        voxels = int((np.asarray(image.dataobj) > 0).sum())
        voxel_mm3 = abs(np.linalg.det(image.affine[:3, :3]))
        # dcmqi's table holds one modifier and no second one: the side.
        modifier = said["SegmentedPropertyTypeModifierCodeSequence"]["CodeValue"]
        found[said["TrackingIdentifier"]] = {
            "label": said["SegmentLabel"],
            "organ": said["SegmentedPropertyTypeCodeSequence"]["CodeValue"],
            "modifiers": [modifier],
            "algorithm": (said["SegmentAlgorithmType"], said["SegmentAlgorithmName"]),
            "voxels": voxels,
            "ml": round(voxels * voxel_mm3 / 1000, 6),
        }
    return found


def seg_mismatches(data, report, folder, dcmqi):
    """List what differs between a segmentation, as two programs read it, and report.json."""
    instance, expected = instance_of(data), expected_segments(report)
    yield from differences(segments_by_pydicom(instance), expected)
    sided = {key: one | {"modifiers": one["modifiers"][:1]} for key, one in expected.items()}
    yield from differences(segments_by_dcmqi(instance, folder, dcmqi), sided)


def differences(found, expected):
    """List what differs between the segments that were found and those expected, by record."""
    if found.keys() != expected.keys():
        yield f"the segments {sorted(found)} instead of {sorted(expected)}"
    for key in found.keys() & expected.keys():
        for name, value in expected[key].items():
            other = found[key][name]
            is_equal = abs(other - value) < 1e-4 if name == "ml" else other == value
            if not is_equal:
                yield f"{key}: {name} {other} instead of {value}"


def pm_mismatches(data, source):
    """List how the numbers of a parametric map, where they lie, differ from the draft's."""
    instance, image = instance_of(data), nibabel.load(source.entropy)
    values = np.asarray(image.dataobj, dtype=np.float32)
    pixels = np.frombuffer(instance.FloatPixelData, "<f4")
    pixels = pixels.reshape(-1, instance.Rows, instance.Columns)
    found = np.zeros_like(values)
    for frame, plane in zip(instance.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        lps = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        index = nibabel.affines.apply_affine(np.linalg.inv(image.affine), lps * (-1, -1, 1))
        found[:, :, round(float(index[2]))] = plane.T
    wrong = np.abs(found - values) > 1e-6
    if wrong.any():
        yield f"{int(wrong.sum())} voxels of the entropy"
