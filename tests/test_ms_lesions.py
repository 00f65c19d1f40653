"""The lesions of one examination: how many, how large, and where the largest of them lie."""

import json

import numpy as np
import pytest

import prompts
from assistant.cli import main
from assistant.cli.terminal import OK
from assistant.pipeline import Assistant
from assistant.report import report_bytes
from assistant.settings import Settings
from assistant.verify import verify_report
from segment.lesion_records import LARGE, LARGEST
from segment.objects import lesions_in_mask
from segment.reading import read_nifti
from tests.shared_data import shared_data
from tests.test_lesion_followup import (  # noqa: F401  a fixture for all
    GEOMETRY,
    aligned,
    balls,
    bounds,
    study_of,
)

languages = pytest.mark.parametrize("language", prompts.languages())
RADII_MM = {(-20 + 9 * n, 6 * (-1) ** n, 0): 2.0 + 0.5 * n for n in range(LARGEST + 1)}


def drafted(radii_mm, *priors, language="en"):
    settings = Settings(exam="ms-lesions", language=language, reader="none")
    now = study_of("a", "2024-06-01", radii_mm)
    return Assistant.from_settings(settings)(now, priors=priors)


@languages
def test_count_load_and_the_largest_lesions_are_told_and_the_report_verifies(language):
    report = drafted(RADII_MM, language=language)
    assert report.problems == ()
    assert verify_report(json.loads(report_bytes(report))) == ()
    found, lesions = bounds(report), lesions_in_mask(balls(RADII_MM), GEOMETRY)
    assert found["lesion count"][0] == len(RADII_MM)
    assert found["lesion volume"][0] == pytest.approx(lesions.load_ml)
    told = [found[f"{LARGE} {letter}"][0] for letter in "ABCDE"]
    assert told == pytest.approx([1000 * one.volume_ml for one in lesions.found[:LARGEST]])
    assert f"{LARGE} F" not in found
    assert prompts.load(language).quantities[f"{LARGE} A"] in report.markdown()


@languages
def test_a_count_whose_bounds_are_the_count_is_told_as_that_of_the_segmentation(language):
    report, words = drafted(RADII_MM, language=language), prompts.load(language)
    assert bounds(report)["lesion count"] == (len(RADII_MM),) * 3
    key = next(m.id for m in report.measurements if m.quantity == "lesion count")
    told = [line.text for line in report.lines if key in line.cites]
    amount, range_ = words.amount(6, "{lesions}", 0), words.range(6, 6, "{lesions}", 0)
    where = {"en": "in the supplied segmentation", "zh": "所提供的分割中"}[language]
    assert len(told) == 2
    assert all(amount in text and where in text and range_ not in text for text in told)
    assert range_ in report.markdown()


def test_a_count_is_told_with_bounds_that_differ_from_it():
    report = drafted({**RADII_MM, (0, -30, 0): 0.9})
    assert "is 7 lesions (outline bounds 6 to 7 lesions)" in report.markdown()
    table = json.loads(report_bytes(report))
    line = next(line for line in table["lines"] if "is 7 lesions (outline" in line["text"])
    line["text"] = line["text"].replace(" (outline bounds 6 to 7 lesions)", "")
    assert any("a value stands with its interval" in problem for problem in verify_report(table))


def test_the_box_of_each_large_lesion_stands_in_the_report():
    report = drafted(RADII_MM)
    lesions = lesions_in_mask(balls(RADII_MM), GEOMETRY)
    (one, *_) = report.provenance["lesions"]
    assert one["lesion"] == "A"
    first, last = one["box_voxels"]
    inside = lesions.labels[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    assert (inside == 1).sum() == (lesions.labels == 1).sum()
    lower, upper = one["box_mm"]
    assert np.all(np.array(lower) < one["centre_mm"])
    assert np.all(np.array(upper) > one["centre_mm"])
    assert 0 < one["longest_diameter_mm"] <= np.linalg.norm(np.subtract(upper, lower)) + 0.1


@languages
def test_the_largest_of_small_lesions_are_not_called_large(language):
    report = drafted({(-20, 6, 0): 2.0, (10, 0, 0): 1.2}, language=language)
    assert "large lesion" not in report.markdown()
    assert "较大病灶" not in report.markdown()
    said = prompts.load(language).phrases["technique.lesions_largest"]
    assert said in {line.text for line in report.lines}
    nothing = drafted({}, language=language)
    assert said not in {line.text for line in nothing.lines}


def test_no_report_says_that_networks_found_no_lesion():
    """They did not look; in Chinese that they detected none would be a finding."""
    said = prompts.load("zh").phrases["technique.ms-lesions"]
    assert "未检出" not in said
    assert "未使用任何网络" in said


def test_without_a_lesion_the_count_is_zero_and_none_is_large():
    report = drafted({})
    assert bounds(report)["lesion count"] == (0, 0, 0)
    assert "lesions" not in report.provenance
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_with_an_earlier_examination_letters_are_of_what_changed():
    report = drafted(RADII_MM, study_of("b", "2023-06-01", {}))
    quantities = {m.quantity for m in report.measurements}
    assert "new lesion volume A" in quantities
    assert f"{LARGE} A" not in quantities


@pytest.mark.slow
@pytest.mark.parametrize("patient", ["patient07", "patient26"])
def test_a_patients_published_lesions_are_reported_whole(patient, tmp_path, capsys):
    flair = shared_data("ms_crosssectional", patient, "flair.nii.gz")
    drawn = shared_data("ms_crosssectional", patient, "gold_standard.nii.gz")
    command = ("draft", flair, "--exam", "ms-lesions", "--segmentation", drawn, "-o", tmp_path)
    assert main([str(part) for part in command]) == OK
    mask = read_nifti(drawn)
    lesions = lesions_in_mask(mask.array > 0, mask.geometry)
    made = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    values = {m["quantity"]: m["value"] for m in made["measurements"]}
    assert values["lesion count"] == len(lesions.found) > LARGEST
    assert values["lesion volume"] == pytest.approx((mask.array > 0).sum() / 1000, rel=1e-3)
    assert len(made["provenance"]["lesions"]) == LARGEST
