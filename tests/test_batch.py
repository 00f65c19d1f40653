"""A batch in this process: the files of single drafts, a row for every study, nothing twice."""

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter

import pytest

import assistant
from assistant import Settings, batch, read_study
from assistant.batch import parquet
from assistant.batch.manifest import column_of
from assistant.batch.outcome import STAGES
from assistant.cli import main
from assistant.output import write_draft
from assistant.written import now
from segment.errors import ScanError
from tests.batches import broken, crop, crops, toy, written
from tests.hostile.catalogue import BAD_INPUTS, make
from tests.hostile.make import deflated, dicom_slices
from tests.phantoms import ThresholdSegmenter, calibrated, head, registered
from tests.small_disk import on_a_small_disk
from tests.test_batch_plan import PYARROW, table

AXES = (6.0, 14.0, 8.0), (6.6, 15.4, 8.8)  # of the ellipsoid in a head now and before, in mm
MAPS = {"segmentation.nii.gz", "probability.nii.gz", "entropy.nii.gz", "mutual_information.nii.gz"}
FILES = {"report.json", "report.md", "overlay_hippocampus_left.png"} | MAPS


def run(source, output, *, settings=None, side="left", recipe=toy, workers=0, **options):
    """Run a batch in this process and return its outcomes by id."""
    planned = batch.plan(source, settings or Settings(writer="template"), side=side)
    found = list(batch.run(planned, output, workers=workers, recipe=recipe, **options))
    return {outcome.id: outcome for outcome in found}


def report(folder):
    """Read a report without its time."""
    table = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    del table["created"]
    return table


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three scans, one of them damaged and one withheld for its size."""
    folder = tmp_path_factory.mktemp("Quetzal") / "night"
    crop(folder / "a.nii.gz", radius_mm=9.0)
    crop(folder / "b.nii.gz", radius_mm=4.0)
    (folder / "c.nii.gz").write_bytes(b"no scan")
    return folder


@pytest.fixture(scope="module")
def night(scans, tmp_path_factory):
    """The folder of a run over them that is over."""
    output = tmp_path_factory.mktemp("Oriole") / "out"
    run(scans, output)
    return output


def rows(output):
    with (output / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


# the files


def test_each_study_has_the_files_of_a_single_draft(night):
    assert sorted(path.name for path in (night / "studies").iterdir()) == ["a", "b"]
    assert {path.name for path in (night / "studies" / "a").iterdir()} == FILES


def test_a_study_is_drafted_as_it_is_alone(scans, night, tmp_path):
    assistant, study = toy(Settings(writer="template")), read_study(scans / "a.nii.gz")
    segmented = assistant.crop(study, "left")
    *_, alone = assistant.report(study, segmented)
    write_draft(tmp_path, study, segmented, alone, now())
    assert report(night / "studies" / "a") == report(tmp_path)
    for name in FILES - {"report.json"} - MAPS:
        assert (night / "studies" / "a" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_head_gets_the_report_that_voxcite_draft_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())
    volume = head(field_mm=110).volume
    scan = written(tmp_path / "in" / "head.nii.gz", volume.array, volume.geometry.affine)
    main(["draft", str(scan), "-o", str(tmp_path / "alone"), "--writer", "template"])
    main(
        ["batch", str(scan.parent), str(tmp_path / "out"), "--workers", "0", "--writer", "template"]
    )
    whole = tmp_path / "out" / "studies" / "head"
    assert report(whole) == report(tmp_path / "alone")
    assert {p.name for p in whole.iterdir()} == {p.name for p in (tmp_path / "alone").iterdir()}
    assert "\n1 drafted; see summary.html" in capsys.readouterr().out


def test_equal_runs_write_equal_reports(scans, night, tmp_path):
    run(scans, tmp_path / "out")
    for name in ("a", "b"):
        assert report(tmp_path / "out" / "studies" / name) == report(night / "studies" / name)


# what fails


def test_a_study_that_fails_is_a_row_with_its_code_and_the_others_go_on(night):
    found = rows(night)
    assert {name: row["status"] for name, row in found.items()} == {
        "a": "drafted",
        "b": "nothing-measured",
        "c": "failed",
    }
    assert found["c"]["code"] == "unreadable"
    assert found["c"]["sentence"].startswith("c: expected a NIfTI file")


@pytest.mark.slow
def test_every_bad_input_is_a_row_with_its_own_code(tmp_path):
    above = tmp_path / "Quetzal_Rare"
    above.mkdir()
    made = {}
    for number, kind in enumerate(BAD_INPUTS):
        folder = above / str(number)
        folder.mkdir()
        path, code = make(kind, folder)
        made[f"s{number}"] = path, str(code)
    made["good"] = crop(above / "good.nii.gz"), ""
    listed = table(above / "night.csv", [(name, path) for name, (path, _) in made.items()])
    found = run(listed, tmp_path / "out")
    assert {name: outcome.code or "" for name, outcome in found.items()} == {
        name: code for name, (_, code) in made.items()
    }
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"Quetzal" not in path.read_bytes()


def test_a_fault_of_the_program_is_a_row_that_quotes_no_scan(scans, tmp_path):
    outcome = run(scans, tmp_path / "out", recipe=broken)["a"]
    assert outcome.code == "internal"
    assert outcome.sentence.startswith("a: expected no fault of the program, found KeyError (batch")
    assert "Quetzal" not in outcome.sentence


@pytest.mark.slow
def test_a_dicom_folder_called_after_a_patient_leaves_no_trace_of_the_name(tmp_path):
    dicom_slices(tmp_path / "in" / "DOE_JANE", PatientName="DOE^JANE")
    deflated(tmp_path).rename(tmp_path / "in" / "DOE_JANE" / "DOE_0.dcm")
    output = tmp_path / "out"
    run(tmp_path / "in", output)
    assert {name: row["code"] for name, row in rows(output).items()} == {
        "0001": "field-too-small",
        "0002": "unsupported-dicom",
    }
    for path in output.rglob("*"):
        assert "DOE" not in path.name
        assert path.is_dir() or b"DOE" not in path.read_bytes()


def test_a_writer_whose_model_cannot_be_had_stops_the_run_before_any_study(scans, tmp_path):
    settings = Settings(writer="template", model="no-such-model")
    planned = batch.plan(scans, settings, side="left")
    with pytest.raises(ValueError, match="takes no model"):
        list(batch.run(planned, tmp_path / "out", workers=0))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_stops_the_run_in_one_sentence_and_it_is_resumed(scans, tmp_path, workers):
    def body(disk, grow):
        with pytest.raises(ScanError, match="out: expected room on its disk, found none left"):
            run(scans, disk / "out", workers=workers)
        before = {outcome.id for outcome in batch.outcomes(disk / "out")}
        assert grow(8192)
        after = run(scans, disk / "out", workers=workers, resume=True)
        assert before.isdisjoint(after)
        assert before | after.keys() == {"a", "b", "c"}
        assert set(rows(disk / "out")) == {"a", "b", "c"}

    on_a_small_disk(tmp_path / "disk", 80, body)


# in one call


def test_a_batch_is_one_call_that_returns_what_became_of_each_study(scans, tmp_path):
    called = {"settings": Settings(writer="template"), "side": "left", "workers": 0, "recipe": toy}
    found = assistant.batch(scans, tmp_path / "out", **called)
    assert (tmp_path / "out" / "summary.html").exists()  # before anything is read
    assert {o.id: o.status for o in found} == {
        "a": "drafted",
        "b": "nothing-measured",
        "c": "failed",
    }
    again = assistant.batch(scans, tmp_path / "out", resume=True, **called)
    assert [outcome.id for outcome in again] == ["a", "b", "c"]
    with pytest.raises(ScanError, match="add --resume"):
        assistant.batch(scans, tmp_path / "out", **called)


def test_what_can_be_called_is_still_the_package():
    from assistant.batch.run import run as own

    assert (assistant.batch, batch.run) == (sys.modules["assistant.batch"], own)


# going on


def test_a_run_that_is_stopped_goes_on_and_does_nothing_twice(tmp_path):
    crops(tmp_path / "in", 4)
    planned = batch.plan(tmp_path / "in", side="left")
    running = batch.run(planned, tmp_path / "out", workers=0, recipe=toy)
    first = [next(running).id, next(running).id]
    running.close()
    rest = [o.id for o in batch.run(planned, tmp_path / "out", workers=0, recipe=toy, resume=True)]
    assert [*first, *rest] == ["s0001", "s0002", "s0003", "s0004"]
    assert list(rows(tmp_path / "out")) == [*first, *rest]
    again = batch.run(planned, tmp_path / "out", workers=0, recipe=toy, resume=True)
    assert list(again) == []


def test_what_is_yielded_is_on_the_disk_already(scans, tmp_path):
    planned = batch.plan(scans, side="left")
    for outcome in batch.run(planned, tmp_path / "out", workers=0, recipe=toy):
        assert outcome in list(batch.outcomes(tmp_path / "out"))
        if outcome.status != "failed":
            text = (tmp_path / "out" / "studies" / outcome.id / "report.json").read_bytes()
            assert hashlib.sha256(text).hexdigest() == outcome.report_sha256


def test_one_exam_in_two_languages_reads_its_models_once(scans, tmp_path):
    built = Counter()

    def counted(settings):
        built[settings.exam] += 1
        return toy(settings)

    columns = ("id", "study", "language")
    listed = [("a", scans / "a.nii.gz", "zh"), ("b", scans / "b.nii.gz", "en")]
    run(table(tmp_path / "t.csv", listed, columns), tmp_path / "out", recipe=counted)
    assert built == {"hippocampus": 2}  # once to prepare, once to draft
    languages = [report(tmp_path / "out" / "studies" / name)["language"] for name in "ab"]
    assert languages == ["zh", "en"]
    plans = [report(tmp_path / "out" / "studies" / name)["provenance"]["plan"] for name in "ab"]
    assert [plan["language"] for plan in plans] == ["zh", "en"]


def test_a_negative_number_of_workers_is_refused(scans, tmp_path):
    with pytest.raises(ScanError, match="workers: expected"):
        list(batch.run(batch.plan(scans), tmp_path / "out", workers=-1))


# the manifest


def test_the_manifest_holds_every_value_and_interval_of_the_reports(night):
    for outcome in batch.outcomes(night):
        row = rows(night)[outcome.id]
        for record in outcome.measurements:
            name = column_of(record)
            if record.reason is None:
                cells = [float(row[f"{name}{end}"]) for end in ("", "_lower", "_upper")]
                interval = record.interval
                assert cells == [record.value, interval.lower, interval.upper]
            else:
                assert row[name] == row[f"{name}_lower"] == ""
                assert row[f"{name}_reason"] == record.reason


def test_some_value_of_these_studies_is_reported_and_some_is_withheld(night):
    reasons = [record.reason for o in batch.outcomes(night) for record in o.measurements]
    assert None in reasons
    assert len(set(reasons)) > 1


def test_a_column_names_quantity_side_and_unit(night):
    assert {
        "hippocampus_left_volume_ml",
        "hippocampus_anterior_left_volume_ml",
        "hippocampus_posterior_left_volume_ml_reason",
    } <= rows(night)["a"].keys()


def test_the_manifest_holds_hashes_and_the_time_of_each_stage(night):
    row = rows(night)["a"]
    folder = night / "studies" / "a"
    digest = hashlib.sha256((folder / "report.json").read_bytes()).hexdigest()
    assert row["report_sha256"] == digest
    assert row["input_sha256"] == report(folder)["provenance"]["input_sha256"]
    times = [float(row[f"{stage}_s"]) for stage in STAGES if row[f"{stage}_s"]]
    assert len(times) == 6  # a crop is neither gated nor located
    assert float(row["total_s"]) == pytest.approx(sum(times), abs=1e-3)


@PYARROW
def test_the_parquet_manifest_holds_what_the_csv_does(scans, tmp_path):
    from pyarrow.parquet import read_table

    run(scans, tmp_path / "out", as_parquet=True)
    found = read_table(tmp_path / "out" / "manifest.parquet")
    for row, (_, texts) in zip(found.to_pylist(), rows(tmp_path / "out").items(), strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == texts
    assert {str(found.schema.field(name).type) for name in found.column_names} == {
        "string",
        "double",
    }


def test_parquet_that_is_asked_for_and_cannot_be_written_is_refused_at_once(
    scans, tmp_path, monkeypatch
):
    monkeypatch.setattr(parquet, "is_installed", lambda: False)
    with pytest.raises(batch.ParquetError, match=r"voxcite\[batch\]"):
        run(scans, tmp_path / "out", as_parquet=True)
    assert not (tmp_path / "out").exists()


def test_without_pyarrow_the_manifest_is_csv(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "is_installed", lambda: False)
    run(scans, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.csv").is_file()
    assert not (tmp_path / "out" / "manifest.parquet").exists()


@pytest.mark.slow
def test_the_package_gives_the_batch_without_loading_it():
    code = "import sys, assistant; assert 'assistant.batch' not in sys.modules; assistant.batch.run"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
