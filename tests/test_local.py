"""Intervals of a user's own scans: fitted on labelled phantoms, then in a draft of another one."""

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest

from assistant.building import weights_of
from assistant.cli import OK, REFUSED, main
from assistant.localising import LocalRequest, localised
from assistant.pipeline import Assistant
from assistant.settings import Settings
from segment import models, organs
from segment.adapt.prepare import Warned
from segment.adapt.scans import Scan
from segment.calibration import Calibrated
from segment.crossfit import Case, read_judged
from segment.local.counted import Counted
from segment.local.fit import cases_from, figures, fitted
from segment.local.traced import Traced, thickest_mm
from segment.quantiles import cases_needed
from tests.phantoms import (
    ThresholdSegmenter,
    ball,
    calibrated,
    grid,
    head,
    registered,
    segmentation_of,
)

HIPPOCAMPUS = organs.load("hippocampus")
CROPS = ["--crop", "--side", "left"]
SUBJECTS = 6
COVERAGE = 0.5
DRAWN_LARGER = 1.04  # how much farther out than the phantom's border the expert draws


@pytest.fixture
def segmenter(monkeypatch):
    """Put a segmenter of phantoms in the place of the shipped networks, not of their intervals."""
    made = ThresholdSegmenter()
    monkeypatch.setattr("segment.models.load", lambda name, *given: made)
    return made


def write(folder, name, array, geometry):
    folder.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(folder / name)


def write_scan(folder, name, radius_mm, *, spacing_mm=(1.0, 1.0, 1.0), seed=0):
    """Write a noisy ball, and the labels of an expert who draws a little more."""
    geometry = grid(spacing_mm, field_mm=36, axes="PSL")
    noise = np.random.default_rng(seed).normal(0, 0.5, geometry.shape)
    array = (ball(geometry, radius_mm).volume.array + noise).astype(np.float32)
    write(folder / "images", name, array, geometry)
    drawn = segmentation_of(ball(geometry, radius_mm * DRAWN_LARGER)).labels
    write(folder / "labels", name, drawn.astype(np.uint8), geometry)


@pytest.fixture
def scans(tmp_path):
    """Six subjects, a crop each."""
    for number in range(SUBJECTS):
        radius_mm = 8 + 0.25 * number
        write_scan(tmp_path, f"sub-{number}_hemi-L.nii.gz", radius_mm, seed=number)
    return tmp_path


def run(folder, *options):
    folders = ["--images", folder / "images", "--labels", folder / "labels"]
    words = ["calibrate", *folders, *CROPS, "--coverage", COVERAGE, "-o", folder / "out", *options]
    return main([str(word) for word in words])


def one_sentence(capsys):
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    return error


def read_calibrated(folder):
    return Calibrated.from_json((folder / "out" / "calibration.json").read_text())


def test_intervals_follow_how_the_user_traces_and_stand_in_a_draft(
    scans, segmenter, monkeypatch, capsys
):
    assert run(scans) == OK
    told = capsys.readouterr().out
    assert f"local-{SUBJECTS}-subjects: intervals of 0.5; 6 scans of 6 subjects" in told
    assert "hippocampus: each subject left out, " in told
    found = read_calibrated(scans)
    assert min(found.levels[0].volume["hippocampus"]) > 0
    assert found.least_agreement == models.calibrated("unet").least_agreement
    assert not any(found.levels[0].asymmetry.values())
    for module in ("assistant.pipeline", "segment.register"):
        monkeypatch.setattr(f"{module}.register", lambda volume: registered())
    other = head((1.0, 1.0, 1.0), field_mm=110).volume
    write(scans, "head.nii.gz", other.array, other.geometry)
    draft = ["draft", scans / "head.nii.gz", "--writer", "template", "-o", scans / "drafted"]
    assert main([*map(str, draft), "--weights", str(scans / "out")]) == OK
    report = json.loads((scans / "drafted" / "report.json").read_text())
    assert report["provenance"]["calibration"] == f"local-{SUBJECTS}-subjects"
    assert report["provenance"]["calibration_n"] == SUBJECTS
    whole = report["measurements"][0]
    assert whole["calibration"] == {"id": f"local-{SUBJECTS}-subjects@1mm", "n": SUBJECTS}
    assert whole["interval"]["coverage"] == COVERAGE
    assert whole["interval"]["lower"] == pytest.approx(whole["value"])
    expert = whole["value"] * DRAWN_LARGER**3
    assert whole["interval"]["upper"] == pytest.approx(expert, rel=0.05)
    assert f"local-{SUBJECTS}-subjects" in (scans / "drafted" / "report.md").read_text()
    assert main(["verify", str(scans / "drafted" / "report.json")]) == OK


def test_the_folder_holds_the_weights_as_they_were_and_names_no_scan(scans, segmenter):
    assert run(scans) == OK
    out = scans / "out"
    shipped = models.place("unet").joinpath("weights.safetensors").read_bytes()
    assert weights_of(Settings(weights=str(out)), "weights.safetensors").read_bytes() == shipped
    texts = [path for path in out.rglob("*") if path.suffix in {".json", ".csv", ".txt", ".md"}]
    assert {path.name for path in texts} >= {"calibration.json", "cases.csv", "CARD.md"}
    assert len(read_judged(out / "cases.csv")) == SUBJECTS * len(HIPPOCAMPUS.structures)
    assert not any("sub-" in path.name + path.read_text() for path in texts)


def test_what_was_counted_is_not_counted_again(scans, segmenter):
    assistant = Assistant.from_settings(Settings(writer="template"))
    asked = LocalRequest(scans / "images", scans / "labels", "left", COVERAGE)
    steps = localised(assistant, asked, scans / "out")
    while getattr(step := next(steps), "step", "") != "segmenting" or step.done < 2:
        pass
    steps.close()
    assert len(segmenter.seen) == 2
    assert run(scans) == OK
    assert len(segmenter.seen) == SUBJECTS
    first = (scans / "out" / "calibration.json").read_bytes()
    assert run(scans) == OK
    assert len(segmenter.seen) == SUBJECTS
    assert (scans / "out" / "calibration.json").read_bytes() == first


def relabel(scans, change):
    """Change the labels of one scan."""
    path = scans / "labels" / "sub-3_hemi-L.nii.gz"
    image = nibabel.load(path)
    labels, affine = change(np.asarray(image.dataobj).copy(), image.affine.copy())
    changed = nibabel.Nifti1Image(labels, affine)
    changed.header.set_xyzt_units("mm")
    changed.to_filename(path)


def moved(labels, affine):
    affine[:3, 3] += 0.4
    return labels, affine


def unknown(labels, affine):
    labels[0, 0, 0] = 7
    return labels, affine


def only_posterior(labels, affine):
    return labels * (labels == 2), affine


BAD = {
    "empty": (lambda labels, affine: (labels * 0, affine), "expected labels of the hippocampus"),
    "unknown": (unknown, "expected the labels 1 = left hippocampus anterior, 2 = left hippo"),
    "a part": (only_posterior, "expected every part of a side that is traced, found no voxel of"),
    "elsewhere": (moved, "expected the voxels of the scan, 36x36x36 of 1x1x1 mm, found as many"),
}


@pytest.mark.parametrize("kind", BAD)
def test_labels_that_cannot_be_counted_are_refused_before_any_work(kind, scans, segmenter, capsys):
    change, told = BAD[kind]
    relabel(scans, change)
    assert run(scans) == REFUSED
    assert one_sentence(capsys).startswith(f"voxcite: sub-3_hemi-L.nii.gz: {told}")
    assert segmenter.seen == []


def test_labels_on_another_grid_are_taken_when_that_is_asked(scans, segmenter):
    relabel(scans, moved)
    assert run(scans, "--resample") == OK


def test_too_few_subjects_are_told_how_many_are_missing(scans, segmenter, capsys):
    assert run(scans, "--coverage", "0.9") == REFUSED
    told = "expected 19 subjects for intervals of 0.9, found 6; label 13 more"
    assert told in one_sentence(capsys)
    assert segmenter.seen == []
    assert not (scans / "out").exists()


def test_folders_without_a_pair_are_refused(scans, segmenter, capsys):
    (scans / "labels" / "sub-3_hemi-L.nii.gz").unlink()
    assert run(scans) == REFUSED
    assert "expected a file of the same name in both folders" in one_sentence(capsys)


def test_scans_of_two_protocols_are_refused(scans, segmenter, capsys):
    write_scan(scans, "sub-9_hemi-L.nii.gz", 8, spacing_mm=(1.0, 1.0, 3.0))
    assert run(scans) == REFUSED
    assert "expected scans of one protocol, found slices of 1 to 3 mm" in one_sentence(capsys)


@pytest.mark.parametrize(
    "options",
    [["--images", "x"], ["--labels", "x"], ["--coverage", "0.8"], CROPS],
    ids=" ".join,
)
def test_half_of_what_own_scans_need_is_refused(options, capsys):
    assert main(["calibrate", *options]) == REFUSED
    assert "expected both folders, --images and --labels" in one_sentence(capsys)


def test_an_exam_without_networks_has_nothing_to_calibrate(scans, capsys):
    assert run(scans, "--exam", "ct-organs") == REFUSED
    assert "exam ct-organs has no networks to calibrate" in one_sentence(capsys)


def test_one_subject_under_two_names_counts_once(scans, segmenter, capsys):
    for kind in ("images", "labels"):
        again = nibabel.load(scans / kind / "sub-0_hemi-L.nii.gz")
        again.to_filename(scans / kind / "sub-again_hemi-L.nii")
    assert run(scans) == OK
    told = capsys.readouterr().out
    assert "sub-0_hemi-L.nii.gz and sub-again_hemi-L.nii hold one picture: one subject" in told
    assert "sub-again_hemi-L.nii: left hippocampus: its subject has another scan" in told
    assert len(read_calibrated(scans).levels[0].volume["hippocampus"]) == SUBJECTS


def test_what_a_report_would_withhold_does_not_count(scans, segmenter, capsys):
    write_scan(scans, "sub-small_hemi-L.nii.gz", 4)
    assert run(scans) == OK
    told = capsys.readouterr().out
    assert "left hippocampus would be withheld (implausible-volume); left out" in told
    assert len(read_calibrated(scans).levels[0].volume["hippocampus"]) == SUBJECTS


def test_a_side_in_the_name_comes_before_the_one_asked_for(scans, segmenter):
    for number in range(SUBJECTS):
        write_scan(scans, f"sub-{number}_hemi-R.nii.gz", 8.1 + 0.2 * number, seed=90 + number)
    assert run(scans) == OK
    level = read_calibrated(scans).levels[0]
    assert len(level.volume["hippocampus"]) == SUBJECTS
    assert len(level.asymmetry["hippocampus"]) == SUBJECTS


def some(subjects: int, sides: Sequence[str] = ("left", "right"), seed: int = 0):
    """Traced and counted heads whose counts scatter by 5 %, of one thickness."""
    rng = np.random.default_rng(seed)
    scans, counts = [], []
    for subject in range(subjects):
        names = [(side, s.name) for side in sides for s in HIPPOCAMPUS.structures]
        expert = {key: float(rng.uniform(2, 4)) for key in names}
        scan = Scan(Path(f"{subject}.nii"), Path(f"{subject}.nii"), f"sub-{subject}")
        scans.append(Traced(scan, f"f{subject}", f"p{subject}", (1.0, 1.0, 1.0), expert))
        counts.append(
            [
                Counted(*key, value, (value * 0.98, value * 1.02), 0.95, "")
                for key in names
                for value in [expert[key] * float(np.exp(rng.normal(0, 0.05)))]
            ]
        )
    return scans, counts


def made(steps):
    """Run steps to their end; return what they made and what they warned of."""
    warnings = []
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value, warnings
        warnings += [step.text] if isinstance(step, Warned) else []


def test_a_subject_is_one_case_however_many_sides_are_traced():
    scans, counts = some(20)
    cases, _ = made(cases_from(scans, counts))
    assert len(cases) == 20 * 2 * 3
    found = fitted(cases, scans, HIPPOCAMPUS, calibrated(), 0.9)
    assert {len(scores) for scores in found.levels[0].volume.values()} == {20}
    assert {len(scores) for scores in found.levels[0].asymmetry.values()} == {20}
    assert Calibrated.from_json(found.to_json()).coverage == 0.9


def test_a_side_that_nobody_traced_is_no_case():
    scans, counts = some(3)
    bare = {key: 0.0 if key[0] == "right" else ml for key, ml in scans[0].expert_ml.items()}
    scans[0] = Traced(scans[0].scan, "f", "p", (1.0, 1.0, 1.0), bare)
    assert scans[0].untraced == ("right",)
    cases, _ = made(cases_from(scans, counts))
    assert {case.case for case in cases} == {1, 3, 4, 5, 6}


def test_subjects_left_out_are_held_about_as_often_as_was_asked():
    held = n = 0
    for seed in range(6):
        scans, counts = some(30, ["left"], seed)
        cases, _ = made(cases_from(scans, counts))
        figure = made(figures(cases, HIPPOCAMPUS, calibrated(), (1.0, 1.0, 1.0), 0.9))[0][0]
        assert figure.left_out.n == figure.before.n == 30
        held, n = held + figure.left_out.held, n + 30
    assert 0.84 <= held / n <= 0.97


def test_with_just_enough_subjects_none_can_be_left_out():
    needed = cases_needed(0.8, is_two_sided=True)
    scans, counts = some(needed, ["left"])
    cases, _ = made(cases_from(scans, counts))
    assert fitted(cases, scans, HIPPOCAMPUS, calibrated(), 0.8).id == f"local-{needed}-subjects"
    figure = made(figures(cases, HIPPOCAMPUS, calibrated(), (9.0, 1.0, 1.0), 0.8))[0][0]
    told = "hippocampus: each subject left out, too few subjects to leave one out;"
    assert str(figure) == f"{told} before, no interval"
    with pytest.raises(ValueError, match=f"expected {needed} subjects .* found {needed - 1}; lab"):
        fitted(_without_last(cases), scans, HIPPOCAMPUS, calibrated(), 0.8)


def _without_last(cases: Sequence[Case]) -> list[Case]:
    last = max(case.case for case in cases)
    return [case for case in cases if case.case != last]


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 3.0), (2.0, 2.0, 2.0)])
def test_scans_like_the_calibration_cases_get_the_intervals_and_thicker_ones_none(spacing_mm):
    scans, counts = some(19, ["left"])
    scans = [Traced(t.scan, t.sha256, t.picture, spacing_mm, t.expert_ml) for t in scans]
    cases, _ = made(cases_from(scans, counts))
    found = fitted(cases, scans, HIPPOCAMPUS, calibrated(), 0.9)
    assert found.level(spacing_mm) is not None
    assert found.level((1.0, 1.0, thickest_mm(scans) + 0.5)) is None
