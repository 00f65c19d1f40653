"""Earlier studies: whose they are, when, in which order, and what a report says of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import prompts
from assistant import followup
from assistant.followup import Placed, Priors, all_dated, dated
from assistant.ledger import Ledger
from assistant.output import write_draft
from assistant.report import Line, report_bytes
from assistant.sessions import session_date
from assistant.steps import Segmented
from assistant.study import Identifiers, Study, read_study
from assistant.verify import verify_line, verify_report
from segment.change import RELATIVE, TREND, YEARLY, Visit
from segment.errors import Refusal, ScanError
from segment.measurement import EARLIER, Reason, Reliability
from segment.register import Registration
from segment.register.pair import Alignment, doubt, halfway, mean_rigid
from tests.exported import MADE
from tests.followed import REPEATABILITY, study_of
from tests.phantoms import ball, grid, head, registered
from tests.test_cli import written
from tests.test_pipeline import assistant_of

languages = pytest.mark.parametrize("language", prompts.languages())


@pytest.fixture(scope="module")
def today():
    return study_of("a", "2024-06-01")


@pytest.fixture(scope="module")
def last_year():
    return study_of("b", "2023-06-01")


@pytest.fixture(scope="module")
def larger():
    return study_of("c", "2022-06-01", semi_axes_mm=(6.6, 15.4, 8.8))


@pytest.fixture
def askew(monkeypatch, aligned):
    """No pair of heads can be aligned."""
    monkeypatch.setattr(
        "assistant.followup.align", lambda scans, found: Alignment(np.eye(4), 0.4, 9.0)
    )


def drafted(study, *priors, language="en"):
    assistant = assistant_of(language=language, repeatability=REPEATABILITY)
    return assistant(study, priors=priors)


def changes(report, quantity=RELATIVE):
    return [
        m for m in report.measurements if m.quantity == quantity and m.structure == "hippocampus"
    ]


@languages
def test_a_report_with_a_prior_compares_and_verifies(today, last_year, aligned, language):
    report = drafted(today, last_year, language=language)
    words = prompts.load(language)
    texts = {line.text for line in report.lines}
    assert verify_report(json.loads(report_bytes(report))) == ()
    assert report.problems == ()
    assert {"comparison"} <= {line.section for line in report.lines}
    assert words.phrases["technique.change"] in texts
    assert words.phrases["not_assessed.change"] not in texts
    assert {r.date for r in report.measurements if r.quantity == EARLIER} == {"2023-06-01"}


def test_the_same_head_twice_is_within_measurement_error(today, last_year, aligned):
    report = drafted(today, last_year)
    assert [change.value for change in changes(report)] == [0.0, 0.0]
    said = [line.text for line in report.lines if line.section == "impression"]
    assert sum("within measurement error: no change is shown" in text for text in said) == 2


def test_a_head_that_lost_a_quarter_has_decreased_by_what_was_taken(today, larger, aligned):
    report = drafted(today, larger)
    shown = changes(report)
    assert [change.value for change in shown] == pytest.approx([100 * (1.1**-3 - 1)] * 2, abs=3)
    yearly = [change.value for change in changes(report, YEARLY)]
    assert yearly == pytest.approx([change.value / 2 for change in shown], rel=1e-3)
    said = [line.text for line in report.lines if line.section == "impression"]
    assert sum("a decrease beyond measurement error" in text for text in said) == 2


def test_priors_are_compared_by_their_dates_in_whatever_order_they_come(
    today, last_year, larger, aligned
):
    one, other = drafted(today, last_year, larger), drafted(today, larger, last_year)
    assert report_bytes(one) == report_bytes(other)
    assert {change.comparator for change in changes(one)} == {"2023-06-01"}
    assert {trend.comparator for trend in changes(one, TREND)} == {"2022-06-01"}


@languages
def test_a_draft_of_three_dates_holds_a_picture_of_each_trend(
    today, last_year, larger, aligned, language, tmp_path
):
    *steps, report = assistant_of(language=language, repeatability=REPEATABILITY).steps(
        today, priors=[last_year, larger]
    )
    segmented = next(step for step in steps if isinstance(step, Segmented))
    write_draft(tmp_path, today, segmented, report, MADE)
    found = sorted(path.name for path in tmp_path.glob("overlay_trend_*"))
    assert found == [f"overlay_trend_hippocampus_{side}.png" for side in ("left", "right")]


def test_heads_that_cannot_be_aligned_are_not_compared_and_both_are_measured(
    today, last_year, askew
):
    report = drafted(today, last_year)
    assert {change.reason for change in changes(report)} == {Reason.NOT_ALIGNED}
    assert {r.reliability for r in report.measurements[:7]} == {Reliability.REPORTABLE}
    assert verify_report(json.loads(report_bytes(report))) == ()
    assert report.provenance["prior"][0]["similarity"] == 0.4


@languages
@pytest.mark.parametrize("how", ["aligned", "askew"])
def test_of_three_dates_nothing_is_said_of_two(today, last_year, larger, language, how, request):
    request.getfixturevalue(how)
    report = drafted(today, last_year, larger, language=language)
    reason = Reason.NOT_ALIGNED if how == "askew" else None
    trends = changes(report, TREND)
    assert {trend.reason for trend in trends} == {reason}
    ids = {trend.id for trend in trends}
    told = [line.text for line in report.lines if ids & {*line.cites}]
    told += [line.text for line in report.lines if line.section == "technique"]
    two = ("both examinations", "two examinations", "两次检查")
    assert [text for text in told if any(words in text.lower() for words in two)] == []


@languages
def test_a_trend_leaves_out_a_date_that_does_not_align_and_says_so(
    today, last_year, larger, aligned, language, monkeypatch
):
    askew = study_of("d", "2021-06-01", semi_axes_mm=(5.0, 12.0, 7.0))

    def align(scans, found):
        is_askew = scans[1].sha256 == askew.volume.sha256
        return Alignment(np.eye(4), 0.4 if is_askew else 0.97, 0.1)

    monkeypatch.setattr("assistant.followup.align", align)
    report = drafted(today, last_year, larger, askew, language=language)
    said = prompts.load(language).phrases["technique.trend_dates"]
    assert {t.reason for t in changes(report, TREND)} == {None}
    assert {t.comparator for t in changes(report, TREND)} == {"2022-06-01"}
    assert said in {line.text for line in report.lines}
    whole = drafted(today, last_year, larger, language=language)
    assert said not in {line.text for line in whole.lines}
    records = {m.id: m for m in whole.measurements}
    assert verify_line(Line("technique", said, (), "stated"), records, prompts.load(language))
    assert verify_report(json.loads(report_bytes(report))) == ()


@languages
def test_a_prior_whose_head_is_not_found_leaves_the_current_volumes(
    today, last_year, monkeypatch, language
):
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())
    monkeypatch.setattr("assistant.followup.register", lambda volume: registered(similarity=0.1))
    report = drafted(today, last_year, language=language)
    earlier = {m.id for m in report.measurements if m.quantity == EARLIER}
    told = [line.text for line in report.lines if earlier & {*line.cites}]
    assert len(told) > 1
    assert all("2023-06-01" in text for text in told)
    assert {change.reason for change in changes(report)} == {Reason.DEPENDS_ON_UNRELIABLE}
    assert {r.reliability for r in report.measurements[:7]} == {Reliability.REPORTABLE}
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_each_prior_is_told_when_it_is_found_and_when_it_is_measured(today, last_year, aligned):
    steps = [type(step) for step in assistant_of().steps(today, priors=[last_year])]
    assert steps[1:6] == [Registration, Placed, Segmented, Visit, Ledger]


def test_a_prior_without_a_date_has_a_change_and_no_rate(today, aligned):
    report = drafted(today, study_of("b", None))
    assert {change.reason for change in changes(report)} == {None}
    assert {change.reason for change in changes(report, YEARLY)} == {Reason.DATES_UNKNOWN}
    assert verify_report(json.loads(report_bytes(report))) == ()


@languages
def test_two_scans_of_one_day_are_told_with_the_day_once(today, aligned, language):
    again = study_of("e", "2024-06-01", semi_axes_mm=(6.6, 15.4, 8.8))
    report = drafted(today, again, language=language)
    told = [line.text for line in report.lines if changes(report)[0].id in line.cites]
    assert told
    assert {text.count("2024-06-01") for text in told} == {1}
    assert verify_report(json.loads(report_bytes(report))) == ()
    assert report.problems == ()


def test_a_prior_of_another_resolution_cannot_be_compared(today, aligned):
    report = drafted(today, study_of("b", "2023-06-01", spacing_mm=(1.4, 2.0, 2.0)))
    assert {change.reason for change in changes(report)} == {Reason.OTHER_RESOLUTION}


def test_one_prior_may_be_of_the_day_of_the_study(today, last_year):
    again = study_of("e", "2024-06-01")
    assert Priors(today, (again, last_year)).studies == (last_year, again)


@pytest.mark.parametrize(
    ("priors", "code", "said"),
    [
        ([study_of("a", "2023-06-01")], Refusal.SAME_STUDY, "found the same one twice"),
        ([study_of("b", "2025-06-01")], Refusal.BAD_DATES, "found one after it"),
        (
            [study_of("b", "2023-06-01"), study_of("c", None)],
            Refusal.BAD_DATES,
            "expected a date of each, found 1 without one",
        ),
        (
            [study_of("b", "2023-06-01"), study_of("c", "2023-06-01")],
            Refusal.BAD_DATES,
            "expected a day of its own for each, found two of one day",
        ),
        ([study_of("b", "2023-06-01", patient="Q-2")], Refusal.OTHER_PATIENT, "--same-patient"),
        (
            [Study(replace(head(field_mm=110).volume, sha256="b" * 64, modality="CT"), "ct")],
            Refusal.NOT_MR,
            "the prior study: expected MR, found CT",
        ),
        (
            [Study(replace(ball(grid(field_mm=40), 9).volume, sha256="b" * 64), "crop")],
            Refusal.FIELD_TOO_SMALL,
            "the prior study: expected a whole head",
        ),
    ],
    ids=["same", "later", "undated", "one day", "patient", "modality", "part"],
)
def test_what_is_no_prior_is_refused_in_one_sentence(priors, code, said):
    study = study_of("a", "2024-06-01", patient="Q-1")
    with pytest.raises(ScanError, match=said) as refusal:
        Priors(study, tuple(priors))
    assert refusal.value.code is code
    assert "Q-" not in str(refusal.value)


def test_somebody_may_vouch_for_another_identifier(today):
    study = replace(today, identifiers=Identifiers(patient_id="Q-1"))
    prior = study_of("b", "2023-06-01", patient="Q-2")
    assert Priors(study, (prior,), is_same_patient=True).studies == (prior,)


def test_days_are_given_for_the_study_and_then_for_each_prior(today, last_year):
    study, prior = all_dated((today, last_year), ["2024-01-01", "2020-01-02"])
    assert (study.volume.date, prior.volume.date) == ("2024-01-01", "2020-01-02")
    assert all_dated((today, last_year), [])[1].volume.date == "2023-06-01"


@pytest.mark.parametrize("day", ["yesterday", "2024-13-01", "01.06.2024", ""])
def test_a_day_that_is_none_is_refused(today, day):
    with pytest.raises(ScanError, match="a day as YYYY-MM-DD") as refusal:
        dated(today, day)
    assert refusal.value.code is Refusal.BAD_DATES


def test_more_days_than_studies_are_refused(today):
    with pytest.raises(ScanError, match="at most 1"):
        all_dated((today,), ["2024-01-01", "2023-01-01"])


def rigid(seed):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.2, 3)).as_matrix()
    matrix[:3, 3] = rng.normal(0, 20, 3)
    return matrix


def test_half_way_between_two_scans_their_boxes_hold_the_same_tissue():
    there = rigid(0)
    found = [registered(template_to_scan=rigid(1)), registered(template_to_scan=there @ rigid(2))]
    one, other = halfway(found, [np.eye(4), there])
    assert np.allclose(there @ one.template_to_scan, other.template_to_scan)
    boxes = [placed.box((24.0, -22.0, -10.5), (48, 64, 48)).affine for placed in (one, other)]
    assert np.allclose(there @ boxes[0], boxes[1])


def test_half_way_is_the_same_place_whichever_scan_comes_first():
    there = rigid(0)
    found = [registered(template_to_scan=rigid(1)), registered(template_to_scan=there @ rigid(2))]
    one, other = halfway(found, [np.eye(4), there])
    turned, first = halfway(found[::-1], [np.eye(4), np.linalg.inv(there)])
    assert np.allclose(one.template_to_scan, first.template_to_scan)
    assert np.allclose(other.template_to_scan, turned.template_to_scan)


def test_the_mean_of_rigid_maps_is_rigid_and_in_the_middle():
    turn = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    one, other = np.eye(4), np.eye(4)
    other[:3, :3], other[:3, 3] = turn, (4, 0, 0)
    mean = mean_rigid([one, other])
    assert np.allclose(mean[:3, :3], Rotation.from_euler("z", 15, degrees=True).as_matrix())
    assert np.allclose(mean[:3, 3], (2, 0, 0))


@pytest.mark.parametrize(
    ("similarity", "disagreement_mm", "reason"),
    [(0.97, 0.2, None), (0.3, 0.2, Reason.NOT_ALIGNED), (0.97, 5.0, Reason.NOT_ALIGNED)],
)
def test_an_alignment_is_trusted_if_it_fits_and_both_directions_agree(
    similarity, disagreement_mm, reason
):
    assert doubt(Alignment(np.eye(4), similarity, disagreement_mm)) is reason


@pytest.mark.parametrize(
    ("growth", "reason"),
    [(1.02, None), (0.98, None), (1.04, Reason.OTHER_SIZE), (0.96, Reason.OTHER_SIZE)],
)
def test_heads_that_differ_in_size_cannot_be_compared(growth, reason):
    assert doubt(Alignment(np.eye(4), 0.97, 0.2, growth)) is reason


def test_a_study_that_cannot_be_aligned_keeps_its_own_place(today, last_year, askew):
    found = registered()
    current, prior = followup.between(today, found, [followup.aligned(today, found, last_year)])
    assert isinstance(current, Placed)
    assert prior.doubt is Reason.NOT_ALIGNED
    assert np.allclose(current.registration.template_to_scan, np.eye(4))


def bids(folder, table):
    """Write two sessions of a person, and what their table says."""
    person = folder / "sub-01"
    for session in ("ses-1", "ses-2"):
        (person / session / "anat").mkdir(parents=True)
    (person / "sub-01_sessions.tsv").write_text(table, encoding="utf-8")
    return [person / f"ses-{n}" / "anat" / f"sub-01_ses-{n}_T1w.nii.gz" for n in (1, 2)]


def test_the_day_of_a_session_stands_in_its_table(tmp_path):
    table = "session_id\tacq_time\nses-1\t2020-01-02T10:11:12\nses-2\tn/a\n"
    first, second = bids(tmp_path, table)
    written(ball(grid(field_mm=20), 5).volume, first)
    assert session_date(first) == "2020-01-02"
    assert session_date(second) is None
    assert read_study(first).volume.date == "2020-01-02"


@pytest.mark.parametrize("table", ["", "session_id\nses-1\n", "a\tb\n1\t2\n"])
def test_a_table_that_says_no_day_gives_none(tmp_path, table):
    first, _ = bids(tmp_path, table)
    assert session_date(first) is None


def test_a_scan_outside_of_a_dataset_has_no_session(tmp_path):
    assert session_date(tmp_path / "head.nii.gz") is None
