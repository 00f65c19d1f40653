"""Finding the studies of a batch: folders, DICOM of many patients, BIDS datasets, manifests."""

import csv
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from assistant import Settings, exams
from assistant.batch import ParquetError, dump, parquet, plan
from assistant.batch.item import Item, id_of
from segment.errors import Refusal, ScanError
from tests.hostile.make import deflated, dicom_slices, nifti

PYARROW = pytest.mark.skipif(not parquet.is_installed(), reason="needs pyarrow (voxcite[batch])")


def ids(planned):
    return [item.id for item in planned.items]


def table(path, rows, columns=("id", "study")):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


def scan(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return nifti(path.parent, path.name)


def touched(path: Path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refused(source, code=Refusal.BAD_OPTION, **options):
    """Return the one sentence of a refusal, in which no folder is named."""
    with pytest.raises(ScanError) as caught:
        plan(source, **options)
    sentence = str(caught.value)
    assert caught.value.code is code
    assert "Quetzal" not in sentence
    assert "\n" not in sentence
    return sentence


# folders


def test_a_nifti_file_is_called_by_its_own_name_and_sorted(tmp_path):
    for name in ("b/two.nii.gz", "a/one.nii", "c/three.nii.gz"):
        scan(tmp_path / name)
    assert ids(plan(tmp_path)) == ["one", "two", "three"]


def test_files_of_one_name_are_told_apart_whatever_the_case(tmp_path):
    for name in ("p1/t1.nii.gz", "p2/T1.nii.gz", "p3/t1.nii.gz"):
        scan(tmp_path / name)
    assert ids(plan(tmp_path)) == ["t1", "T1_2", "t1_3"]


def test_what_is_no_scan_is_counted_and_hidden_files_are_not(tmp_path):
    scan(tmp_path / "one.nii.gz")
    for name in ("notes.txt", "table.csv", ".DS_Store", "._one.nii.gz", ".git/two.nii.gz"):
        touched(tmp_path / name, "x")
    planned = plan(tmp_path)
    assert ids(planned) == ["one"]
    assert planned.aside == {"files that are no scan": 2}


def written_by_a_run(folder: Path):
    """Lay out the folder of a run as ``assistant.batch.run`` does."""
    for name in (".voxcite-batch/run.json", "log.txt", "manifest.csv", "studies/one/report.json"):
        touched(folder / name, "{}")
    for name in ("entropy", "segmentation"):
        scan(folder / "studies" / "one" / f"{name}.nii.gz")
    return folder


def test_what_a_run_wrote_below_its_input_is_no_study(tmp_path):
    scan(tmp_path / "one.nii.gz")
    first = plan(tmp_path)
    scan(written_by_a_run(tmp_path / "out") / "later" / "two.nii.gz")
    planned = plan(tmp_path)
    assert (first.aside, planned.aside) == ({}, {})
    assert (ids(first), ids(planned)) == (["one"], ["one", "two"])


def test_a_folder_that_holds_a_run_alone_holds_no_study(tmp_path):
    out = written_by_a_run(tmp_path / "Quetzal" / "out")
    assert "out: expected studies, found none" in refused(out, Refusal.EMPTY_FOLDER)


@pytest.mark.parametrize("below", ["studies", "studies/one"])
def test_the_studies_of_a_run_are_refused_as_input(tmp_path, below):
    out = written_by_a_run(tmp_path / "Quetzal" / "out")
    assert "expected scans, found what a run wrote; give its INPUT" in refused(out / below)


def test_a_pipe_keeps_nobody_waiting(tmp_path):
    scan(tmp_path / "one.nii.gz")
    os.mkfifo(tmp_path / "pipe")
    assert ids(plan(tmp_path)) == ["one"]


def test_a_damaged_nifti_file_is_a_study_that_will_fail(tmp_path):
    touched(tmp_path / "bad.nii.gz")
    assert ids(plan(tmp_path)) == ["bad"]


def test_zips_and_dicom_are_numbered_and_never_called_after_a_patient(tmp_path):
    dicom_slices(tmp_path / "DOE_JANE")
    with zipfile.ZipFile(tmp_path / "ROE_RICHARD.zip", "w") as archive:
        archive.writestr("x", "y")
    planned = plan(tmp_path)
    assert ids(planned) == ["0001", "0002"]
    assert [len(item.paths) for item in planned.items] == [1, 6]


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "Quetzal" / "night").mkdir(parents=True)
    sentence = refused(tmp_path / "Quetzal" / "night", Refusal.EMPTY_FOLDER)
    assert sentence == "night: expected studies, found none; give the folder that holds them"


def test_what_is_not_there_is_refused(tmp_path):
    assert "night: expected a folder" in refused(tmp_path / "Quetzal" / "night", Refusal.MISSING)


def test_a_single_scan_is_sent_to_draft(tmp_path):
    assert "voxcite draft" in refused(scan(tmp_path / "Quetzal" / "one.nii.gz"))


@pytest.mark.parametrize("options", [{"exam": "spleen"}, {"language": "xx"}])
def test_an_unknown_exam_or_language_is_refused(tmp_path, options):
    scan(tmp_path / "one.nii.gz")
    with pytest.raises(ValueError, match="unknown"):
        plan(tmp_path, Settings(**options))


def test_the_order_does_not_depend_on_where_the_folder_lies(tmp_path):
    for place in ("here", "there"):
        for name in ("b.nii.gz", "a.nii.gz"):
            scan(tmp_path / place / name)
    here, there = (plan(tmp_path / place) for place in ("here", "there"))
    assert [item.digest(here.root) for item in here.items] == [
        item.digest(there.root) for item in there.items
    ]


EARLIER = Item("x0", (Path("a"),), "hippocampus", "en")


@pytest.mark.parametrize(
    "change",
    [{"language": "zh"}, {"series": "2"}, {"side": "left"}, {"earlier": EARLIER}, {"id": "y"}],
)
def test_an_item_that_is_drafted_otherwise_has_another_digest(tmp_path, change):
    item = Item("x1", (tmp_path / "a",), "hippocampus", "en")
    assert replace(item, **change).digest(tmp_path) != item.digest(tmp_path)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "=1+1", "x" * 61, "a\nb"])
def test_what_is_no_folder_name_is_no_id(name):
    with pytest.raises(ValueError, match="expected up to"):
        Item(name, (), "hippocampus", "en")


@pytest.mark.parametrize("name", ["a b", "..", "é" * 100, "海马", "a/b:c", "-x-"])
def test_any_file_name_becomes_an_id(name):
    assert Item(id_of(name), (), "hippocampus", "en").id


# DICOM of many patients


def found(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return dump.find(files, exams.load("hippocampus"))


def test_series_of_two_patients_in_one_folder_are_two(tmp_path):
    for number in (1, 2):
        dicom_slices(tmp_path / str(number), PatientName=f"Quetzal^{number}")
    flat = tmp_path / "flat"
    flat.mkdir()
    for n, path in enumerate(sorted((tmp_path).glob("[12]/*"))):
        path.rename(flat / f"IM{n:04}")
    assert sorted(len(series) for series in found(flat).series) == [6, 6]


def test_one_series_in_two_folders_is_one(tmp_path):
    dicom_slices(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in sorted((tmp_path / "a").iterdir())[:3]:
        path.rename(tmp_path / "b" / path.name)
    assert [len(series) for series in found(tmp_path).series] == [6]


def test_what_is_no_scan_of_the_exam_is_set_aside_and_counted(tmp_path):
    dicom_slices(tmp_path / "mr")
    dicom_slices(tmp_path / "ct", series=2, Modality="CT")
    dicom_slices(tmp_path / "plan", series=3, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    result = found(tmp_path)
    assert len(result.series) == 1
    assert result.aside == {"CT series": 1, "localisers, mosaics and single pictures": 1}


def test_a_damaged_file_stands_alone_and_spoils_no_series(tmp_path):
    dicom_slices(tmp_path / "mr")
    (tmp_path / "other").mkdir()
    deflated(tmp_path / "other").rename(tmp_path / "mr" / "0003_deflated")
    assert sorted(len(series) for series in found(tmp_path / "mr").series) == [1, 6]


# BIDS


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "bids"
    touched(root / "dataset_description.json", json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}))
    touched(root / "participants.tsv", "participant_id\tage\nsub-02\t60\nsub-01\t70\nsub-09\t50\n")
    scan(root / "sub-01/ses-10/anat/sub-01_ses-10_T1w.nii.gz")
    scan(root / "sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz")
    scan(root / "sub-01/ses-2/anat/sub-01_ses-2_run-2_T1w.nii.gz")
    scan(root / "sub-02/anat/sub-02_T1w.nii")
    for other in ("sub-02_FLAIR.nii.gz", "sub-02_T1w.json", "sub-02_mod-T1w_defacemask.nii.gz"):
        touched(root / "sub-02/anat" / other, "x")
    scan(root / "derivatives/x/sub-02_T1w.nii.gz")
    return root


def test_a_dataset_gives_its_t1_scans_in_the_order_of_its_table(dataset):
    assert ids(plan(dataset)) == [
        "sub-02",
        "sub-01_ses-2_run-1",
        "sub-01_ses-2_run-2",
        "sub-01_ses-10",
    ]


def test_an_earlier_session_is_the_prior_of_the_later(dataset):
    priors = {item.id: item.prior for item in plan(dataset).items}
    assert priors["sub-01_ses-10"] == "sub-01_ses-2_run-1"
    assert {priors[i] for i in ("sub-02", "sub-01_ses-2_run-1", "sub-01_ses-2_run-2")} == {None}


def test_sessions_are_compared_by_their_days_where_all_are_known(dataset):
    days = {"ses-2": "2021-05-01", "ses-10": "2019-05-01"}
    rows = "".join(f"{session}\t{day}\n" for session, day in days.items())
    touched(dataset / "sub-01/sub-01_sessions.tsv", f"session_id\tacq_time\n{rows}")
    planned = plan(dataset)
    assert ids(planned)[1:] == ["sub-01_ses-10", "sub-01_ses-2_run-1", "sub-01_ses-2_run-2"]
    assert [item.prior for item in planned.items[1:]] == [None, "sub-01_ses-10", "sub-01_ses-10"]
    touched(dataset / "sub-01/sub-01_sessions.tsv", "session_id\tacq_time\nses-10\t2019-05-01\n")
    assert plan(dataset).items[3].prior == "sub-01_ses-2_run-1"


def test_a_person_without_a_t1_is_absent(dataset):
    assert plan(dataset).absent == ("sub-09: no file named sub-09_*_T1w.nii.gz",)


def test_a_person_whom_the_table_leaves_out_is_found(dataset):
    scan(dataset / "sub-77/anat/sub-77_T1w.nii.gz")
    assert ids(plan(dataset))[-1] == "sub-77"


@pytest.mark.parametrize("text", ["subject\nsub-01\n", "", "participant_id\n../../etc\n"])
def test_a_table_of_people_that_is_none_is_refused(dataset, text):
    touched(dataset / "participants.tsv", text)
    assert refused(dataset).startswith("participants.tsv: expected")


# manifests


@pytest.fixture
def night(tmp_path):
    """A folder with two scans, for manifests beside them."""
    for name in ("one", "two"):
        scan(tmp_path / "Quetzal" / f"{name}.nii.gz")
    return tmp_path / "Quetzal"


def test_a_manifest_gives_ids_and_options_row_by_row(night):
    columns = ("id", "study", "exam", "language", "series", "side")
    rows = [("a", "one.nii.gz", "", "zh", "", "left"), ("b", "two.nii.gz", "", "", "5.2", "")]
    planned = plan(table(night / "night.csv", rows, columns))
    assert planned.items == (
        Item("a", (night / "one.nii.gz",), "hippocampus", "zh", side="left"),
        Item("b", (night / "two.nii.gz",), "hippocampus", "en", series="5.2"),
    )


def test_a_manifest_says_which_study_was_before(night):
    rows = [("b", "two.nii.gz", "a"), ("a", "one.nii.gz", "")]
    planned = plan(table(night / "night.csv", rows, ("id", "study", "prior")))
    assert [item.prior for item in planned.items] == ["a", None]
    assert planned.items[0].earlier == planned.items[1]


def test_paths_may_be_absolute_and_order_of_columns_is_free(night):
    path = table(night / "night.csv", [(night / "one.nii.gz", "a")], ("study", "id"))
    assert plan(path).items[0].paths == (night / "one.nii.gz",)


def test_a_scan_that_is_gone_is_absent_and_stays_in_the_plan(night):
    planned = plan(table(night / "night.csv", [("a", "one.nii.gz"), ("b", "gone.nii.gz")]))
    assert planned.absent == ("b: its file is gone",)
    assert ids(planned) == ["a", "b"]


GOOD = ("a", "one.nii.gz")


@pytest.mark.parametrize(
    ("columns", "rows", "told"),
    [
        (("id", "scan"), [GOOD], "no study"),
        (("name", "scan"), [GOOD], "no id and no study"),
        (("id", "study", "langauge"), [(*GOOD, "en")], "'langauge' too"),
        (("id", "study", "id"), [(*GOOD, "b")], "one twice"),
        (("id", "study"), [], "a row a study, found none"),
        (("id", "study"), [GOOD, ("a", "two.nii.gz")], "'a' twice"),
        (("id", "study"), [GOOD, ("A", "two.nii.gz")], "'A' twice"),
        (("id", "study"), [GOOD, ("../b", "two.nii.gz")], "'../b' in row 2"),
        (("id", "study"), [GOOD, ("b", "")], "none in row 2"),
        (("id", "study"), [GOOD, ("b",)], "1 in row 2"),
        (("id", "study", "side"), [(*GOOD, "middle")], "'middle'"),
        (("id", "study", "prior"), [(*GOOD, "b")], "'b' beside a"),
        (("id", "study", "prior"), [(*GOOD, "a")], "'a' beside a"),
        (("id", "study"), [("a", "x.nii.gz"), ("b", "y.nii.gz")], "nothing at any of its 2 paths"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused(night, columns, rows, told):
    sentence = refused(table(night / "night.csv", rows, columns))
    assert sentence.startswith("night.csv: expected ")
    assert told in sentence


@pytest.mark.parametrize(
    ("priors", "told"),
    [
        ({"a": "b", "b": "a"}, "found a and b each earlier than another of them; correct one"),
        ({"x": "a", "a": "b", "b": "c", "c": "a"}, "found a, b and c each earlier"),
        (
            {f"s{n}": f"s{(n + 1) % 9}" for n in range(9)},
            "found s0, s1, s2, s3, s4 and 4 more each earlier",
        ),
    ],
)
def test_scans_that_are_each_earlier_than_the_other_are_refused(night, priors, told):
    rows = [(name, "one.nii.gz", prior) for name, prior in priors.items()]
    sentence = refused(table(night / "night.csv", rows, ("id", "study", "prior")))
    assert sentence.startswith("night.csv: expected priors that are earlier scans, ")
    assert told in sentence


@pytest.mark.parametrize("sides", [("left", ""), ("", "right"), ("left", "left")])
def test_a_prior_of_a_crop_or_that_is_one_is_refused(night, sides):
    named = zip("ba", ("two.nii.gz", "one.nii.gz"), ("a", ""), sides, strict=True)
    listed = table(night / "night.csv", list(named), ("id", "study", "prior", "side"))
    told = "found a beside b and a crop among the two; empty its cell"
    assert refused(listed) == f"night.csv: expected a whole head with a whole head as prior, {told}"


def test_a_prior_is_refused_where_every_scan_is_a_crop(night):
    rows = [("b", "two.nii.gz", "a"), ("a", "one.nii.gz", "")]
    listed = table(night / "night.csv", rows, ("id", "study", "prior"))
    assert "a crop among the two" in refused(listed, side="left")


def test_crops_of_a_dataset_are_compared_with_nothing(dataset):
    assert {item.prior for item in plan(dataset, side="left").items} == {None}


def test_many_scans_may_be_compared_with_one_and_that_one_with_another(night):
    priors = {"a": "", "b": "a", "c": "b", "d": "b", "e": "d"}
    rows = [(name, "one.nii.gz", prior) for name, prior in priors.items()]
    planned = plan(table(night / "night.csv", rows, ("id", "study", "prior")))
    assert {item.id: item.prior or "" for item in planned.items} == priors


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'id,study\n"a,one.nii.gz\n'])
def test_a_manifest_that_is_no_csv_is_refused(night, content):
    (night / "night.csv").write_bytes(content)
    assert "expected a CSV file in UTF-8" in refused(night / "night.csv")


def test_an_unknown_exam_in_a_manifest_is_refused(night):
    path = table(night / "night.csv", [(*GOOD, "spleen")], ("id", "study", "exam"))
    with pytest.raises(ValueError, match="unknown exam 'spleen'"):
        plan(path)


@PYARROW
def test_a_parquet_manifest_is_read_as_a_csv_one(night):
    rows = [("1", "one.nii.gz", None), ("2", "two.nii.gz", "5")]
    columns = ("id", "study", "series")
    named = [dict(zip(columns, row, strict=True)) for row in rows]
    parquet.write(night / "night.parquet", dict.fromkeys(columns, str), named)
    other = plan(table(night / "night.csv", [[v or "" for v in row] for row in rows], columns))
    assert plan(night / "night.parquet").items == other.items


@PYARROW
def test_what_is_no_parquet_file_is_refused(night):
    (night / "night.parquet").write_bytes(b"id,study\n")
    assert "night.parquet: expected a Parquet file" in refused(night / "night.parquet")


def test_without_pyarrow_a_parquet_manifest_names_the_extra(night, monkeypatch):
    monkeypatch.setattr("assistant.batch.parquet.is_installed", lambda: False)
    with pytest.raises(ParquetError, match=r"pip install 'voxcite\[batch\]'"):
        plan(touched(night / "night.parquet"))
