"""Lesions of two dates become a report: each with its fate, volume and bounds, and verified."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import prompts
from assistant import lesions
from assistant.cli import OK, REFUSED, main
from assistant.judgement import Obstacle, Outcome
from assistant.pipeline import Assistant
from assistant.report import report_bytes
from assistant.settings import Settings
from assistant.study import Study
from assistant.verify import verify_report
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.lesion_place import carried
from segment.lesion_records import LETTERS
from segment.masks import Mask
from segment.masks.table import LabelTable
from segment.measurement import Reason
from segment.objects import lesions_in_mask
from segment.register.pair import Alignment
from tests.phantoms import grid, head, registered
from tests.supplied import write
from tests.test_cli import one_sentence, written

languages = pytest.mark.parametrize("language", prompts.languages())
HEAD = head(field_mm=110, spacing_mm=(1.5, 1.5, 1.5))
GEOMETRY = HEAD.volume.geometry
STAYS, GROWS, SHRINKS = (-30, 0, 0), (30, 0, 0), (0, 30, 0)
GOES, COMES, TINY = (0, -30, 0), (0, 0, 30), (0, 0, -30)
BEFORE = {STAYS: 5.0, GROWS: 4.0, SHRINKS: 7.0, GOES: 5.0}
NOW = {STAYS: 5.0, GROWS: 7.0, SHRINKS: 4.0, COMES: 5.0, TINY: 0.9}
STATED = {
    "lesion count": (5, 4, 5),
    "new lesions": (2, 1, 2),
    "enlarged lesions": (1, 1, 1),
    "shrunk lesions": (1, 1, 1),
    "resolved lesions": (1, 1, 1),
    "unchanged lesions": (1, 1, 1),
    "merged lesions": (0, 0, 0),
}


@pytest.fixture(autouse=True)
def aligned(monkeypatch):
    """Every head lies where the template does, and so do both of a pair."""
    for module in ("assistant.pipeline", "assistant.followup"):
        monkeypatch.setattr(f"{module}.register", lambda volume: registered())
    monkeypatch.setattr(
        "assistant.followup.align", lambda scans, found: Alignment(np.eye(4), 0.97, 0.1)
    )


def balls(radii_mm, geometry=GEOMETRY):
    """Mark balls of radii in mm around places in mm, each touching the voxel it lies in."""
    places = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T.astype(float))
    marked = np.zeros(len(places), bool)
    for centre, radius_mm in radii_mm.items():
        apart = np.linalg.norm(places - centre, axis=1)
        marked |= apart <= max(radius_mm, float(apart.min()) + 1e-9)
    return marked.reshape(geometry.shape)


def mask_of(marked, digest, geometry=GEOMETRY):
    labels = marked.astype(np.uint16)
    table = LabelTable("everything marked", ())
    return Mask(labels, geometry, table, frozenset({1}), frozenset(), digest, "NIfTI", False)


def study_of(digest, day, radii_mm, **facts):
    volume = replace(HEAD.volume, sha256=digest * 64, date=day, **facts)
    return Study(volume, f"{digest}.nii.gz", mask=mask_of(balls(radii_mm), digest.upper() * 64))


def drafted(now, *priors, language="en"):
    settings = Settings(exam="follow-up", language=language, reader="none")
    return Assistant.from_settings(settings)(now, priors=priors)


def pair(**facts):
    return study_of("a", "2024-06-01", NOW), study_of("b", "2023-06-01", BEFORE, **facts)


def bounds(report):
    """Return value and bounds by quantity."""
    return {
        m.quantity: (m.value, m.interval.lower, m.interval.upper)
        for m in report.measurements
        if m.interval is not None
    }


@languages
def test_each_lesion_is_told_with_its_fate_and_the_report_verifies(language):
    report = drafted(*pair(), language=language)
    assert report.problems == ()
    assert verify_report(json.loads(report_bytes(report))) == ()
    found = bounds(report)
    assert {quantity: found[quantity] for quantity in STATED} == STATED
    told = {m.quantity for m in report.measurements if m.unit == "mm3"}
    assert told == {
        *("new lesion volume A", "new lesion volume B", "resolved lesion volume E"),
        *("enlarged lesion volume C", "enlarged lesion change C"),
        *("shrunk lesion volume D", "shrunk lesion change D"),
    }
    text = report.markdown()
    assert prompts.load(language).quantities["enlarged lesion change C"] in text


def test_a_change_is_the_difference_of_two_outlines_and_its_bounds_are_the_worst():
    report = drafted(*pair())
    old, new = (lesions_in_mask(balls({GROWS: mm}), GEOMETRY).found[0] for mm in (4.0, 7.0))
    value, lower, upper = bounds(report)["enlarged lesion change C"]
    assert value == pytest.approx(1000 * (new.volume_ml - old.volume_ml))
    assert lower == pytest.approx(1000 * (new.lower_ml - old.upper_ml))
    assert upper == pytest.approx(1000 * (new.upper_ml - old.lower_ml))
    assert lower > 0


def test_loads_are_counted_on_their_own_grids_and_compared():
    found = bounds(drafted(*pair()))
    loads = [lesions_in_mask(balls(radii), GEOMETRY).load_ml for radii in (NOW, BEFORE)]
    assert found["lesion volume"][0] == pytest.approx(loads[0])
    assert found["earlier lesion volume"][0] == pytest.approx(loads[1])
    assert found["relative lesion volume change"][0] == pytest.approx(
        100 * (loads[0] / loads[1] - 1)
    )


def test_the_criteria_of_neda_are_judged_by_the_counts():
    judged = {j.criterion: j.reason or j.outcome for j in drafted(*pair()).judgements}
    assert judged == {
        "new_lesion": Outcome.MET,
        "enlarging_lesion": Outcome.MET,
        "enhancing_lesion": Obstacle.MISSING,
    }


def test_the_same_lesions_twice_meet_no_criterion():
    now, before = study_of("a", "2024-06-01", NOW), study_of("b", "2023-06-01", NOW)
    report = drafted(now, before)
    judged = {j.criterion: j.reason or j.outcome for j in report.judgements}
    assert judged["new_lesion"] == judged["enlarging_lesion"] == Outcome.NOT_MET
    assert bounds(report)["unchanged lesions"] == (5, 5, 5)
    low, high = bounds(report)["lesion volume change"][1:]
    assert low < 0 < high


@languages
def test_a_change_whose_bounds_include_none_is_said_to_show_none(language):
    now, before = study_of("a", "2024-06-01", NOW), study_of("b", "2023-06-01", NOW)
    report = drafted(now, before, language=language)
    assert report.problems == ()
    (told,) = prompts.load(language).lexicon["bounds"]["no_change"]
    ids = {m.id for m in report.measurements if "lesion volume change" in m.quantity}
    lines = [line for line in report.lines if ids & {*line.cites}]
    assert {line.section for line in lines} == {"comparison", "impression"}
    assert all(told in line.text for line in lines)


@languages
def test_a_change_beyond_its_bounds_comes_with_what_is_not_known_of_it(language):
    told = prompts.load(language).phrases["not_assessed.lesion_error"]
    (now, before), same = pair(), study_of("c", "2023-06-01", NOW)
    assert told in {line.text for line in drafted(now, before, language=language).lines}
    assert told not in {line.text for line in drafted(now, same, language=language).lines}


@languages
def test_one_lesion_is_written_in_the_singular_and_bounds_are_no_interval(language):
    words, report = prompts.load(language), drafted(*pair(), language=language)
    text = report.markdown()
    assert "(s)" not in text
    assert words.amount(1, "{lesions}", 0) == {"en": "1 lesion", "zh": "1 个"}[language]
    assert words.range(1, 2, "{lesions}", 0).endswith({"en": "2 lesions", "zh": "2 个"}[language])
    judged = [line.text for line in report.lines if line.section == "criteria" and line.cites]
    assert not any({"en": "interval", "zh": "区间"}[language] in line for line in judged)
    assert report.problems == ()


@pytest.mark.parametrize(
    ("before", "now", "enlarged", "shrunk"),
    [
        ({(0, 0, 0): 14.0}, {(-10, 0, 0): 3.0, (10, 0, 0): 3.0}, (0, 0, 0), (0, 0, 1)),
        ({(0, 0, 0): 4.0}, {(-8, 0, 0): 6.5, (8, 0, 0): 6.5}, (0, 0, 1), (0, 0, 0)),
    ],
)
def test_a_lesion_that_split_counts_to_one_side_where_its_change_does(
    before, now, enlarged, shrunk
):
    found = bounds(drafted(study_of("a", "2024-06-01", now), study_of("b", "2023-06-01", before)))
    assert found["split lesions"] == (1, 1, 1)
    assert (found["enlarged lesions"], found["shrunk lesions"]) == (enlarged, shrunk)


@languages
def test_without_a_prior_lesions_are_counted_and_change_is_said_to_be_unassessed(language):
    report = drafted(pair()[0], language=language)
    told = {"lesion volume", "lesion count", *(f"large lesion volume {n}" for n in "ABCDE")}
    assert {m.quantity for m in report.measurements} == told
    texts = {line.text for line in report.lines}
    assert prompts.load(language).phrases["not_assessed.change"] in texts
    assert verify_report(json.loads(report_bytes(report))) == ()


@languages
@pytest.mark.parametrize("exam", ["ms-lesions", "tumour", "follow-up"])
def test_how_lesions_were_outlined_holds_of_one_examination_as_of_several(language, exam):
    words = prompts.load(language).phrases
    assert {"en": "each examination", "zh": "各次检查"}[language] not in words[f"technique.{exam}"]


@languages
def test_lesions_that_have_all_gone_are_resolved(language):
    now, before = study_of("a", "2024-06-01", {}), study_of("b", "2023-06-01", {STAYS: 5.0})
    report = drafted(now, before, language=language)
    found = bounds(report)
    assert found["lesion volume"] == (0, 0, 0)
    assert found["resolved lesions"] == (1, 1, 1)
    assert found["relative lesion volume change"] == (-100, -100, -100)
    assert verify_report(json.loads(report_bytes(report))) == ()


@languages
def test_of_three_dates_of_lesions_the_technique_speaks_of_no_two_examinations(language):
    report = drafted(*pair(), study_of("d", "2022-06-01", BEFORE), language=language)
    told = [line.text for line in report.lines if line.section == "technique"]
    two = ("both examinations", "two examinations", "两次检查")
    assert prompts.load(language).phrases["technique.lesion_change"] in told
    assert [text for text in told if any(words in text.lower() for words in two)] == []


@languages
@pytest.mark.parametrize(
    ("now", "before", "is_said"),
    [({}, BEFORE, True), (NOW, {}, True), ({}, {}, True), (NOW, BEFORE, False)],
)
def test_an_examination_in_which_nothing_is_marked_is_said_to_be_taken_for_empty(
    language, now, before, is_said
):
    studies = study_of("a", "2024-06-01", now), study_of("b", "2023-06-01", before)
    report = drafted(*studies, language=language)
    told = prompts.load(language).phrases["technique.lesions_none"]
    lines = [line for line in report.lines if line.text == told]
    assert [line.section for line in lines] == ["technique"] * is_said
    assert report.problems == ()
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_an_examination_with_lesions_is_not_taken_for_one_without():
    table = json.loads(report_bytes(drafted(*pair())))
    told = prompts.load("en").phrases["technique.lesions_none"]
    (line,) = [x for x in table["lines"] if x["text"].startswith("A lesion is what hangs")]
    line["text"] = told
    assert verify_report(table)


@languages
@pytest.mark.parametrize("resampled", [(), (0,), (1,), (0, 1)])
def test_a_segmentation_from_another_grid_is_told_of_its_examination(language, resampled):
    studies = [
        replace(one, mask=replace(one.mask, is_resampled=n in resampled))
        for n, one in enumerate(pair())
    ]
    report = drafted(*studies, language=language)
    told = prompts.load(language).phrases["technique.resampled"]
    assert sum(line.text == told for line in report.lines) == bool(resampled)
    made = (report.provenance, report.provenance["prior"][0])
    said = ["nearest label" if n in resampled else "no" for n in (0, 1)]
    assert [one["segmentation"]["resampled"] for one in made] == said
    assert report.problems == ()
    assert verify_report(json.loads(report_bytes(report))) == ()


@languages
def test_an_answer_about_a_report_of_lesions_is_verified(language):
    settings = Settings(exam="follow-up", language=language, reader="none")
    assistant = Assistant.from_settings(settings)
    report = assistant(pair()[0], priors=pair()[1:])
    asked = {"en": ("Did it grow?", "How many are there?"), "zh": ("变化了吗？", "有多少？")}
    grown, many = (assistant.ask(report, question) for question in asked[language])
    assert grown.problems == many.problems == ()
    quantities = {m.id: m.quantity for m in report.measurements}
    assert "new lesions" in {quantities[cite] for line in grown.lines for cite in line.cites}
    assert "lesion count" in {quantities[cite] for line in many.lines for cite in line.cites}


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (NOW, BEFORE, {"shrunk lesions"}),
        ({STAYS: 9.0}, {(-34, 0, 0): 2.0, (-26, 0, 0): 2.0}, {"merged lesions"}),
        ({(-34, 0, 0): 2.0, (-26, 0, 0): 2.0}, {STAYS: 9.0}, {"split lesions"}),
    ],
)
def test_the_impression_tells_each_class_of_lesions_that_occurs(now, before, expected):
    report = drafted(study_of("a", "2024-06-01", now), study_of("b", "2023-06-01", before))
    of = {m.id: m.quantity for m in report.measurements}
    lines = [line for line in report.lines if line.section == "impression"]
    found = {of[cite] for line in lines for cite in line.cites}
    always = {"new lesions", "enlarged lesions", "resolved lesions", "lesion volume change"}
    assert found == {"lesion volume", "lesion count", *always, *expected}


@languages
def test_heads_that_do_not_align_leave_fates_open_and_loads_withheld(language, monkeypatch):
    monkeypatch.setattr(
        "assistant.followup.align", lambda scans, found: Alignment(np.eye(4), 0.4, 9.0)
    )
    report = drafted(*pair(), language=language)
    reasons = {m.quantity: m.reason for m in report.measurements}
    assert reasons["new lesions"] == reasons["lesion volume change"] == Reason.NOT_ALIGNED
    assert reasons["lesion volume"] is reasons["earlier lesion volume"] is None
    assert {j.reason for j in report.judgements} == {Obstacle.WITHHELD, Obstacle.MISSING}
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_another_scanner_withholds_every_change():
    facts = {"facts": {"manufacturer": "one"}}
    now = pair()[0]
    now = replace(now, volume=replace(now.volume, facts={"manufacturer": "two"}))
    report = drafted(now, pair(**facts)[1])
    changed = [m for m in report.measurements if m.comparator is not None]
    assert {m.reason for m in changed} == {Reason.OTHER_PROTOCOL}
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_more_lesions_than_letters_are_counted_and_the_report_says_so():
    places = {(x, y, -30): 1.2 for x in range(-36, 37, 12) for y in range(-30, 31, 12)}
    assert len(places) > len(LETTERS)
    report = drafted(study_of("a", "2024-06-01", places), study_of("b", "2023-06-01", {}))
    assert bounds(report)["new lesions"][0] == len(places)
    assert sum(m.unit == "mm3" for m in report.measurements) == len(LETTERS)
    assert any("More lesions changed" in line.text for line in report.lines)
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_one_lesion_more_than_there_are_letters_is_one_too_many():
    places = [(x, y, -30) for x in range(-36, 37, 12) for y in range(-30, 31, 12)]
    kept, new = {places[-1]: 1.2}, dict.fromkeys(places[: len(LETTERS) + 1], 1.2)
    report = drafted(study_of("a", "2024-06-01", new | kept), study_of("b", "2023-06-01", kept))
    assert bounds(report)["new lesions"][0] == len(LETTERS) + 1
    assert any("More lesions changed" in line.text for line in report.lines)
    assert verify_report(json.loads(report_bytes(report))) == ()


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", " on 2024-06-01, compared with the examination of 2023-06-01, is approximately "),
        ("zh", "2024-06-01（对照检查 2023-06-01），脑新发病灶 A 的体积约 "),
    ],
)
def test_the_volume_of_a_lesion_is_told_of_its_date(language, told):
    now, before = study_of("a", "2024-06-01", {GROWS: 3.0}), study_of("b", "2023-06-01", {})
    report = drafted(now, before, language=language)
    line = next(line for line in report.lines if "lesion A" in line.text or "病灶 A" in line.text)
    assert told in line.text
    assert verify_report(json.loads(report_bytes(report))) == ()


@pytest.mark.parametrize(("known", "is_said"), [((True, True), False), ((True, False), True)])
def test_a_comparison_says_where_a_scanner_is_not_known(known, is_said):
    facts = [{"manufacturer": "A"} if is_known else {} for is_known in known]
    now = study_of("a", "2024-06-01", NOW, facts=facts[0])
    report = drafted(now, study_of("b", "2023-06-01", BEFORE, facts=facts[1]))
    sentence = prompts.load("en").phrases["technique.scanner_unknown"]
    assert (sentence in [line.text for line in report.lines]) == is_said
    assert verify_report(json.loads(report_bytes(report))) == ()
    alone = drafted(study_of("a", "2024-06-01", NOW, facts={}))
    assert sentence not in [line.text for line in alone.lines]


def test_the_provenance_says_where_each_lesion_lies():
    rows = {row["lesion"]: row for row in drafted(*pair()).provenance["lesions"]}
    assert rows["C"]["fate"] == "enlarged"
    assert np.allclose(rows["C"]["now"][0]["centre_mm"], GROWS, atol=2.0)


def test_lesions_of_the_provenance_are_told_apart_on_their_line():
    report = drafted(study_of("a", "2024-06-01", {GROWS: 3.0}), study_of("b", "2023-06-01", {}))
    line = next(x for x in report.markdown().splitlines() if x.startswith("- Lesions by their"))
    assert line.startswith("- Lesions by their letters: lesion A, fate new, before –, now (centre_")


def test_a_prediction_is_never_claimed_of_an_outline():
    table = json.loads(report_bytes(drafted(*pair())))
    for line in table["lines"]:
        line["text"] = line["text"].replace("outline bounds", "90 % prediction interval")
    assert verify_report(table)


def test_a_tampered_count_is_found():
    table = json.loads(report_bytes(drafted(*pair())))
    for line in table["lines"]:
        line["text"] = line["text"].replace("resolved lesion E", "enlarged lesion C")
    assert verify_report(table)


def test_lesions_are_carried_with_the_head_that_turned():
    fine = grid(field_mm=60.0)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    turn[:3, 3] = (3.0, -2.0, 1.0)
    place = np.array([12.0, 5.0, -8.0])
    own = turn[:3, :3] @ place + turn[:3, 3]
    found = lesions_in_mask(balls({tuple(own): 5.0}, fine), fine)
    there = carried(found, fine, turn)
    assert there.found == found.found
    centre = fine.to_world(np.argwhere(there.labels == 1).astype(float)).mean(axis=0)
    assert np.allclose(centre, place, atol=0.7)


def test_a_lesion_between_the_voxels_of_a_coarse_grid_stays_a_lesion():
    fine = grid(field_mm=30.0)
    coarse = Geometry((3, 3, 3), np.diag([10.0, 10.0, 10.0, 1.0]))
    found = lesions_in_mask(balls({(4.0, 4.0, 4.0): 0.5}, fine), fine)
    there = carried(found, coarse, np.eye(4))
    assert len(there.found) == 1
    assert not there.labels.any()


def test_a_prior_without_a_segmentation_is_refused():
    now, before = pair()
    with pytest.raises(ScanError, match="the prior study: expected a segmentation") as refusal:
        lesions.marked(now, [replace(before, mask=None)])
    assert refusal.value.code is Refusal.NO_SEGMENTATION


def test_a_study_without_a_segmentation_is_refused_before_its_head_is_sought():
    now, _ = pair()
    with pytest.raises(ScanError, match="expected a segmentation of the scan") as refusal:
        drafted(replace(now, mask=None))
    assert refusal.value.code is Refusal.NO_SEGMENTATION
    assert str(refusal.value).endswith("give its file with --segmentation")


@pytest.mark.parametrize("exam", ["ms-lesions", "tumour", "follow-up"])
def test_networks_are_refused_where_lesions_are_compared(exam):
    with pytest.raises(ValueError, match=f"^exam {exam}: expected a segmentation of its lesions"):
        Assistant.from_settings(Settings(exam=exam, segmenter="nnunet:/none"))


@pytest.fixture
def files(tmp_path):
    """Write both heads and their lesions, those of today numbered one by one."""
    now, before = (written(HEAD.volume, tmp_path / name) for name in ("now.nii", "before.nii"))
    changed = HEAD.volume.array.copy()
    changed[0, 0, 0] += 1
    before = written(replace(HEAD.volume, array=changed), tmp_path / "before.nii")
    numbered = 300 * lesions_in_mask(balls(NOW), GEOMETRY).labels.astype(np.uint16)
    affine = GEOMETRY.affine
    drawn = write(tmp_path / "now.mask.nii.gz", numbered, affine)
    earlier = write(tmp_path / "before.mask.nii.gz", balls(BEFORE).astype(np.uint8), affine)
    return now, before, drawn, earlier


def draft(*arguments, out):
    command = ("draft", "--exam", "follow-up", *arguments, "-o", out)
    return main([str(part) for part in command])


def test_the_command_line_takes_a_segmentation_of_each_study(files, tmp_path, capsys):
    now, before, drawn, earlier = files
    days = ["--date", "2024-06-01", "--date", "2023-06-01"]
    masks = ["--segmentation", drawn, "--segmentation", earlier]
    assert draft(now, "--prior", before, *masks, *days, out=tmp_path / "out") == OK
    printed = capsys.readouterr().out
    assert "count of new lesions of the brain between 2023-06-01 and 2024-06-01" in printed
    assert main(["verify", str(tmp_path / "out" / "report.json")]) == OK
    made = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert made["provenance"]["labels_left_out"] == []
    assert {"segmentation_sha256", "similarity"} <= made["provenance"]["prior"][0].keys()


def test_a_prior_for_which_no_segmentation_is_given_is_refused_in_one_line(files, tmp_path, capsys):
    now, before, drawn, _ = files
    masks = ["--segmentation", drawn]
    assert draft(now, "--prior", before, *masks, out=tmp_path / "out") == REFUSED
    assert "once for each prior" in one_sentence(capsys)


def test_a_scan_in_the_place_of_its_lesions_is_refused_in_one_line(files, tmp_path, capsys):
    now, *_ = files
    assert draft(now, "--segmentation", now, out=tmp_path / "out") == REFUSED
    assert "found the scan itself" in one_sentence(capsys)


def test_more_segmentations_than_studies_are_refused_in_one_line(files, tmp_path, capsys):
    now, _, drawn, earlier = files
    masks = ["--segmentation", drawn, "--segmentation", earlier]
    assert draft(now, *masks, out=tmp_path / "out") == REFUSED
    assert "expected at most 1, found 2" in one_sentence(capsys)


def test_bounds_by_an_outline_have_no_coverage():
    report = drafted(*pair())
    assert {m.basis for m in report.measurements} == {"outlined"}
    assert {m.interval.coverage for m in report.measurements} == {None}
