"""What SR and SEG say is what report.json says, read back by programs that did not write them."""

import json
import logging
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

import prompts
from assistant import exams, exports
from assistant.cli import main
from assistant.edit import Edited, Manuscript
from assistant.exports.dicom import segments
from assistant.exports.source import Source
from assistant.finish import finish
from assistant.override import Overridden, overridden
from assistant.report import report_bytes
from assistant.sign import SignError, sign
from assistant.study import read_study
from segment import models, organs
from segment.errors import ScanError
from tests.drafts import template_draft
from tests.exported import MADE, exporter, instance_of, items_of
from tests.hostile.make import nifti
from tests.ledgers import random_ledger
from tests.shared_data import shared_data
from tests.sources import LABELS, OBLIQUE, PATIENT, fitted, labels_of, series, written
from tests.test_exports import EXAM, SNOMED_SIDES, basis_of, numbers_of
from tests.test_report import drafted

AXIAL, SAGITTAL, CORONAL = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)
FLIPPED = (0, -1, 0, 1, 0, 0)
OWN = "99VOXCITE"
QUALIFIERS = {"not reliable": "114006", "not assessed": "114007"}
languages = pytest.mark.parametrize("language", prompts.languages())


def generated(seed, language):
    """Return a report of a random ledger."""
    words, ledger = prompts.load(language), random_ledger(random.Random(seed))
    draft = template_draft(ledger, EXAM, words)
    return finish(draft, ledger, EXAM, words, {"segmenter": "unet-1", "model_sha256": "b" * 64})


def exported(name, report, folder, **options):
    """Export a report of a small series; return the instance, the fitted report and its source."""
    exporter(name)
    scan = folder / "scan"
    if not scan.exists():
        series(scan, **options)
    report, source = fitted(report, scan, folder / "segmentation.nii.gz")
    return instance_of(exports.load(name, source)(report, [], MADE)), report, source


def groups_of(instance):
    """Return the measurement groups by their tracking identifiers."""
    groups = [i for i in items_of(instance) if code_of(i) == "125007"]
    return {texts_of(group)["112039"]: group for group in groups}


def code_of(item):
    name = item.ConceptNameCodeSequence[0]
    return name.get("CodeValue") or name.LongCodeValue


def texts_of(group):
    return {code_of(i): i.TextValue for i in group.ContentSequence if i.ValueType == "TEXT"}


def coded(item):
    code = item.ConceptCodeSequence[0]
    return code.get("CodeValue") or code.LongCodeValue


def facts_of(group):
    """Read a group's numbers with units, its side, its reliability and its reason."""
    (number,) = [i for i in group.ContentSequence if i.ValueType == "NUM"]
    codes = {code_of(i): coded(i) for i in items_of(group) if i.ValueType == "CODE"}
    values = [measured(i) for i in (number, *items_of(number)) if i.ValueType == "NUM"]
    return {
        "values": dict(value for value in values if value is not None),
        "qualifier": [c.CodeValue for c in number.get("NumericValueQualifierCodeSequence", ())],
        "side": codes["272741003"],
        "part": codes.get("106233006"),
        "reliability": codes["reliability"],
        "reason": codes.get("reason"),
    }


def measured(item):
    if not item.MeasuredValueSequence:
        return None
    value = item.MeasuredValueSequence[0]
    unit = value.MeasurementUnitsCodeSequence[0]
    return code_of(item), (str(value.NumericValue), unit.CodeValue, unit.CodingSchemeDesignator)


def expected_facts(record):
    """List the same of a record in report.json."""
    parts = {"anterior": "255549009", "posterior": "255551008"}
    return {
        "values": expected_values(record),
        "qualifier": [QUALIFIERS[record["reliability"]]] if record["reason"] else [],
        "side": SNOMED_SIDES[record["side"]],
        "part": parts.get(record["structure"].split()[-1]),
        "reliability": record["reliability"].replace(" ", "-"),
        "reason": record["reason"],
    }


def expected_values(record):
    """List the numbers that the report shows, and how far the interval reaches to each side."""
    names = ["118565006" if record["quantity"] == "volume" else "asymmetry-index"]
    names += [f"{NAMES_OF_BOUNDS[basis_of(record)]}-{end}" for end in ("lower", "upper")]
    names += [] if basis_of(record) != "predicted" else ["coverage"]
    names += ["reference-lower", "reference-upper"]
    shown = [f"{value:.{digits}f}" for value, digits in numbers_of(record)[: len(names)]]
    plain = [text.replace("-", "") if not float(text) else text for text in shown]
    units = ["%" if name == "coverage" else record["unit"] for name in names]
    found = {n: (v, u, "UCUM") for n, v, u in zip(names, plain, units, strict=False)}
    if plain:
        digits, numbers = numbers_of(record)[0][1], [float(text) for text in plain]
        for name, reach in (
            ("371886008", numbers[2] - numbers[0]),
            ("371885007", numbers[0] - numbers[1]),
        ):
            found[name] = (f"{reach:.{digits}f}", record["unit"], "UCUM")
    return found


NAMES_OF_BOUNDS = {"predicted": "interval", "entered": "entered", "derived": "derived"}


def sr_mismatches(instance, report):
    """List what differs between the groups and report.json."""
    records = json.loads(report_bytes(report))["measurements"]
    groups = groups_of(instance)
    if list(groups) != [record["id"] for record in records]:
        yield "other records"
    for record in records:
        if facts_of(groups[record["id"]]) != expected_facts(record):
            yield f"{facts_of(groups[record['id']])} is not {expected_facts(record)}"


def dcmqi_mismatches(instance, report, folder):
    """List what dcmqi's reader finds that is not in report.json."""
    path, table = folder / "report.sr.dcm", folder / "sr.json"
    instance.save_as(path)
    dcmqi("tid1500reader", "--inputDICOM", path, "--outputMetadata", table)
    read = json.loads(table.read_text(encoding="utf-8"))
    if (read["CompletionFlag"], read["VerificationFlag"]) != ("PARTIAL", "UNVERIFIED"):
        yield "another status"
    records = json.loads(report_bytes(report))["measurements"]
    for group, record in zip(read["Measurements"], records, strict=True):
        if dcmqi_facts(group) != dcmqi_expected(record):
            yield f"{dcmqi_facts(group)} is not {dcmqi_expected(record)}"


def dcmqi_facts(group):
    (item,) = group["measurementItems"]
    values = {}
    if item["value"]:
        values[item["quantity"]["CodeValue"]] = (item["value"], item["units"]["CodeValue"])
    for part in item.get("measurementNumProperties", ()):
        amount = part["numPropertyValue"], part["numPropertyUnits"]["CodeValue"]
        values[part["numProperty"]["CodeValue"]] = amount
    said = {e["conceptCode"]["CodeValue"]: e for e in group["qualitativeEvaluations"]}
    state = said["reliability"]["conceptValue"]["CodeValue"]
    return group["TrackingIdentifier"], group["Laterality"]["CodeValue"], values, state


def dcmqi_expected(record):
    facts = expected_facts(record)
    values = {name: (value, unit) for name, (value, unit, _) in facts["values"].items()}
    return record["id"], facts["side"], values, facts["reliability"]


def dcmqi(program, *arguments):
    """Run one of dcmqi's programs; skip where it is not installed."""
    path = shutil.which(program) or shutil.which(program, path=str(scripts()))
    if path is None:
        pytest.skip(f"{program} is not installed")
    command = [path, *map(str, arguments)]
    subprocess.run(command, capture_output=True, check=True, timeout=120)


def scripts():
    import sys

    return Path(sys.executable).parent


def dciodvfy(instance, path):
    """List the errors that dicom3tools' validator finds."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    instance.save_as(path)
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def placed(folder, instance):
    """Read a segmentation with dcmqi: where the voxels of each segment lie in the world."""
    folder.mkdir()
    instance.save_as(folder / "seg.dcm")
    dcmqi("segimage2itkimage", "-t", "nii", "-p", "s", "--outputDirectory", folder,
          "--inputDICOM", folder / "seg.dcm")  # fmt: skip
    found = {}
    for number in range(1, len(instance.SegmentSequence) + 1):
        image = nibabel.load(folder / f"s-{number}.nii.gz")
        voxels = np.argwhere(np.asarray(image.dataobj) > 0)
        found[number] = nibabel.affines.apply_affine(image.affine, voxels)
    return found


def round_trip(seeds, language, folder):
    for seed in seeds:
        instance, report, _ = exported("dicom_sr", generated(seed, language), folder)
        yield from sr_mismatches(instance, report)
        yield from dcmqi_mismatches(instance, report, folder)


@pytest.mark.slow
@languages
def test_what_a_structured_report_says_is_what_the_report_says(language, tmp_path):
    assert list(round_trip(range(3), language, tmp_path)) == []


@pytest.mark.slow
@languages
def test_what_twenty_structured_reports_say_is_what_the_reports_say(language, tmp_path):
    assert list(round_trip(range(3, 23), language, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"value": 3.3},
        {"unit": "%", "denominator": "mean of left and right"},
        {"side": "right"},
        {"structure": "hippocampus anterior"},
        {"interval": {"lower": 2.9, "upper": 3.6, "coverage": 0.9}},
        {"interval": {"lower": 2.9486238532110093, "upper": 3.50326, "coverage": 0.8}},
        {"reliability": "not reliable", "reason": "truncated"},
    ],
)
def test_the_comparison_of_groups_sees_each_kind_of_difference(change, tmp_path):
    instance, report, _ = exported("dicom_sr", drafted(), tmp_path)
    group = groups_of(instance)["m1"]
    record = json.loads(report_bytes(report))["measurements"][0]
    assert facts_of(group) == expected_facts(record)
    assert facts_of(group) != expected_facts(record | change)


@pytest.mark.parametrize("kind", ["wide", "refused"])
def test_a_withheld_measurement_carries_no_number(kind, tmp_path):
    instance, report, _ = exported("dicom_sr", drafted(kind), tmp_path)
    withheld = [record.id for record in report.measurements if record.reason is not None]
    numbers = [i for key in withheld for i in items_of(groups_of(instance)[key])]
    assert withheld
    assert not any(i.get("MeasuredValueSequence") for i in numbers if i.ValueType == "NUM")


def test_an_asymmetry_index_states_its_definition(tmp_path):
    instance, report, _ = exported("dicom_sr", drafted(), tmp_path)
    group = groups_of(instance)["m7"]
    texts = {code_of(i): i.TextValue for i in items_of(group) if i.ValueType == "TEXT"}
    assert texts["121420"] == report.measurements[6].expression
    assert texts["denominator"] == "mean of left and right"
    assert group.ContentTemplateSequence[0].TemplateIdentifier == "1501"


def test_the_algorithm_is_named_by_its_weights(tmp_path):
    instance, _, _ = exported("dicom_sr", generated(0, "en"), tmp_path)
    texts = [i.TextValue for i in items_of(groups_of(instance)["m1"]) if i.ValueType == "TEXT"]
    assert "unet-1" in texts
    assert f"weights sha256: {'b' * 64}" in texts


@pytest.mark.slow
def test_each_group_refers_to_the_segment_that_it_counts(tmp_path):
    report, _, _ = exported("dicom_sr", drafted(), tmp_path)
    segmentation, _, _ = exported("dicom_seg", drafted(), tmp_path)
    described = {
        s.SegmentNumber: (s.TrackingID, s.TrackingUID) for s in segmentation.SegmentSequence
    }
    for record_id, group in list(groups_of(report).items())[:6]:
        (image,) = [i for i in group.ContentSequence if i.ValueType == "IMAGE"]
        (referred,) = image.ReferencedSOPSequence
        (uid,) = [i.UID for i in group.ContentSequence if code_of(i) == "112040"]
        assert referred.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert described[referred.ReferencedSegmentNumber] == (record_id, uid)
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1411"


@pytest.mark.slow
def test_a_report_in_which_nothing_was_found_refers_to_no_segment(tmp_path):
    instance, _, _ = exported("dicom_sr", drafted("refused"), tmp_path)
    assert not [i for i in items_of(instance) if i.ValueType == "IMAGE"]
    with pytest.raises(ScanError, match="expected labels with a voxel, found none"):
        exported("dicom_seg", drafted("refused"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "flags"),
    [
        (None, ("PARTIAL", "UNVERIFIED", "PRELIMINARY", "DRAFT")),
        ("Dr A\\B^C=D", ("COMPLETE", "VERIFIED", "FINAL", "SIGNED")),
    ],
)
def test_a_structured_report_is_final_once_somebody_signed(who, flags, tmp_path):
    report = replace(drafted(), status="signed" if who else "draft", signed_by=who)
    sr, _, _ = exported("dicom_sr", report, tmp_path)
    seg, _, _ = exported("dicom_seg", report, tmp_path)
    found = sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag, seg.ContentLabel
    names = [str(item.VerifyingObserverName) for item in sr.get("VerifyingObserverSequence", ())]
    assert found == flags
    assert names == (["Dr A B C D^"] if who else [])


@pytest.mark.slow
def test_a_structured_report_says_for_whom_and_when_it_was_signed(tmp_path):
    when = "2022-05-06T07:08:09+02:00"
    report, source = fitted(drafted(), series(tmp_path / "scan"), tmp_path / "segmentation.nii.gz")
    signed = sign(report, "Dr A", when, "North\u202e Hospital")
    (item,) = instance_of(
        exports.load("dicom_sr", source)(signed, [], MADE)
    ).VerifyingObserverSequence
    assert item.VerifyingOrganization == "North Hospital"
    assert item.VerificationDateTime == "20220506070809+0200"


def test_an_organisation_of_too_many_characters_is_refused():
    with pytest.raises(SignError, match="at most 120 characters"):
        sign(drafted(), "Dr A", MADE, "x" * 121)


@languages
def test_the_sentences_of_the_report_stand_in_the_structured_report(language, tmp_path):
    instance, report, _ = exported("dicom_sr", drafted("wide", language), tmp_path)
    texts = [i.TextValue for i in items_of(instance) if i.ValueType == "TEXT"]
    assert all(any(line.text in text for text in texts) for line in report.lines)
    assert report.disclaimer() in texts


@pytest.mark.slow
@pytest.mark.parametrize(
    "orientation", [AXIAL, SAGITTAL, CORONAL, FLIPPED, OBLIQUE], ids=lambda o: str(o)
)
def test_dcmqi_finds_each_segment_where_the_labels_are(orientation, tmp_path):
    instance, _, source = exported("dicom_seg", drafted(), tmp_path, orientation=orientation)
    image = nibabel.load(source.labels)
    labels = np.asarray(image.dataobj)
    wholes = {5: (1, 2), 6: (3, 4)}
    for number, points in placed(tmp_path / "read", instance).items():
        expected = np.argwhere(np.isin(labels, wholes.get(number, (number,))))
        indices = nibabel.affines.apply_affine(np.linalg.inv(image.affine), points)
        assert np.abs(indices - indices.round()).max() < 1e-3
        assert sorted(map(tuple, indices.round().astype(int))) == sorted(map(tuple, expected))


def test_a_segment_is_coded_with_organ_side_and_part(tmp_path):
    instance, _, _ = exported("dicom_seg", drafted(), tmp_path)
    coded_as = {}
    for segment in instance.SegmentSequence:
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        modifiers = kind.SegmentedPropertyTypeModifierCodeSequence
        coded_as[segment.SegmentLabel] = (kind.CodeValue, *(m.CodeValue for m in modifiers))
    hippocampus, left, right = "5366008", "7771000", "24028007"
    assert coded_as == {
        "left hippocampus anterior": (hippocampus, left, "255549009"),
        "left hippocampus posterior": (hippocampus, left, "255551008"),
        "right hippocampus anterior": (hippocampus, right, "255549009"),
        "right hippocampus posterior": (hippocampus, right, "255551008"),
        "left hippocampus": (hippocampus, left),
        "right hippocampus": (hippocampus, right),
    }


def test_each_frame_refers_to_the_slice_that_it_lies_in(tmp_path):
    instance, _, source = exported("dicom_seg", drafted(), tmp_path)
    slices = [pydicom.dcmread(path) for path in source.series.iterdir()]
    positions = {data.SOPInstanceUID: list(data.ImagePositionPatient) for data in slices}
    for frame in instance.PerFrameFunctionalGroupsSequence:
        (derived,) = frame.DerivationImageSequence
        (referred,) = derived.SourceImageSequence
        (place,) = frame.PlanePositionSequence
        assert positions[referred.ReferencedSOPInstanceUID] == pytest.approx(
            list(place.ImagePositionPatient), abs=1e-6
        )


def test_one_segment_alone_is_written_and_referred_to(tmp_path):
    scan = series(tmp_path / "scan")
    study = read_study(scan)
    labels = np.where(labels_of(study.volume.geometry.shape) == 1, 1, 0).astype(np.uint8)
    path = written(labels, study.volume.geometry, tmp_path / "segmentation.nii.gz")
    records = tuple(
        replace(r, voxels=int(labels.sum()) if r.id in ("m1", "m2") else None)
        for r in drafted().measurements
    )
    provenance = {"input_sha256": study.volume.sha256}
    report = replace(drafted(), measurements=records, provenance=provenance)
    exporter("dicom_sr")
    seg, sr = (
        instance_of(exports.load(name, Source(scan, path))(report, [], MADE))
        for name in ("dicom_seg", "dicom_sr")
    )
    images = [i for i in items_of(sr) if i.ValueType == "IMAGE"]
    labelled = {s.SegmentLabel for s in seg.SegmentSequence}
    assert labelled == {"left hippocampus anterior", "left hippocampus"}
    assert [i.ReferencedSOPSequence[0].ReferencedSegmentNumber for i in images] == [2, 1]


def test_the_labels_are_numbered_as_the_segmenter_numbers_its_structures():
    exam = exams.load("hippocampus")
    structures = models.describe(exam.segmenter)["structures"][1:]
    organ = organs.load(exam.organs[0])
    numbers = organs.label_numbers(organ, organ.sides)
    assert [name for side, name in numbers if side == "left"] == structures
    assert set(numbers.values()) == set(LABELS.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dicom_sr", "dicom_seg"])
@languages
def test_a_validator_finds_no_error(name, language, tmp_path):
    for kind in ("plain", "wide"):
        instance, _, _ = exported(name, drafted(kind, language), tmp_path)
        assert dciodvfy(instance, tmp_path / "instance.dcm") == []


@pytest.mark.parametrize("name", ["dicom_sr", "dicom_seg"])
def test_the_patient_of_the_source_stands_in_the_instance(name, tmp_path):
    instance, _, source = exported(name, drafted(), tmp_path)
    original = pydicom.dcmread(next(source.series.iterdir()))
    tags = [*PATIENT, "StudyInstanceUID", "StudyDate"]
    if name == "dicom_sr":
        tags.remove("FrameOfReferenceUID")
    assert {tag: instance[tag].value for tag in tags} == {tag: original[tag].value for tag in tags}


@pytest.mark.parametrize("name", ["dicom_sr", "dicom_seg"])
def test_a_name_in_another_alphabet_keeps_its_letters(name, tmp_path):
    options = {"SpecificCharacterSet": "GB18030", "PatientName": "王^小东"}
    instance, _, _ = exported(name, drafted(), tmp_path, **options)
    assert str(instance.PatientName) == "王^小东"


def test_one_series_is_read_once_and_gives_each_file_as_it_is_alone(tmp_path, monkeypatch):
    names = ("dicom_sr", "dicom_seg", "dicom_pm")
    alone, report, source = {}, drafted(), None
    for name in names:
        instance, fit, source = exported(name, report, tmp_path)
        alone[name] = instance
    read = []
    inner = segments.read_source_series
    monkeypatch.setattr(segments, "read_source_series", lambda *a: read.append(a) or inner(*a))
    afresh = replace(source)
    together = [exports.load(name, afresh) for name in names]
    written = {
        name: instance_of(export(fit, [], MADE))
        for name, export in zip(names, together, strict=True)
    }
    assert len(read) == 1
    assert written == alone
    exports.load("dicom_seg", afresh)(replace(fit, language="zh"), [], MADE)
    assert len(read) == 2


@pytest.mark.parametrize("name", ["dicom_sr", "dicom_seg"])
def test_no_patient_reaches_a_log_an_error_or_the_report(name, tmp_path, caplog, capfd, recwarn):
    odd = {"PatientName": "Quetzal Rare", "PatientSex": "Q", "PatientBirthDate": "19509999"}
    with caplog.at_level(logging.DEBUG), pydicom.config.disable_value_validation():
        _, report, source = exported(name, drafted(), tmp_path, **odd)
        wrong = replace(report, provenance={"input_sha256": "0" * 64})
        with pytest.raises(ScanError) as refusal:
            exports.load(name, source)(wrong, [], MADE)
    said = [caplog.text, *capfd.readouterr(), *(str(w.message) for w in recwarn), repr(source)]
    said += [str(refusal.value), report_bytes(report).decode()]
    assert not [text for text in said if "Quetzal" in text or "QZ-1" in text or "9509999" in text]


def test_another_series_is_refused(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    other = series(tmp_path / "other", count=8)
    with pytest.raises(ScanError, match="other: expected the DICOM series of the report"):
        exports.load("dicom_seg", Source(other, source.labels))(report, [], MADE)


def test_the_series_of_the_report_is_found_among_others(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    series(source.series / "second", series=5)
    data = exports.load("dicom_seg", source)(report, [], MADE)
    assert instance_of(data).Modality == "SEG"


def test_a_nifti_file_is_no_source(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    path = nifti(tmp_path)
    with pytest.raises(ScanError, match=r"scan\.nii\.gz: expected the DICOM series of the report"):
        exports.load("dicom_seg", Source(path, source.labels))(report, [], MADE)


def test_labels_of_another_draft_are_refused(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    geometry = read_study(source.series).volume.geometry
    written(labels_of(geometry.shape)[:, ::-1] * 0 + 1, geometry, source.labels)
    with pytest.raises(ScanError, match="expected labels with"):
        exports.load("dicom_seg", replace(source))(report, [], MADE)


def test_labels_of_equal_counts_in_other_places_are_refused(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    geometry = read_study(source.series).volume.geometry
    labels = np.asarray(nibabel.load(source.labels).dataobj)
    written(labels[:, ::-1], geometry, source.labels)
    with pytest.raises(ScanError, match="expected the map whose hash the report states"):
        exports.load("dicom_seg", replace(source))(report, [], MADE)


def test_a_value_that_was_entered_by_hand_is_called_that_and_refers_to_no_segment(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    byhand = Overridden("m1", 3.9, 3.6, 4.2, "Dr Test", MADE)
    changed = replace(report, measurements=overridden(byhand, report.measurements))
    sr, seg = (
        instance_of(exports.load(name, source)(changed, [], MADE))
        for name in ("dicom_sr", "dicom_seg")
    )
    assert list(sr_mismatches(sr, changed)) == []
    entered, derived = groups_of(sr)["m1"], groups_of(sr)["m7"]
    for group, basis in ((entered, "entered"), (derived, "derived")):
        names = {code_of(i) for i in items_of(group) if i.ValueType == "NUM"}
        assert {f"{basis}-lower", f"{basis}-upper"} < names
        assert not names & {"interval-lower", "interval-upper", "coverage"}
    assert not [i for i in entered.ContentSequence if i.ValueType == "IMAGE"]
    assert "unet-1" not in [i.TextValue for i in items_of(entered) if i.ValueType == "TEXT"]
    assert "Prediction interval" not in str(entered)
    assert "m1" not in {segment.TrackingID for segment in seg.SegmentSequence}


def test_a_sentence_that_a_person_wrote_is_marked_with_the_name_in_a_structured_report(tmp_path):
    _, report, source = exported("dicom_sr", drafted(), tmp_path)
    number = next(n for n, line in enumerate(report.lines) if "m7" in line.cites)
    change = Edited(number, "The hippocampi differ.", "Dr Test", MADE)
    changed = Manuscript(report).with_change(change).report
    sr = instance_of(exports.load("dicom_sr", source)(changed, [], MADE))
    texts = [item.TextValue for item in items_of(sr) if item.ValueType == "TEXT"]
    assert "The hippocampi differ. (edited by Dr Test) [m7]" in texts


def test_labels_on_another_grid_are_refused(tmp_path):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    image = nibabel.load(source.labels)
    affine = nibabel.affines.from_matvec(np.eye(3), (1, 0, 0)) @ image.affine
    moved = nibabel.Nifti1Image(np.asarray(image.dataobj), affine)
    moved.header.set_xyzt_units("mm")
    moved.to_filename(source.labels)
    with pytest.raises(ScanError, match="expected labels on the grid of the series"):
        exports.load("dicom_seg", replace(source))(report, [], MADE)


def test_a_slice_without_a_frame_of_reference_is_refused(tmp_path):
    with pytest.raises(ScanError, match="expected FrameOfReferenceUID in every slice"):
        exported("dicom_seg", drafted(), tmp_path, FrameOfReferenceUID="")


def test_the_command_writes_both_beside_the_report(tmp_path, capsys):
    _, report, source = exported("dicom_seg", drafted(), tmp_path)
    (tmp_path / "report.json").write_bytes(report_bytes(report, MADE))
    arguments = ["export", str(tmp_path / "report.json"), "--to", "dicom_sr,dicom_seg"]
    assert main([*arguments, "--source", str(source.series)]) == 0
    assert capsys.readouterr().out == "wrote report.sr.dcm\nwrote report.seg.dcm\n"
    assert pydicom.dcmread(tmp_path / "report.sr.dcm").Modality == "SR"


def test_the_command_without_a_source_says_which_option_to_give(tmp_path, capsys):
    exporter("dicom_sr")
    path = tmp_path / "report.json"
    path.write_bytes(report_bytes(drafted(), MADE))
    assert main(["export", str(path), "--to", "dicom_sr"]) == 2
    assert "--source" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mr_hippocampus_crop_32slices", "mr_t1_whole_head_120slices"])
def test_a_real_series_gives_files_that_others_read(name, tmp_path):
    exporter("dicom_sr")
    scan = shared_data("dicom", name)
    report, source = fitted(drafted(), scan, tmp_path / "segmentation.nii.gz")
    sr, seg = (
        instance_of(exports.load(export, source)(report, [], MADE))
        for export in ("dicom_sr", "dicom_seg")
    )
    labels = np.asarray(nibabel.load(source.labels).dataobj)
    counted = {number: len(points) for number, points in placed(tmp_path / "read", seg).items()}
    assert list(sr_mismatches(sr, report)) == []
    assert list(dcmqi_mismatches(sr, report, tmp_path)) == []
    assert {n: int((labels == n).sum()) for n in (1, 2, 3, 4)}.items() <= counted.items()
    assert dciodvfy(sr, tmp_path / "sr.dcm") == []
    assert dciodvfy(seg, tmp_path / "seg.dcm") == []
