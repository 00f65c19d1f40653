"""Scan in, report out: the steps in order, the same bytes twice, and nothing said without cause."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import get_args

import nibabel
import numpy as np
import pytest

import prompts
from assistant import Assistant, Settings, exams, writers
from assistant.draft import Draft
from assistant.folder import ENTROPY, LABELS, MUTUAL
from assistant.followup import Placed
from assistant.ledger import Ledger
from assistant.loading import Loading
from assistant.output import write_draft
from assistant.report import Line, Report, report_bytes
from assistant.score import Score
from assistant.steps import STEPS, Gated, Segmented, Step
from assistant.study import Identifiers, Study, read_sample
from assistant.verify import verify_report
from segment import organs
from segment.change import Visit
from segment.errors import Refusal, ScanError
from segment.infer import Missing
from segment.measurement import Reason, Reliability
from segment.register import Registration
from tests.exported import MADE
from tests.phantoms import CASES, ThresholdSegmenter, ball, calibrated, grid, head, registered

ORGAN = organs.load("hippocampus")
languages = pytest.mark.parametrize("language", prompts.languages())


def assistant_of(network=None, language="en", **options):
    """An assistant whose segmenter needs no weights and whose calibration is a formula."""
    settings = Settings(writer="template", language=language)
    return Assistant(
        **{
            "settings": settings,
            "exam": exams.load(settings.exam),
            "organs": (ORGAN,),
            "loading": Loading.of(network or ThresholdSegmenter()),
            "calibrated": calibrated(),
            "writer": writers.load(settings.writer),
            "phrasebook": prompts.load(language),
            **options,
        }
    )


@pytest.fixture(scope="module")
def study():
    return Study(head(field_mm=110).volume, "head.nii.gz")


@pytest.fixture
def in_place(monkeypatch):
    """Every head lies where the template does."""
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())


@pytest.fixture
def untrusted(monkeypatch):
    """No head is found."""
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered(similarity=0.1))


def test_the_steps_come_in_order(study, in_place):
    steps = list(assistant_of().steps(study))
    kinds = [Gated, Registration, Segmented, Ledger, Line, Draft, Report]
    assert list(dict.fromkeys(type(step) for step in steps)) == kinds
    of_priors = {Placed, Visit}
    assert [kind for kind in get_args(Step) if kind not in of_priors] == kinds
    assert len(STEPS) == len(kinds) - 1  # lines come while the draft is written


@dataclass(frozen=True)
class ReaderOf:
    """A reader that finds in every picture what it is told to; the real one has its own tests."""

    scores: tuple[Score, ...]
    name: str = "told"
    weights_sha256: str = "0" * 64

    def __call__(self, volume):
        return self.scores


def told(**probability):
    return tuple(
        Score(f"s{n}", finding.replace("__", "."), found, "held-out", "told")
        for n, (finding, found) in enumerate(probability.items(), start=1)
    )


def test_what_a_reader_reads_stands_in_the_report_and_a_fault_is_cited(study, in_place):
    scores = told(kind__mr_t1=0.97, kind__ct=0.01, quality__motion=0.93, quality__noise=0.2)
    assistant = assistant_of(reading=Loading.of(ReaderOf(scores)))
    report = assistant(study)
    assert report.scores == scores
    assert [line.section for line in report.lines if "s3" in line.cites] == ["technique"]
    assert not [line for line in report.lines if "s4" in line.cites]
    assert report.provenance["reader"] == "told"
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_a_picture_of_something_else_is_refused_before_it_is_segmented(study, in_place):
    scores = told(kind__mr_t1=0.01, kind__mr_t1_contrast=0.01, kind__mr_flair=0.98)
    steps = assistant_of(reading=Loading.of(ReaderOf(scores))).steps(study)
    assert [type(next(steps)) for _ in range(2)] == [Gated, Registration]
    with pytest.raises(ScanError, match="FLAIR") as refused:
        next(steps)
    assert refused.value.code is Refusal.WRONG_PICTURE


def test_without_a_reader_a_report_holds_no_scores(study, in_place):
    report = assistant_of()(study)
    assert report.scores == ()
    assert "reader" not in report.provenance


def test_settings_choose_a_reader_or_none():
    assert Assistant.from_settings(Settings(reader="none")).reading is None
    assert Assistant.from_settings(Settings(reader="siglip")).reading is not None


def test_every_line_that_is_shown_while_writing_stands_in_the_report(study, in_place):
    *steps, report = assistant_of().steps(study)
    shown = [step for step in steps if isinstance(step, Line)]
    assert len(shown) > 10
    assert set(shown) <= set(report.lines)


@languages
def test_every_step_has_its_words(language):
    assert {"read", *STEPS} <= prompts.load(language).steps.keys()


@languages
def test_a_called_assistant_returns_the_last_step(study, in_place, language):
    assistant = assistant_of(language=language)
    *_, report = assistant.steps(study)
    assert assistant(study) == report


@languages
def test_a_phantom_is_measured_and_reported(study, in_place, language):
    report = assistant_of(language=language)(study)
    assert {record.reliability for record in report.measurements} == {Reliability.REPORTABLE}
    assert {cite for line in report.lines for cite in line.cites} == {
        record.id for record in report.measurements
    }
    assert report.problems == ()
    assert report.status == "draft"
    whole = {m.side: m.value for m in report.measurements if m.structure == "hippocampus"}
    assert whole["left"] == pytest.approx(head(field_mm=110).volume_ml, rel=0.04)


@languages
def test_a_report_holds_when_it_is_checked_again(study, in_place, language):
    report = assistant_of(language=language)(study)
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_two_runs_give_the_same_bytes(study, in_place):
    one, other = (report_bytes(assistant_of()(study)) for _ in range(2))
    assert one == other


def test_another_scan_gives_other_bytes(study, in_place):
    moved = Study(replace(study.volume, sha256="c" * 64), study.name)
    assert report_bytes(assistant_of()(moved)) != report_bytes(assistant_of()(study))


@languages
def test_a_head_that_was_not_found_is_reported_as_not_assessed(study, untrusted, language):
    network = ThresholdSegmenter()
    report = assistant_of(network, language=language)(study)
    *volumes, asymmetry = report.measurements
    assert {record.reliability for record in report.measurements} == {Reliability.NOT_ASSESSED}
    assert {record.reason for record in volumes} == {Reason.REGISTRATION_UNTRUSTED}
    assert asymmetry.reason is Reason.DEPENDS_ON_UNRELIABLE
    assert {record.value for record in report.measurements} == {None}
    assert network.seen == []


@languages
def test_a_report_without_a_measurement_is_verified_and_cites_every_record(
    study, untrusted, language
):
    report = assistant_of(language=language)(study)
    assert verify_report(json.loads(report_bytes(report))) == ()
    cited = {cite for line in report.lines for cite in line.cites}
    assert cited == {record.id for record in report.measurements}


def test_a_report_without_a_measurement_names_no_segmenter(study, untrusted):
    provenance = assistant_of()(study).provenance
    assert "segmenter" not in provenance
    assert "seeds" not in provenance
    assert provenance["registration"]["similarity"] == 0.1


def test_a_head_turned_beyond_belief_is_withheld_by_its_own_name(study, monkeypatch):
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    found = registered(template_to_scan=turned)
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: found)
    reasons = {record.reason for record in assistant_of()(study).measurements[:6]}
    assert reasons == {Reason.ORIENTATION_IMPLAUSIBLE}


def test_one_side_outside_the_field_leaves_the_other(in_place):
    cut = Study(head(field_mm=110, centre_mm=(45.0, -20.0, -10.0)).volume, "cut.nii.gz")
    report = assistant_of()(cut)
    assert {m.reason for m in report.measurements if m.side == "left"} == {Reason.OUTSIDE_FIELD}
    assert {m.reason for m in report.measurements if m.side == "right"} == {None}
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_a_report_says_what_it_was_made_from_and_with(study, in_place):
    network = ThresholdSegmenter()
    provenance = assistant_of(network)(study).provenance
    assert provenance["input_sha256"] == study.volume.sha256
    assert provenance["model_sha256"] == network.weights_sha256
    assert provenance["seeds"] == list(network.seeds)
    assert provenance["runtime"] == network.runtime
    assert provenance["calibration"] == "phantoms"
    assert provenance["calibration_n"] == CASES
    assert provenance["plan"]["language"] == "en"
    assert {"voxcite", "torch", "SimpleITK"} <= provenance["versions"].keys()
    assert provenance["writer"] == "template"


def test_a_report_states_the_hashes_of_the_maps_that_are_written_with_it(study, in_place, tmp_path):
    *steps, report = assistant_of().steps(study)
    segmented = next(step for step in steps if isinstance(step, Segmented))
    write_draft(tmp_path, study, segmented, report, MADE)
    hashes = {
        LABELS: "segmentation_sha256",
        ENTROPY: "entropy_sha256",
        MUTUAL: "mutual_information_sha256",
    }
    for name, key in hashes.items():
        stored = nibabel.load(tmp_path / name).dataobj.get_unscaled()
        digest = hashlib.sha256(stored.tobytes(order="F")).hexdigest()
        assert report.provenance[key] == digest


def test_a_report_names_no_file_and_no_patient(study, in_place, tmp_path):
    identifiers = Identifiers("QZ-1", "A-77", "1.2.3", "1.2.4")
    named = Study(study.volume, f"{tmp_path.name}_Quetzal.nii.gz", identifiers)
    text = report_bytes(assistant_of()(named)).decode()
    for word in ("Quetzal", "QZ-1", "A-77", "1.2.3", "/home", "/tmp", ".nii"):
        assert word not in text


@languages
def test_a_template_is_said_to_be_one(study, in_place, language):
    report = assistant_of(language=language)(replace(study, is_template=True))
    said = prompts.load(language).phrases["technique.sample"]
    assert said in {line.text for line in report.lines}
    assert said not in {line.text for line in assistant_of(language=language)(study).lines}


def test_what_is_no_head_is_refused_before_anything_is_done(monkeypatch):
    crop = Study(ball(grid(field_mm=40), 9).volume, "crop.nii.gz")
    with pytest.raises(ScanError) as refusal:
        next(assistant_of().steps(crop))
    assert refusal.value.code is Refusal.FIELD_TOO_SMALL


def test_a_crop_is_measured_on_its_side():
    crop = Study(ball(grid(field_mm=40), 9).volume, "crop.nii.gz")
    assistant = assistant_of()
    segmented = assistant.crop(crop, "right")
    records = assistant.measure(crop, segmented).records
    assert segmented.registration is None
    assert [record.side for record in records] == ["right"] * 3
    assert records[0].value == pytest.approx(3.05, rel=0.03)


def test_a_head_is_no_crop(study):
    with pytest.raises(ScanError, match="leave --crop out"):
        assistant_of().crop(study, "left")


def test_a_coverage_that_is_asked_for_is_that_of_every_interval():
    settings = Settings(writer="template", coverage=0.8)
    assert Assistant.from_settings(settings).exam.coverage == 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(exam="spleen"), "unknown exam 'spleen'"),
        (Settings(language="xx"), "unknown language 'xx'"),
        (Settings(writer="poet"), "unknown writer 'poet'"),
        (Settings(segmenter="vnet"), "unknown segmenter 'vnet'"),
    ],
)
def test_settings_that_name_no_part_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Assistant.from_settings(settings)


def test_settings_are_read_from_toml(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('language = "zh"\ncoverage = 0.8\n', encoding="utf-8")
    assert Settings.read(path) == Settings(language="zh", coverage=0.8)


def test_an_unknown_setting_is_refused_by_name(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('langauge = "zh"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"settings\.toml: unknown settings \['langauge'\]"):
        Settings.read(path)


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0, -0.1])
def test_a_coverage_is_a_share(coverage):
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        Settings(coverage=coverage)


def test_missing_sides_are_segmented_as_missing(study):
    segmented = assistant_of().segment(study.volume, registered(similarity=0.0))
    assert segmented.sides == tuple(
        Missing(side, Reason.REGISTRATION_UNTRUSTED) for side in ("left", "right")
    )


@pytest.mark.slow
def test_the_sample_gives_the_same_report_twice():
    one, other = (
        report_bytes(Assistant.from_settings(Settings(writer="template"))(read_sample()))
        for _ in range(2)
    )
    assert one == other
    assert "template" in one.decode()
    assert verify_report(json.loads(one)) == ()
