"""Real test-retest: a table of visits becomes a file that a comparison then reads."""

import csv
import hashlib
import json
from dataclasses import replace
from importlib.resources import as_file, files

import nibabel
import numpy as np
import pytest

from assistant.cli import OK, REFUSED, main
from assistant.visits import read_visits
from segment.errors import ScanError
from segment.register.pair import Alignment
from segment.repeatability import PSEUDO, VISITS, Repeatability, RepeatLevel, Within
from segment.retest import read_retests
from tests.phantoms import calibrated, head
from tests.test_cli import one_sentence

SHIFTED = 1.05  # times as long along each axis is every second visit's structure
PARTS = ("hippocampus", "hippocampus anterior", "hippocampus posterior")


def visits(folder, subjects):
    """Write two heads of each subject and the table of them; return the table."""
    rows = [("scan", "subject")]
    for subject in range(1, subjects + 1):
        for visit, times in enumerate((1.0, SHIFTED), start=1):
            size = times * (1 + 0.02 * subject)
            semi_axes_mm = (6 * size, 14 * size, 8 * size)
            phantom = head(field_mm=110, semi_axes_mm=semi_axes_mm)
            array = phantom.volume.array + 0.1 * subject + 0.01 * visit  # no two files are alike
            image = nibabel.Nifti1Image(array, phantom.volume.geometry.affine)
            image.header.set_xyzt_units("mm")
            name = f"sub-{subject}_ses-{visit}.nii.gz"
            image.to_filename(folder / name)
            rows.append((name, f"person {subject}"))
    return table(folder, rows)


def table(folder, rows):
    path = folder / "visits.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def run(path, output, *options):
    return main(["repeatability", "--visits", str(path), "-o", str(output), *options])


@pytest.mark.usefixtures("aligned", "of_phantoms")
def test_visits_of_nine_persons_say_how_far_they_lie_apart(tmp_path, capsys):
    output = tmp_path / "out"
    assert run(visits(tmp_path, 9), output) == OK
    found = Repeatability.from_toml((output / "repeatability.toml").read_text(encoding="utf-8"))
    rows = read_retests(output / "retests.csv")
    (level,) = found.levels
    within = level.structures["hippocampus"]
    assert (found.scope, level.spacing_mm, level.edges_mm) == (VISITS, 2.0, (2.0, 2.0, 2.0))
    assert (within.subjects, within.repeats) == (9, 36)
    assert within.sd_log == pytest.approx(3 * np.log(SHIFTED) / np.sqrt(2), rel=0.2)
    assert len(rows) == 9 * 2 * 2 * len(PARTS)
    assert "person" not in (output / "retests.csv").read_text(encoding="utf-8")
    told = capsys.readouterr().out
    assert "n = 9 subjects" in told
    assert "days apart not known" in told


@pytest.mark.usefixtures("aligned", "of_phantoms")
def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch):
    path, output = visits(tmp_path, 9), tmp_path / "out"
    assert run(path, output) == OK
    first = (output / "repeatability.toml").read_bytes()

    def segmenting(*given):
        pytest.fail("a visit was segmented again")

    monkeypatch.setattr("assistant.pipeline.segment_head", segmenting)
    assert run(path, output) == OK
    assert (output / "repeatability.toml").read_bytes() == first


@pytest.mark.usefixtures("aligned", "of_phantoms")
def test_a_pair_that_does_not_align_is_left_out_and_too_few_are_refused(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        "assistant.followup.align", lambda scans, found: Alignment(np.eye(4), 0.4, 9.0)
    )
    assert run(visits(tmp_path, 9), tmp_path / "out") == REFUSED
    told = capsys.readouterr()
    assert told.out.count("its heads could not be aligned") == 9
    assert "expected at least 9 subjects whose volumes are not withheld, found 0" in told.err
    assert not (tmp_path / "out" / "repeatability.toml").exists()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("scan", "person")], "expected the columns scan,subject"),
        ([("scan", "subject"), ("a.nii", "")], "both filled in each row"),
        ([("scan", "subject"), ("a.nii", "one")], "two scans or more of each subject, found one"),
        (
            [("scan", "subject"), ("a.nii", "one"), ("b.nii", "one")],
            "expected at least 9 subjects, found 1",
        ),
    ],
)
def test_a_table_that_is_no_retest_is_refused_in_a_sentence(tmp_path, rows, told):
    with pytest.raises(ScanError, match=told):
        read_visits(table(tmp_path, rows))


def test_a_missing_table_is_refused_in_a_sentence(tmp_path, capsys):
    assert run(tmp_path / "none.csv", tmp_path / "out") == REFUSED
    assert "none.csv: expected a table of visits" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: [*rows[:-1], (rows[1][0], rows[-1][1])], "expected each person under one"),
        (lambda rows: [*rows[:-1], ("none.nii.gz", rows[-1][1])], "subject person 9: none.nii.gz"),
        (lambda rows: [*rows[:-1], (rows[-2][0], rows[-1][1])], "found the same one twice"),
    ],
)
def test_scans_that_are_no_two_visits_are_refused_before_any_work(tmp_path, capsys, change, told):
    path = visits(tmp_path, 9)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert run(table(tmp_path, change(rows)), tmp_path / "out") == REFUSED
    assert told in capsys.readouterr().err


def test_simulated_and_real_repeats_are_not_mixed(tmp_path, capsys):
    assert run(tmp_path / "visits.csv", tmp_path, "head.nii.gz") == REFUSED
    assert "--visits: expected no heads to simulate as well, found 1" in one_sentence(capsys)
    assert main(["repeatability", "--weights", "folder"]) == REFUSED
    assert "--weights: expected --visits as well" in one_sentence(capsys)


def test_what_visits_show_is_never_narrower_than_what_was_simulated():
    def of(sd_log, correlation, scope):
        levels = (RepeatLevel(2.0, {"hippocampus": Within(sd_log, correlation, 9, 36)}),)
        return Repeatability("id", "source", levels, scope)

    real = of(0.01, 0.99, VISITS)
    simulated = of(0.02, 0.97, PSEUDO)
    both = real.no_narrower_than(simulated)
    (level,) = simulated.levels
    within = replace(level.structures["hippocampus"], is_simulated=True)
    assert both == replace(real, levels=(replace(level, structures={"hippocampus": within}),))
    assert both.described(within)[1] == PSEUDO
    assert Repeatability.from_toml(both.to_toml()) == both
    assert real.no_narrower_than(of(0.005, 0.9, PSEUDO)) == of(0.01, 0.9, VISITS)
    assert real.no_narrower_than(of(0.005, 0.995, PSEUDO)) == real
    assert real.no_narrower_than(Repeatability.unknown()) == real
    thicker = replace(real, levels=(replace(real.levels[0], spacing_mm=5.0),))
    assert real.no_narrower_than(replace(thicker, scope=PSEUDO)) == real


@pytest.mark.parametrize(
    ("spacing_mm", "is_judged"),
    [((1.0, 1.1, 1.0), True), ((1.2, 1.0, 1.0), True), ((1.0, 1.0, 5.0), False)],
)
def test_visits_stand_for_scans_with_alike_voxels_alone(spacing_mm, is_judged):
    level = RepeatLevel(1.2, {"hippocampus": Within(0.01, 0.9, 9, 36)}, (1.0, 1.0, 1.2))
    found = Repeatability("id", "source", (level,), VISITS)
    assert Repeatability.from_toml(found.to_toml()) == found
    assert (found.level(spacing_mm) is not None) is is_judged


@pytest.fixture
def drafting(tmp_path, aligned, of_phantoms):
    """Draft a head with an earlier one by a file of repeat visits, some of its facts changed."""

    def draft(**changed):
        facts = {"weights_sha256": sha256_of_shipped(), "calibration": calibrated().id}
        level = RepeatLevel(2.0, dict.fromkeys(PARTS, Within(0.2, 0.5, 12, 48)), (2.0, 2.0, 2.0))
        found = Repeatability("ours", "visits", (level,), VISITS, **(facts | changed))
        (tmp_path / "ours.toml").write_text(found.to_toml(), encoding="utf-8")
        names = [(visits(tmp_path, 1), f"sub-1_ses-{n}.nii.gz")[1] for n in (2, 1)]
        now, before = (str(tmp_path / name) for name in names)
        given = ("--prior", before, "--repeatability", str(tmp_path / "ours.toml"))
        return main(["draft", now, *given, "--writer", "template", "-o", str(tmp_path / "out")])

    return draft


def sha256_of_shipped():
    with as_file(files("segment.models.unet") / "weights.safetensors") as path:
        return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_draft_is_judged_by_the_visits_that_it_is_given(drafting, tmp_path, capsys):
    assert drafting() == OK
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    judged = [m["reference"] for m in report["measurements"] if m["unit"] == "%"]
    ours = [reference for reference in judged if reference and reference["n"] == 12]
    assert len(ours) == 2 * len(PARTS)
    assert {reference["scope"] for reference in ours} == {VISITS}
    assert report["provenance"]["plan"]["repeatability"] == "ours.toml"
    assert "within the measurement error" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "out" / "report.json")]) == OK


@pytest.mark.parametrize("fact", ["weights_sha256", "calibration"])
def test_visits_that_other_networks_measured_are_refused(drafting, capsys, fact):
    assert drafting(**{fact: "another"}) == REFUSED
    sentence = one_sentence(capsys)
    assert "expected the repeatability of these networks and intervals" in sentence
    assert "measure it with the networks that the draft is made with" in sentence
    assert sentence.endswith("[bad-option]\n")


def test_a_file_that_is_no_repeatability_is_refused(tmp_path, capsys):
    (tmp_path / "ours.toml").write_text('id = "a"', encoding="utf-8")
    given = ("--repeatability", str(tmp_path / "ours.toml"), "--writer", "template")
    assert main(["draft", "sample", *given]) == REFUSED
    sentence = one_sentence(capsys)
    assert "ours.toml: expected what `voxcite repeatability` wrote" in sentence
    assert sentence.endswith("[bad-option]\n")


def test_an_exam_without_networks_of_its_own_takes_no_repeatability(tmp_path, capsys):
    given = ("--exam", "ct-organs", "--repeatability", str(tmp_path / "ours.toml"))
    assert main(["draft", "scan.nii.gz", *given]) == REFUSED
    sentence = one_sentence(capsys)
    assert "--repeatability: expected an exam with networks" in sentence
    assert sentence.endswith("[bad-option]\n")
