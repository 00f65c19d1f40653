"""The command that repeats scans: what it writes is what a comparison then reads."""

import json

import nibabel
import numpy as np
import pytest

from assistant.cli import OK, REFUSED, main
from segment.repeatability import Repeatability
from segment.retest import read_retests
from tests.phantoms import ThresholdSegmenter, calibrated, ellipsoid, grid
from tests.test_cli import one_sentence


def crops(folder, cases):
    """Write held-out crops that hold one ellipsoid each, as the training data lie."""
    (folder / "hippocampus").mkdir()
    split = {"train": [], "val": list(cases)}
    (folder / "hippocampus" / "split.json").write_text(json.dumps(split), encoding="utf-8")
    for case in cases:
        size = 1 + 0.02 * case
        phantom = ellipsoid(grid(field_mm=44), (6 * size, 14 * size, 8 * size))
        name = f"hippocampus_{case:03d}.nii.gz"
        label = phantom.mask.astype(np.float32)
        label[:, :22] *= 2  # in front of the middle anterior, behind it posterior
        for kind, array in (("images", phantom.volume.array), ("labels", label)):
            image = nibabel.Nifti1Image(array, np.eye(4))
            image.header.set_xyzt_units("mm")
            (folder / "hippocampus" / kind).mkdir(parents=True, exist_ok=True)
            image.to_filename(folder / "hippocampus" / kind / name)
    return folder


@pytest.fixture
def without_networks(monkeypatch):
    """Fail where anything is segmented."""

    def load(name, *given):
        pytest.fail("a network was asked for")

    monkeypatch.setattr("segment.models.load", load)


@pytest.mark.parametrize(
    ("cases", "options", "told"),
    [
        (4, (), "expected at least 5 with --repeats 8 and --thick-repeats 3, found 4"),
        (4, ("--thick-repeats", "2"), "expected at least 9 with"),
        (5, ("--thick-repeats", "1"), "--thick-repeats: expected at least 2,"),
        (5, ("--repeats", "0"), "--repeats: expected at least 2,"),
    ],
)
@pytest.mark.usefixtures("without_networks")
def test_too_few_repeats_are_refused_before_anything_is_segmented(
    cases, options, told, tmp_path, capsys
):
    data, output = crops(tmp_path, range(1, cases + 1)), tmp_path / "out"
    assert main(["repeatability", *map(str, ["--data", data, "-o", output, *options])]) == REFUSED
    assert told in one_sentence(capsys)
    assert not output.exists()


@pytest.mark.usefixtures("without_networks")
def test_a_case_without_its_tracing_is_refused_before_anything_is_segmented(tmp_path, capsys):
    data = crops(tmp_path, range(1, 6))
    (data / "hippocampus" / "labels" / "hippocampus_004.nii.gz").unlink()
    assert main(["repeatability", "--data", str(data), "-o", str(tmp_path / "out")]) == REFUSED
    assert "hippocampus_004.nii.gz: expected a file" in one_sentence(capsys)


@pytest.mark.slow
def test_repeats_are_written_with_what_follows_from_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    monkeypatch.setattr("segment.retest.THICKNESSES", (1, 2))
    data, output = crops(tmp_path, (1, 3, 5, 7, 9)), tmp_path / "out"
    options = ["--data", data, "-o", output, "--repeats", "4", "--thick-repeats", "4"]
    assert main(["repeatability", *map(str, options)]) == OK
    found = Repeatability.from_toml((output / "repeatability.toml").read_text(encoding="utf-8"))
    rows = read_retests(output / "retests.csv")
    assert [level.spacing_mm for level in found.levels] == [1.0, 2.0]
    assert found.levels[0].structures["hippocampus"].subjects == 5
    assert found.id == "threshold-1-pseudo-retest"
    assert len(rows) == 5 * (4 + 4 + 3) * 3
    grown = {round(row.true_log, 4) for row in rows if row.structure == "hippocampus"}
    assert grown == {0.0, round(np.log(0.95), 4), round(np.log(1.05), 4)}
    assert capsys.readouterr().out.count("within-subject CV") == 6
