"""Enhancing tumour of several dates: its volume against the limits of volumetric RANO, in words."""

import json
from dataclasses import replace

import pytest

import prompts
from assistant.judgement import Obstacle, Outcome
from assistant.pipeline import Assistant
from assistant.report import report_bytes
from assistant.settings import Settings
from assistant.verify import verify_report
from segment.errors import Refusal, ScanError
from segment.lesion_records import SINCE_BASELINE, SINCE_SMALLEST
from tests.test_lesion_followup import aligned, bounds, study_of  # noqa: F401  a fixture for all

languages = pytest.mark.parametrize("language", prompts.languages())
PLACE = (0, 0, 0)


def tumours(*radii_mm):
    """Return studies of a tumour of each size, today's first and then from the oldest on."""
    *earlier, now = radii_mm
    days = [f"{2020 + n}-06-01" for n in range(len(radii_mm))]
    studies = [
        study_of("abcdef"[n], day, {PLACE: mm} if mm else {})
        for n, (day, mm) in enumerate(zip(days, [*earlier, now], strict=True))
    ]
    return [studies[-1], *studies[:-1]]


def drafted(*radii_mm, language="en", role=None):
    settings = Settings(exam="tumour", language=language, reader="none")
    now, *priors = tumours(*radii_mm)
    return Assistant.from_settings(settings)(replace(now, role=role), priors=priors)


def test_the_impression_tells_the_changes_that_the_criteria_are_held_against():
    report = drafted(20, 8, 12)
    of = {m.id: m.quantity for m in report.measurements}
    short = [of[c] for line in report.lines if line.section == "impression" for c in line.cites]
    assert {SINCE_SMALLEST, SINCE_BASELINE} <= set(short)


def told(report):
    return {j.criterion: j.reason or j.outcome for j in report.judgements}


@languages
@pytest.mark.parametrize(
    ("radii_mm", "increase", "decrease"),
    [
        ((15, 20), Outcome.MET, Outcome.NOT_MET),  # 2.4 times the volume
        ((20, 12), Outcome.NOT_MET, Outcome.MET),  # a fifth of it
        ((20, 20), Outcome.NOT_MET, Outcome.NOT_MET),
        ((15, 17), Obstacle.CROSSES, Outcome.NOT_MET),  # + 46 %, with outlines half a voxel off
        ((20, 8, 12), Outcome.MET, Outcome.MET),  # over the smallest, and less than the baseline
        ((20, 10, 14), Outcome.MET, Obstacle.CROSSES),  # - 66 %, give or take half a voxel
        ((12, 18, 18), Outcome.MET, Outcome.NOT_MET),  # the baseline is the smallest
    ],
)
def test_volumes_are_held_against_the_limits_and_the_report_verifies(
    radii_mm, increase, decrease, language
):
    report = drafted(*radii_mm, language=language)
    assert report.problems == ()
    assert told(report) == {
        "increase_over_smallest_volume": increase,
        "decrease_from_baseline": decrease,
    }
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_each_change_is_relative_to_its_own_date():
    report = drafted(20, 10, 14)
    found, volumes = bounds(report), [m for m in report.measurements if m.unit == "mL"]
    now = next(m.value for m in volumes if m.quantity == "lesion volume")
    first, second = [m.value for m in volumes if m.quantity == "earlier lesion volume"]
    assert found[SINCE_BASELINE][0] == pytest.approx(100 * (now / first - 1))
    assert found[SINCE_SMALLEST][0] == pytest.approx(100 * (now / second - 1))
    since = {m.quantity: m.comparator for m in report.measurements}
    assert (since[SINCE_BASELINE], since[SINCE_SMALLEST]) == ("2020-06-01", "2021-06-01")


@languages
def test_since_nothing_there_is_no_percentage_and_what_is_missing_is_named(language):
    report = drafted(0, 14, language=language)
    assert {*told(report).values()} == {Obstacle.MISSING}
    missing = {name for judgement in report.judgements for name in judgement.missing}
    assert missing == {SINCE_SMALLEST, SINCE_BASELINE}
    words = prompts.load(language)
    text = report.markdown()
    assert all(words.quantities[name] in text for name in missing)
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_examinations_that_cannot_be_compared_are_judged_by_nothing():
    settings = Settings(exam="tumour", reader="none")
    now, before = tumours(15, 20)
    now = replace(now, volume=replace(now.volume, facts={"manufacturer": "one"}))
    before = replace(before, volume=replace(before.volume, facts={"manufacturer": "two"}))
    report = Assistant.from_settings(settings)(now, priors=[before])
    assert {*told(report).values()} == {Obstacle.WITHHELD}
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_a_tampered_limit_or_outcome_is_found():
    table = json.loads(report_bytes(drafted(15, 20)))
    for change in (("40 %", "25 %"), ("Criterion met", "Criterion not met")):
        lines = [{**line, "text": line["text"].replace(*change)} for line in table["lines"]]
        assert lines != table["lines"]
        assert verify_report({**table, "lines": lines})


def test_what_enhances_shows_on_a_t1_with_contrast_alone():
    assert drafted(15, 15, role="T1c").judgements
    with pytest.raises(ScanError, match="expected T1c for exam tumour, found FLAIR") as refusal:
        drafted(15, 15, role="FLAIR")
    assert refusal.value.code is Refusal.NO_ROLE
