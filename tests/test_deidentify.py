"""A de-identified series names nobody, keeps its pictures, and is refused where that is unsure."""

import gzip
import io
import logging
import stat
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table_e
from pydicom.datadict import tag_for_keyword

from assistant import exports
from assistant.cli import OK, REFUSED, main
from assistant.deidentify import deidentified_files, dicom_files, new_pseudonyms, without_people
from assistant.page.store import Store
from assistant.page.work import Request, Workshop
from assistant.report import Line, report_bytes
from assistant.sign import sign
from assistant.study import read_study
from segment.errors import Refusal, ScanError
from segment.reading import find_series, list_files, read_series
from segment.reading.deidentify import kept
from segment.reading.pseudonym import Pseudonyms
from tests.exported import MADE, exporter
from tests.hostile.make import dicom_slices, slice_file
from tests.orthanc import log_in, needs_server, orthanc
from tests.phantoms import ThresholdSegmenter, calibrated, head, registered
from tests.planted import NAME, plant, series_of
from tests.shared_data import shared_data
from tests.sources import PATIENT, fitted, series
from tests.test_page_work import phantom_assistant
from tests.test_pipeline import assistant_of
from tests.test_referral import Listening, texts_in
from tests.test_report import drafted

DICOM = "dicom_sr,dicom_seg,dicom_pm"
ENHANCED = "mr_enhanced_multiframe_five_volumes"
KEY = Pseudonyms(bytes(range(32)))


def cleaned(folder, pseudonyms=KEY):
    return [
        pydicom.dcmread(pydicom.filebase.DicomBytesIO(made.content))
        for made in deidentified_files(dicom_files(folder), pseudonyms)
    ]


def changed(folder, **tags):
    """Write one picture with other tags; return its folder."""
    path = slice_file(folder)
    data = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)
    return path.parent


def refused(folder):
    with pytest.raises(ScanError) as refusal:
        cleaned(folder)
    assert NAME not in str(refusal.value)
    return refusal.value.code


def test_a_name_in_every_text_tag_is_in_no_file(tmp_path):
    path = slice_file(tmp_path)
    data = plant(pydicom.dcmread(path))
    count = sum(NAME in str(item.value) for item in data)
    with pydicom.config.disable_value_validation():
        data.save_as(path)
    (made,) = deidentified_files([path], KEY)
    assert count > 1000
    assert path.read_bytes().count(NAME.encode()) > 1000
    assert NAME.lower().encode() not in made.content.lower()


def test_a_name_in_capitals_is_no_code_string(tmp_path):
    words = dict.fromkeys(("BodyPartExamined", "PatientPosition", "ScanOptions"), "QUETZAL")
    words["ImageType"] = ["ORIGINAL", "PRIMARY", "QUETZAL"]
    (data,) = cleaned(changed(tmp_path, **words))
    assert "QUETZAL" not in str(data)
    assert list(data.ImageType) == ["ORIGINAL", "PRIMARY"]


def test_what_is_kept_is_nothing_that_the_profile_takes_out():
    """PS3.15 table E.1-1 of 2026c, as another project reads it."""
    rows = {tuple(tag[:2]) for tag in table_e.ALL_TAGS}
    assert len(rows) > 600
    asked = {"uids": table_e.U_TAGS, "empty": table_e.Z_TAGS}
    for keyword, kind in kept().kinds.items():
        tag = tag_for_keyword(keyword)
        pair = (tag >> 16, tag & 0xFFFF)
        assert pair not in rows or pair in {tuple(t[:2]) for t in asked.get(kind, ())}, keyword


def test_the_pictures_and_their_places_stay(tmp_path):
    scan = series(tmp_path / "scan")
    out = tmp_path / "out"
    assert main(["deidentify", str(scan), "-o", str(out)]) == OK
    before, after = read_study(scan).volume, read_study(out).volume
    assert np.array_equal(before.array, after.array)
    assert before.geometry.matches(after.geometry)
    assert after.date is None


def test_a_file_says_that_and_how_it_was_deidentified(tmp_path):
    data = cleaned(changed(tmp_path))[0]
    assert data.PatientIdentityRemoved == "YES"
    assert data.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert (data.PatientName, data.StudyDate, data.Manufacturer) == ("", "", "")
    assert data.PatientID.startswith("P")


def test_identifiers_follow_from_the_key_and_from_nothing_else(tmp_path):
    scan = dicom_slices(tmp_path / "scan")
    one, again, other = cleaned(scan), cleaned(scan), cleaned(scan, new_pseudonyms())
    original = pydicom.dcmread(next(scan.iterdir()))
    for tag in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert {data[tag].value for data in one} == {again[0][tag].value}
        assert one[0][tag].value not in (other[0][tag].value, original[tag].value)
    assert len({data.SOPInstanceUID for data in one}) == 6
    assert all(data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID for data in one)
    assert all(data.SOPInstanceUID.is_valid for data in one)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"BurnedInAnnotation": "YES"}, Refusal.BURNT_IN),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Refusal.UNSUPPORTED_DICOM),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, Refusal.UNSUPPORTED_DICOM),
        ({"SamplesPerPixel": 3}, Refusal.UNSUPPORTED_DICOM),
        ({"PixelData": bytes(160) + NAME.encode()}, Refusal.UNREADABLE),
        ({"StudyInstanceUID": ""}, Refusal.UNREADABLE),
    ],
)
def test_what_may_hold_a_patient_is_refused(tags, code, tmp_path):
    assert refused(changed(tmp_path, **tags)) is code


@pytest.mark.parametrize(
    ("signed", "stored", "written"), [(0, 0xF123, 0x0123), (1, 0x7123, 0x0123), (1, 0x0923, 0xF923)]
)
def test_bits_beside_the_stored_ones_hold_no_overlay(signed, stored, written, tmp_path):
    tags = {"PixelRepresentation": signed, "PixelData": stored.to_bytes(2, "little") * 80}
    (data,) = cleaned(changed(tmp_path, **tags))
    assert data.PixelData == written.to_bytes(2, "little") * 80


def test_a_refused_file_leaves_no_other(tmp_path, capsys):
    scan = dicom_slices(tmp_path / "scan")
    changed(scan, BurnedInAnnotation="YES")
    out = tmp_path / "out"
    assert (
        main(["deidentify", str(scan), "-o", str(out), "--key", str(tmp_path / "key")]) == REFUSED
    )
    assert "[burnt-in]" in capsys.readouterr().err
    assert not out.exists()
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize(("said", "count"), [("NO", 0), (None, 1)])
def test_a_file_that_does_not_say_what_is_burnt_in_is_told(said, count, tmp_path, capsys):
    folder = changed(tmp_path, **({} if said is None else {"BurnedInAnnotation": said}))
    assert main(["deidentify", str(folder), "-o", str(tmp_path / "out")]) == OK
    assert ("burnt into their pixels" in capsys.readouterr().out) == bool(count)


def test_a_key_is_made_once_for_its_owner_alone_and_gives_the_same_series_again(tmp_path):
    scan, key = dicom_slices(tmp_path / "scan"), tmp_path / "key.json"
    for name in ("one", "two"):
        assert main(["deidentify", str(scan), "-o", str(tmp_path / name), "--key", str(key)]) == OK
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 2}', "[" * 9000])
def test_what_is_no_key_is_refused(content, tmp_path, capsys):
    key = tmp_path / "key.json"
    key.write_text(content, encoding="utf-8")
    scan = dicom_slices(tmp_path / "scan", count=1)
    assert main(["deidentify", str(scan), "-o", str(tmp_path / "o"), "--key", str(key)]) == REFUSED
    assert "key.json: expected a" in capsys.readouterr().err


def test_nothing_is_written_among_files_that_may_name_a_patient(tmp_path, capsys):
    scan = dicom_slices(tmp_path / "scan")
    before = sorted(scan.iterdir())
    assert main(["deidentify", str(scan), "-o", str(scan)]) == REFUSED
    assert "expected an empty folder" in capsys.readouterr().err
    assert sorted(scan.iterdir()) == before


@pytest.mark.slow
def test_every_encoding_keeps_its_pixels(tmp_path):
    for folder in sorted(shared_data("dicom", "mr_nine_transfer_syntaxes").iterdir()):
        files = [folder] if folder.is_file() else list(folder.iterdir())
        for made, path in zip(deidentified_files(files, KEY), files, strict=True):
            clean = pydicom.dcmread(pydicom.filebase.DicomBytesIO(made.content))
            original = pydicom.dcmread(path)
            assert clean.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
            assert clean.PixelData == original.PixelData


@pytest.mark.slow
def test_an_enhanced_file_keeps_its_volumes(tmp_path):
    scan, out = shared_data("dicom", ENHANCED), tmp_path / "out"
    assert main(["deidentify", str(scan), "-o", str(out)]) == OK
    before, after = (find_series(list_files(folder))[0].volumes for folder in (scan, out))
    assert len(before) == len(after) == 5
    one, other = read_series(before[2]), read_series(after[2])
    assert np.array_equal(one.array, other.array)
    assert one.geometry.matches(other.geometry)


def test_a_report_that_people_wrote_in_is_refused():
    report = drafted()
    quoted = Line("indication", "Seizures.", (), "quoted")
    edited = Line("findings", "Seen.", (), "edited by")
    for line in (quoted, edited):
        with pytest.raises(ScanError, match="no person wrote in"):
            without_people(replace(report, lines=(*report.lines, line)))
    with pytest.raises(ScanError, match="found a signature"):
        without_people(sign(report, "Dr A", MADE))
    with pytest.raises(ScanError, match="found changes with names"):
        without_people(replace(report, provenance={"changed": ["line 1 edited by Dr A"]}))


def test_a_deidentified_report_states_no_date():
    report = drafted()
    dated = tuple(replace(record, date="2024-02-29") for record in report.measurements)
    anonymous = without_people(replace(report, measurements=dated))
    assert "2024" not in report_bytes(anonymous).decode()


@pytest.mark.slow
def test_deidentified_dicom_refers_to_the_series_of_the_same_key(tmp_path):
    exporter("dicom_sr")
    scan, key = series(tmp_path / "scan"), tmp_path / "key.json"
    report, _ = fitted(drafted(), scan, tmp_path / "segmentation.nii.gz")
    (tmp_path / "report.json").write_bytes(report_bytes(report, MADE))
    assert main(["deidentify", str(scan), "-o", str(tmp_path / "out"), "--key", str(key)]) == OK
    asked = ["export", str(tmp_path / "report.json"), "--to", "dicom_sr,dicom_seg"]
    asked += ["--source", str(scan), "--deidentified"]
    assert main([*asked, "--key", str(key)]) == OK
    clean = pydicom.dcmread(next((tmp_path / "out").iterdir()))
    made = pydicom.dcmread(tmp_path / "report.seg.dcm")
    assert made.FrameOfReferenceUID == clean.FrameOfReferenceUID != "2.25.4711"
    for name in ("report.sr.dcm", "report.seg.dcm"):
        content = (tmp_path / name).read_bytes()
        made = pydicom.dcmread(tmp_path / name)
        for tag in ("PatientID", "StudyInstanceUID", "PatientIdentityRemoved"):
            assert made[tag].value == clean[tag].value
        assert clean.SeriesInstanceUID.encode() in content
        for value in (PATIENT["PatientName"], "QZ-1", "19500607", "ACC-77", "20240229"):
            assert value.encode() not in content


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--deidentified", "--source", "scan"], "found none; give --key FILE"),
        (["--key", "key"], "expected --deidentified with --key"),
    ],
)
def test_half_of_the_options_is_refused(options, said, tmp_path, capsys):
    (tmp_path / "report.json").write_bytes(report_bytes(drafted(), MADE))
    assert main(["export", str(tmp_path / "report.json"), "--to", "json", *options]) == REFUSED
    assert said in capsys.readouterr().err


@pytest.fixture
def in_place(monkeypatch):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())


def holding(folder):
    """List the files below a folder that hold the name, in their content or their own name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        path.name
        for path in files
        if any(NAME.lower().encode() in content.lower() for content in contents(path.read_bytes()))
        or NAME in path.name
    ]


def contents(data):
    """Yield a file as it is, and what a reader would unpack of it."""
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield from contents(gzip.decompress(data))
    elif data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from contents(archive.read(name))
    elif data.startswith(b"%PDF"):
        for command in (("pdftotext", "-", "-"), ("pdfinfo", "-")):
            yield subprocess.run(command, input=data, check=True, capture_output=True).stdout


def test_a_name_is_found_however_a_file_is_packed(tmp_path):
    said = f"by {NAME}".encode()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(said * 9))
    with zipfile.ZipFile(tmp_path / "b.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("document.xml", said * 9)
    exporter("pdf")
    report = replace(drafted(), lines=(Line("findings", f"Of {NAME}.", (), "stated"),))
    (tmp_path / "c.pdf").write_bytes(exports.load("pdf")(report, [], MADE))
    for path in tmp_path.iterdir():
        assert NAME.encode() not in path.read_bytes()
    assert sorted(holding(tmp_path)) == ["a.nii.gz", "b.docx", "c.pdf"]


def test_a_name_in_the_scan_reaches_no_writer_and_so_no_prompt(in_place, tmp_path):
    scan, writer = tmp_path / NAME, Listening()
    series_of(head(field_mm=110).volume, scan)
    study = read_study(scan)
    assert study.identifiers.patient_id.startswith(NAME)
    assistant_of(writer=writer)(study)
    (brief,) = writer.heard
    reached = list(texts_in(brief))
    assert len(reached) > 100
    assert not [text for text in reached if NAME in text]


@pytest.mark.slow
def test_a_name_in_the_scan_is_in_no_output(
    in_place, tmp_path, capfd, caplog, recwarn, monkeypatch
):
    """Report, pictures, every export, logs, messages, refusals and the page's own files."""
    for name in ("pdf", "docx", "fhir", "dicom_sr", "dicom_pm"):
        exporter(name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scan, out, key = tmp_path / NAME / "scan", tmp_path / "out", tmp_path / "key"
    series_of(head(field_mm=110).volume, scan)
    with caplog.at_level(logging.DEBUG):
        assert main(["draft", str(scan), "-o", str(out), "--writer", "template"]) == OK
        plain = ["export", str(out / "report.json"), "--to"]
        assert main([*plain, "markdown,json,pdf,docx,fhir", "-o", str(tmp_path / "plain")]) == OK
        assert (
            main(["deidentify", str(scan), "-o", str(tmp_path / "clean"), "--key", str(key)]) == OK
        )
        dicom = ["--source", str(scan), "--deidentified", "--key", str(key)]
        assert main([*plain, DICOM, *dicom, "-o", str(tmp_path / "dicom")]) == OK
        first = min(scan.iterdir())
        first.write_bytes(first.read_bytes()[:-50])
        damaged = ["draft", str(scan), "-o", str(tmp_path / "no"), "--writer", "template"]
        assert main(damaged) == REFUSED
        on_the_page(scan, tmp_path / "state")
    folders = ("out", "plain", "clean", "dicom", "state")
    assert {name: found for name in folders if (found := holding(tmp_path / name))} == {}
    said = [caplog.text, *capfd.readouterr(), *(str(w.message) for w in recwarn)]
    assert [text[:200] for text in said if NAME in text.replace(first.name, "")] == []


@pytest.mark.slow
@needs_server
def test_a_name_in_a_scan_on_a_server_is_in_no_output(
    in_place, tmp_path, capfd, caplog, recwarn, monkeypatch
):
    """Store, find, fetch, draft from the server, DICOM files of the draft, and refusals."""
    exporter("dicom_pm")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    log_in(tmp_path / "netrc", monkeypatch)
    scan = series_of(head(field_mm=110).volume, tmp_path / NAME / "scan", planted_in=0)
    names = dict.fromkeys(("PatientName", "PatientID", "StudyDescription", "ImageComments"), NAME)
    first = min(scan.iterdir())
    data = pydicom.dcmread(first)
    assert all(NAME in str(data[tag].value) for tag in names)
    out, fetched, files = tmp_path / "out", tmp_path / "fetched", tmp_path / "files"
    (tmp_path / "server").mkdir()
    with caplog.at_level(logging.DEBUG), orthanc(tmp_path / "server") as root:
        study = f"{root}/studies/{data.StudyInstanceUID}"
        assert main(["dicomweb", "store", root, *map(str, sorted(scan.iterdir()))]) == OK
        assert main(["dicomweb", "find", root]) == OK
        assert main(["dicomweb", "fetch", study, "-o", str(fetched)]) == OK
        assert main(["draft", study, "-o", str(out), "--writer", "template"]) == OK
        report = ["export", str(out / "report.json"), "--source", str(fetched), "-o", str(files)]
        key = ["--deidentified", "--key", str(tmp_path / "key")]
        assert main(["deidentify", str(fetched), "-o", str(tmp_path / "clean"), *key[1:]]) == OK
        assert main([*report, "--to", DICOM, *key]) == OK
        assert main(["dicomweb", "store", root, *map(str, files.iterdir())]) == OK
        first.write_bytes(first.read_bytes()[:-50] + NAME.encode())
        assert main(["dicomweb", "store", root, str(first), str(tmp_path / "key")]) == REFUSED
        assert main(["dicomweb", "fetch", study, "-o", str(fetched)]) == REFUSED
        assert main(["draft", f"{study}.1", "-o", str(out), "--writer", "template"]) == REFUSED
    assert [holding(tmp_path / name) for name in ("out", "files", "clean")] == [[], [], []]
    assert not [path.name for path in fetched.iterdir() if NAME in path.name]
    assert list(temporary.iterdir()) == []
    said = [caplog.text, *capfd.readouterr(), *(str(w.message) for w in recwarn)]
    assert f"  {study}" in said[1]
    assert [text for text in said if NAME in text.replace(first.name, "")] == []


def on_the_page(scan, state):
    """Draft a series as the page does, and a damaged one."""
    store = Store.open(state)
    workshop = Workshop(store, phantom_assistant)
    whole = scan.parent / "whole"
    whole.mkdir()
    for path in sorted(scan.iterdir())[1:]:
        path.rename(whole / path.name)
    states = []
    for source in (whole, scan):
        job = workshop.begin(store.add("ada", "scan", "hippocampus", "en"), Request(source))
        while not job.is_over:
            job.news(len(job.results), 0.2)
        states.append(job.state)
    workshop.close()
    store.close()
    assert states == ["drafted", "failed"]
