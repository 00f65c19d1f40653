"""The command ``voxcite batch``: what it prints, its exit codes, its one sentence."""

import io
import shutil
import zipfile

import pytest

from assistant.cli import NOTHING_MEASURED, OK, REFUSED, main
from assistant.cli.batch import BAR, counted
from tests.batches import crop
from tests.hostile.make import dicom_slices, nifti
from tests.phantoms import ThresholdSegmenter, calibrated
from tests.test_batch_plan import table

SIDE = ("--crop", "--side", "left")


@pytest.fixture(autouse=True)
def without_weights(monkeypatch):
    """Put a segmenter of phantoms and its calibration in the place of the shipped one."""
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "Quetzal" / "night"
    crop(folder / "a.nii.gz", radius_mm=9.0)
    (folder / "b.nii.gz").write_bytes(b"no scan")
    return folder


def run(*arguments):
    return main(["batch", "--writer", "template", *map(str, arguments)])


def one_sentence(capsys):
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("voxcite: ")
    assert "Quetzal" not in said.err
    return said.err


def test_a_batch_prints_how_its_studies_ended(scans, tmp_path, capsys):
    assert run(scans, tmp_path / "out", "--workers", 0, *SIDE) == OK
    assert capsys.readouterr().out == "1 drafted, 1 failed; see summary.html and manifest.csv\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "log.txt",
        "manifest.csv",
        "studies",
        "summary.html",
    }


def test_a_batch_in_which_nothing_was_measured_says_so_by_its_code(scans, tmp_path, capsys):
    (scans / "a.nii.gz").unlink()
    assert run(scans, tmp_path / "out", "--workers", 0, *SIDE) == NOTHING_MEASURED
    assert capsys.readouterr().out.startswith("1 failed; ")


def test_a_dry_run_lists_what_would_be_done_and_what_is_missing(scans, tmp_path, capsys):
    listed = table(scans / "n.csv", [("x", "a.nii.gz"), ("y", "gone.nii.gz")])
    assert run(listed, tmp_path / "out", "--dry-run") == OK
    assert capsys.readouterr().out.splitlines() == [
        "x: to do, hippocampus, en",
        "y: to do, hippocampus, en",
        "missing: y: its file is gone",
        "2 studies, 2 to do; nothing was written",
    ]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_a_begun_run_tells_what_is_done(scans, tmp_path, capsys):
    run(scans, tmp_path / "out", "--workers", 0, *SIDE)
    capsys.readouterr()
    run(scans, tmp_path / "out", "--dry-run", "--resume", *SIDE)
    assert "a: done" in capsys.readouterr().out


def test_a_dry_run_counts_what_the_run_would_draft_again(scans, tmp_path, capsys):
    run(scans, tmp_path / "out", "--workers", 0, *SIDE)
    shutil.rmtree(tmp_path / "out" / "studies" / "a")
    before = contents(tmp_path / "out")
    capsys.readouterr()
    assert run(scans, tmp_path / "out", "--dry-run", "--resume", *SIDE) == OK
    assert capsys.readouterr().out.splitlines() == [
        "a: to do, hippocampus, en, a.nii.gz",
        "b: done, hippocampus, en, b.nii.gz",
        "2 studies, 1 to do; nothing was written",
    ]
    assert contents(tmp_path / "out") == before


def test_a_dry_run_tells_where_the_numbered_studies_lie_and_no_file_does(tmp_path, capsys):
    dicom_slices(tmp_path / "in" / "DOE_JANE" / "MR", series=7)
    nifti(tmp_path / "in" / "DOE_JANE", "t1.nii.gz")
    with zipfile.ZipFile(tmp_path / "in" / "ROE\x1b.zip", "w") as archive:
        archive.writestr("x", "y")
    assert run(tmp_path / "in", tmp_path / "out", "--dry-run", *SIDE) == OK
    assert capsys.readouterr().out.splitlines() == [
        "t1: to do, hippocampus, en, DOE_JANE/t1.nii.gz",
        "0001: to do, hippocampus, en, ROE?.zip",
        "0002: to do, hippocampus, en, 6 files, DOE_JANE/MR, series 7",
        "3 studies, 3 to do; nothing was written",
    ]
    assert run(tmp_path / "in", tmp_path / "out", "--workers", 0, *SIDE) in (OK, NOTHING_MEASURED)
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or not any(word in path.read_bytes() for word in (b"DOE", b"ROE"))


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (SIDE, "found this run begun; add --resume"),
        (("--resume",), "found a run of other studies"),
        (("--resume", "--language", "zh", *SIDE), "found a run with another language"),
        (("--resume", "--texts", 0, *SIDE), "texts: expected how many"),
        (("--resume", "--gpus", 1, *SIDE), "add --engine ray"),
    ],
)
def test_a_dry_run_is_refused_as_the_run_is(scans, tmp_path, capsys, options, told):
    run(scans, tmp_path / "out", "--workers", 0, *SIDE)
    before = contents(tmp_path / "out")
    capsys.readouterr()
    assert run(scans, tmp_path / "out", "--dry-run", *options) == REFUSED
    dry = one_sentence(capsys)
    assert told in dry
    assert contents(tmp_path / "out") == before
    assert run(scans, tmp_path / "out", *options) == REFUSED
    assert one_sentence(capsys) == dry


def test_a_run_that_is_over_is_resumed_without_doing_anything(scans, tmp_path, capsys):
    run(scans, tmp_path / "out", "--workers", 0, *SIDE)
    report = tmp_path / "out" / "studies" / "a" / "report.json"
    before = report.stat()
    capsys.readouterr()
    assert run(scans, tmp_path / "out", "--workers", 0, "--resume", *SIDE) == OK
    assert report.stat() == before
    assert capsys.readouterr().out.startswith("1 drafted, 1 failed")


def test_a_run_into_a_folder_of_its_input_is_gone_on_with(scans, capsys):
    (scans / "b.nii.gz").unlink()
    assert run(scans, scans / "out", "--workers", 0, *SIDE) == OK
    assert run(scans, scans / "out", "--workers", 0, "--resume", *SIDE) == OK
    assert (
        capsys.readouterr().out.splitlines() == ["1 drafted; see summary.html and manifest.csv"] * 2
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--crop"], "--crop and --side belong together"),
        (["--exam", "spleen"], "unknown exam 'spleen'"),
        (["--language", "xx"], "unknown language 'xx'"),
        (["--writer", "quill"], "unknown writer 'quill'"),
        (["--workers", "-1", *SIDE], "workers: expected a number"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(scans, tmp_path, capsys, options, told):
    assert run(scans, tmp_path / "out", *options) == REFUSED
    assert told in one_sentence(capsys)


def test_an_output_with_other_files_is_refused_in_one_sentence(scans, tmp_path, capsys):
    (tmp_path / "Quetzal" / "out").mkdir()
    (tmp_path / "Quetzal" / "out" / "thesis.doc").write_text("x")
    for options in (("--workers", 0, *SIDE), ("--dry-run", *SIDE)):
        assert run(scans, tmp_path / "Quetzal" / "out", *options) == REFUSED
        assert "out: expected an empty folder" in one_sentence(capsys)


def test_the_bar_tells_the_count_the_rate_and_the_time_left():
    from tqdm import tqdm

    said = tqdm.format_meter(
        n=30, total=120, elapsed=60, bar_format=BAR, postfix="1800 an hour", prefix="Studies"
    )
    assert said.startswith("Studies")
    assert said.endswith("| 30 of 120, 1800 an hour, 03:00 left")


class Terminal(io.StringIO):
    """What is printed, where somebody is looking."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("began", "ends_s", "told"),
    [
        (0, [2.0], "1 of 5, 1800 an hour"),
        (0, [2.0, 10.0, 12.0], "3 of 5, 900 an hour"),
        (3, [4.0, 8.0], "5 of 5, 900 an hour"),  # what an earlier run did is no speed of this one
    ],
)
def test_the_bar_counts_the_studies_that_this_run_ends_in_an_hour(monkeypatch, began, ends_s, told):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    moments = iter([0.0, *ends_s])
    studies = [f"s{number}" for number in range(len(ends_s))]
    assert list(counted(iter(studies), 5, began, clock=lambda: next(moments))) == studies
    assert told in terminal.getvalue().split("\r")[-1]
