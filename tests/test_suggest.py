"""What is suggested to be labelled fails more and is unlike what was chosen before."""

import math
import shutil
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from assistant.cli import OK, REFUSED, main
from segment.calibration import Level
from segment.models.training.plan import case_name
from segment.suggest import Candidate, looks_of, mean_ranks, suggest
from tests.shared_data import shared_data


def scan(name, agreement=0.9, width=0.2, looks=(0.0, 0.0)):
    return Candidate(name, agreement, width, np.array(looks, np.float32))


def test_a_scan_on_which_members_differ_more_ranks_higher():
    low, high = mean_ranks([scan("a", agreement=0.95), scan("b", agreement=0.6)])
    assert low < high


def test_a_scan_with_a_wider_interval_ranks_higher():
    low, high, none = mean_ranks([scan("a"), scan("b", width=0.4), scan("c", width=math.inf)])
    assert low < high < none


def test_of_scans_that_rank_alike_one_unlike_the_first_comes_second():
    found = [
        scan("first", 0.5, 0.9, (0, 0)),
        scan("alike", 0.5, 0.9, (0.1, 0)),
        scan("unlike", 0.5, 0.9, (5, 0)),
    ]
    assert [one.name for one in suggest(found, 2, [])] == ["first", "unlike"]


def test_what_is_like_a_labelled_scan_comes_last():
    found = [scan("labelled alike", 0.5, 0.9, (1, 0)), scan("new", 0.5, 0.9, (4, 0))]
    known = [np.array([1, 0], np.float32)]
    assert [one.name for one in suggest(found, 2, known)] == ["new", "labelled alike"]


def test_no_more_are_suggested_than_asked_for_or_than_there_are():
    found = [scan(name, looks=(place, 0)) for place, name in enumerate("abc")]
    assert len(suggest(found, 2, [])) == 2
    assert sorted(one.name for one in suggest(found, 9, [])) == ["a", "b", "c"]


def test_a_single_scan_is_suggested():
    assert suggest([scan("a")], 1, [])[0].mean_rank == 1.0


def test_looks_are_those_of_the_picture_and_not_of_its_size():
    ramp = np.linspace(0, 1, 48, dtype=np.float32)[None, :, None] * np.ones((36, 1, 36), np.float32)
    one, other = looks_of(ramp), looks_of(np.ascontiguousarray(ramp[:30, :, :30]))
    assert one.shape == other.shape
    assert np.allclose(one, other, atol=0.1)
    assert not np.allclose(one, looks_of(ramp[:, ::-1]), atol=0.1)


@pytest.mark.slow
def test_a_picture_that_is_noise_is_suggested_first(tmp_path, capsys):
    data = shared_data("hippocampus", "images")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "broken.nii").write_bytes(b"no scan")
    rng = np.random.default_rng(0)
    for case in (1, 3, 4):
        picture = nibabel.load(data / case_name(case))
        array = np.asarray(picture.dataobj, np.float32)
        if case == 3:
            array = array + rng.normal(0, 0.6 * array.std(), array.shape).astype(np.float32)
        nibabel.Nifti1Image(array, picture.affine).to_filename(tmp_path / "new" / case_name(case))
    words = ["suggest", "--images", str(tmp_path / "new"), "--crop", "--side", "left"]
    assert main([*words, "--count", "2"]) == OK
    told = capsys.readouterr()
    header, first, second = told.out.splitlines()
    assert "left out: broken.nii: expected" in told.err
    assert header.startswith("scan,mean rank")
    assert first.startswith(case_name(3))
    assert not second.startswith(case_name(3))
    assert main([*words, "--labelled", str(tmp_path / "new")]) == REFUSED
    assert "expected scans without labels" in capsys.readouterr().err


CROP = ["--crop", "--side", "left"]


@pytest.fixture
def folders(tmp_path):
    """Two folders, of which one holds a scan without labels more than the other; all are boxes."""
    ramp = np.arange(30**3, dtype=np.float32).reshape(30, 30, 30)
    for folder, names in (("new", "abc"), ("labelled", "a")):
        (tmp_path / folder).mkdir()
        for name in names:
            picture = nibabel.Nifti1Image(ramp, np.eye(4))
            picture.header.set_xyzt_units("mm")
            picture.to_filename(tmp_path / folder / f"{name}.nii")
    return tmp_path


def suggested(monkeypatch, folders, levels, width, *options):
    """Suggest with networks that found every scan so sure, and intervals of these levels."""
    calibrated = SimpleNamespace(levels=levels)
    assistant = SimpleNamespace(calibrated=calibrated)
    monkeypatch.setattr("assistant.cli.suggest.assistant_for", lambda chosen: assistant)
    looks = np.zeros(2, np.float32)

    def found(assistant, path, side):
        return Candidate(path.name, 0.9, width, looks)

    monkeypatch.setattr("assistant.suggesting.candidate", found)
    monkeypatch.setattr("assistant.suggesting.looks", lambda assistant, path, side: looks)
    words = ["suggest", "--images", folders / "new", "--labelled", folders / "labelled"]
    return main([*map(str, words), *CROP, *options])


def test_a_scan_that_is_no_head_is_left_out_by_its_name(folders, capsys):
    words = ["suggest", "--images", str(folders / "new")]
    assert main(words) == REFUSED
    *left_out, told = capsys.readouterr().err.splitlines()
    for name, line in zip("abc", left_out, strict=True):
        assert line.startswith(f"left out: {name}.nii: expected a whole head, at least 100 mm")
    assert "found none; give others or another --exam, or say with --crop and --side that" in told


def test_a_scan_that_is_labelled_already_is_named(folders, monkeypatch, capsys):
    levels = [Level(1.0, {"hippocampus": (0.1,)}, {})]
    assert suggested(monkeypatch, folders, levels, 0.2) == OK
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == "left out: a.nii: a scan of this name is labelled"
    assert [line[:5] for line in told.out.splitlines()[1:]] == ["b.nii", "c.nii"]
    assert all(line.endswith(",0.900,0.200") for line in told.out.splitlines()[1:])


@pytest.mark.parametrize(("labelled", "is_told"), [(9, True), (10, False)])
def test_that_random_scans_taught_more_is_told_while_few_are_labelled(
    labelled, is_told, folders, monkeypatch, capsys
):
    for number in range(1, labelled):
        shutil.copy(folders / "labelled" / "a.nii", folders / "labelled" / f"{number}.nii")
    levels = [Level(1.0, {"hippocampus": (0.1,)}, {})]
    assert suggested(monkeypatch, folders, levels, 0.2) == OK
    assert ("random ones taught more" in capsys.readouterr().err) == is_told


@pytest.mark.parametrize("count", ["0", "-2"])
def test_no_suggestion_at_all_is_not_asked_for(count, folders, monkeypatch, capsys):
    assert suggested(monkeypatch, folders, [], 0.2, "--count", count) == REFUSED
    told = capsys.readouterr()
    assert told.out == ""
    assert f"expected at least 1 scan to suggest, found {count}; give a larger" in told.err


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ((), "exam hippocampus: its networks have no intervals; scans are ranked by agreement"),
        ((0.1,), "width none: a volume of the scan has no interval, which ranks as the widest"),
    ],
)
def test_a_scan_without_an_interval_has_no_width_and_why_is_said(
    scores, told, folders, monkeypatch, capsys
):
    levels = [Level(1.0, {"hippocampus": scores}, {})]
    assert suggested(monkeypatch, folders, levels, math.inf) == OK
    printed = capsys.readouterr()
    assert "inf" not in printed.out
    assert all(line.endswith(",0.900,none") for line in printed.out.splitlines()[1:])
    assert printed.err.splitlines()[-1] == told


def test_an_effort_whose_agreement_ranks_nothing_is_refused(tmp_path, capsys):
    assert main(["suggest", "--images", str(tmp_path), "--effort", "temperature"]) == REFUSED
    assert "whose agreement ranks scans, found temperature" in capsys.readouterr().err
