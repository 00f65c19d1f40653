"""Which groups scans belong to is read from a table, or refused in one sentence."""

import json

import nibabel
import pytest

from assistant.cli import main
from assistant.cli.terminal import OK, REFUSED
from assistant.grouping import NOT_STATED, Belongs, read_grouping
from segment.errors import ScanError
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid


@pytest.fixture
def without_weights(monkeypatch):
    """Put a segmenter of phantoms and its calibration in the place of the shipped one."""
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())


SIDES = ("--crop", "--side", "left")


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def folders(tmp_path):
    """Two crops with labels that are what the threshold segmenter finds nearly."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    body = ball(grid(field_mm=40), 9)
    for number in (1, 2):
        for name, array in (("images", body.volume.array), ("labels", body.mask.astype("uint8"))):
            image = nibabel.Nifti1Image(array, body.geometry.affine)
            image.header.set_xyzt_units("mm")
            image.to_filename(tmp_path / name / f"crop_{number}.nii.gz")
    return ["--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]


def test_every_column_groups_and_an_empty_cell_is_a_group(tmp_path):
    text = "scan,subject,sex,age band\na.nii,s1,F,60s\nb.nii,s1,M,\nc.nii,s2,F,70s\n"
    found = read_grouping(table(tmp_path / "g.csv", text), ["b.nii", "a.nii"])
    assert found == [
        Belongs("s1", ("sex: M", f"age band: {NOT_STATED}")),
        Belongs("s1", ("sex: F", "age band: 60s")),
    ]


def test_without_subjects_each_scan_is_one(tmp_path):
    found = read_grouping(table(tmp_path / "g.csv", "scan,sex\na.nii,F\n"), ["a.nii"])
    assert found[0].subject == "a.nii"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found none; correct it"),
        ("name,sex\na.nii,F\n", "expected the column scan"),
        ("scan,subject\na.nii,s1\n", "others to group by, each once, found scan, subject;"),
        ("scan,sex,sex\na.nii,F,F\n", "each once, found scan, sex, sex"),
        ("scan,sex\nb.nii,F\n", "expected one row for a.nii, found 0; correct it"),
        ("scan,sex\na.nii,F\na.nii,M\n", "expected one row for a.nii, found 2; correct it"),
    ],
)
def test_a_table_that_leaves_a_scans_groups_open_is_refused(text, told, tmp_path):
    with pytest.raises(ScanError, match=told):
        read_grouping(table(tmp_path / "g.csv", text), ["a.nii"])


def test_spaces_around_a_cell_make_no_other_subject_and_no_other_group(tmp_path):
    text = "scan, subject ,sex\na.nii,s1,F\n b.nii, s1 , F \n\nc.nii\n"
    found = read_grouping(table(tmp_path / "g.csv", text), ["a.nii", "b.nii", "c.nii"])
    assert found[0] == found[1] == Belongs("s1", ("sex: F",))
    assert found[2] == Belongs("c.nii", (f"sex: {NOT_STATED}",))


@pytest.mark.parametrize("content", ["scan,sex\n".encode("utf-16"), b"scan,sex\n" + b"a" * 200_000])
def test_what_is_no_table_is_refused(content, tmp_path):
    (tmp_path / "g.csv").write_bytes(content)
    with pytest.raises(ScanError, match=r"^g\.csv: expected a CSV in UTF-8, found something else"):
        read_grouping(tmp_path / "g.csv", ["a.nii"])


def test_an_evaluation_tells_each_group_and_that_it_is_small(tmp_path, capsys, without_weights):
    chosen = folders(tmp_path)
    text = "scan,sex\ncrop_1.nii.gz,F\ncrop_2.nii.gz,M\n"
    groups = table(tmp_path / "groups.csv", text)
    out = tmp_path / "out.json"
    assert main(["evaluate", *chosen, *SIDES, "--groups", str(groups), "--json", str(out)]) == OK
    rows = json.loads(out.read_text(encoding="utf-8"))["by_group"]
    whole = [row for row in rows if row["structure"] == "hippocampus"]
    assert [row["group"] for row in whole] == ["sex: F", "sex: M"]
    assert all(row["is_too_small"] and row["n"] == 1 for row in whole)
    assert whole[0]["coverage_mean"] in (0, 1)
    assert "too few subjects to say" in capsys.readouterr().out


def test_an_evaluation_with_a_table_of_other_scans_is_refused(tmp_path, capsys, without_weights):
    groups = table(tmp_path / "groups.csv", "scan,sex\nother.nii.gz,F\n")
    assert main(["evaluate", *folders(tmp_path), *SIDES, "--groups", str(groups)]) == REFUSED
    assert "expected one row for crop_1.nii.gz" in capsys.readouterr().err
