"""Numbers of reference reports become slots of the records they state, or are listed with why."""

import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest

import prompts
from assistant import exams
from assistant.ledger import Ledger
from assistant.render import render
from assistant.report import Line
from assistant.verify import verify_line
from assistant.writers.vlm.asking import grammar_of
from assistant.writers.vlm.matcher import make_guide
from assistant.writers.vlm.own import EXAMPLE, is_own, read_own
from assistant.writers.vlm.reports import Refused, bind, bind_report
from assistant.writers.vlm.slots import SECTION_TOKEN, TOKEN, SlotTable, parse_target
from assistant.writers.vlm.spoken import SLOTS
from assistant.writers.vlm.vocabulary import make_vocabulary
from segment.measurement import Reason
from tests.ledgers import plain_ledger, wide_ledger, withheld
from tests.phantoms import ellipsoid, grid, segmentation_of

EXAM = exams.load("hippocampus")
ENDS = (SECTION_TOKEN, "<end_of_turn>")
EN, ZH = prompts.load("en"), prompts.load("zh")


def judge(statement, ledger, words):
    """Render and verify a statement, as a report does."""
    text = render(statement, ledger, words)
    line = Line(statement.section, text, statement.cites, "measured")
    return verify_line(line, {record.id: record for record in ledger.records}, words)


def bound(sentence, words=EN, ledger=None):
    found = bind(sentence, "findings", ledger or plain_ledger(), EXAM, words)
    return [statement.text for statement in found]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "The volume of the left hippocampus is 3.21 mL.",
            "The volume of the left hippocampus is {m1.reading}.",
        ),
        ("The left hippocampal volume is 3.2 mL.", "The left hippocampal volume is {m1.reading}."),
        ("The left hippocampus measures 3214 mm3.", "The left hippocampus measures {m1.reading}."),
        ("The left hippocampus measures 3,214 mm³.", "The left hippocampus measures {m1.reading}."),
        (
            "Volume of the right hippocampus: 3.1cm³",
            "Volume of the right hippocampus: {m4.reading}",
        ),
        (
            "The left hippocampus measures approximately 3 cc, within the reference range.",
            "The left hippocampus measures {m1.reading}, within the reference range.",
        ),
        (
            "The volume of the anterior part of the right hippocampus is 1.65 mL.",
            "The volume of the anterior part of the right hippocampus is {m5.reading}.",
        ),
        (
            "The asymmetry index of the hippocampi is 3.5 %.",
            "The asymmetry index of the hippocampi is {m7.reading}.",
        ),
    ],
)
def test_a_number_becomes_the_slot_of_the_record_it_states(sentence, expected):
    assert bound(sentence) == [expected]


def test_the_sentence_that_is_shown_to_whoever_has_none_is_one_that_binds():
    told = EXAMPLE.replace("3.52", "3.21")
    pair, unbound = bind_report("a", told, plain_ledger(), EXAM, EN, judge)
    assert unbound == ()
    assert pair is not None


def test_a_chinese_number_becomes_a_slot_too():
    assert bound("左侧海马体积约3.2毫升。", ZH) == ["左侧海马体积{m1.reading}。"]


def test_a_sentence_about_both_sides_is_bound_clause_by_clause():
    found = bound("The left hippocampus measures 3.21 mL and the right hippocampus 3.10 mL.")
    assert found == [
        "The left hippocampus measures {m1.reading}.",
        "The right hippocampus {m4.reading}.",
    ]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The left hippocampus measures 3.31 mL.", "is not what m1 rounds to"),
        ("The left hippocampus measures 3.2141 mL.", "is not what m1 rounds to"),
        ("The left hippocampus measures 3.21 mm3.", "is not what m1 rounds to"),
        ("The right hippocampus measures 3.21 mL.", "is not what m4 rounds to"),
        ("The amygdala measures 3.21 mL.", "no structure"),
        ("The left hippocampus is 32 mm long.", "nothing that was measured"),
        ("No mass is seen.", "nothing that was measured"),
        ("In 2019 the left hippocampus measured 3.21 mL.", "a number besides"),
        ("The left hippocampus measures 3.21 mL, the right is larger than the left hippocampus "
         "and the right hippocampus.", "several structures"),
        ("Left hippocampus 3.21 mL 3.21 mL.", "several numbers"),
        ("The left hippocampus measures 3,21 mL.", "nothing that was measured"),
    ],
)  # fmt: skip
def test_what_cannot_be_bound_is_refused_with_its_reason(sentence, reason):
    with pytest.raises(Refused, match=reason):
        bound(sentence)


def test_a_withheld_value_is_never_bound():
    record = withheld(plain_ledger()["m1"], Reason.TRUNCATED)
    ledger = Ledger((record, *wide_ledger().records[1:6]))
    with pytest.raises(Refused, match="m1 is not reliable here"):
        bound("The left hippocampus measures 3.21 mL.", ledger=ledger)


REPORT = """Technique: 3D T1 at 3 T.
Findings:
The volume of the left hippocampus is 3.21 mL. No mass is seen.
The volume of the right hippocampus is 3.10 mL, above the reference range.
The left hippocampal volume is 3.2 mL.
Impression: Left hippocampal volume: 3.2 mL."""


def test_a_report_becomes_a_target_with_every_record_in_order():
    ledger = plain_ledger()
    pair, unbound = bind_report("a", REPORT, ledger, EXAM, EN, judge)
    findings = pair.target.partition(SECTION_TOKEN)[0]
    required = SlotTable.of(ledger).required()
    found = [token[0] for token in TOKEN.finditer(findings) if token[0] in required]
    assert tuple(dict.fromkeys(found)) == required
    first = "The volume of the left hippocampus is<unused1000>, within the reference range of"
    assert pair.target.startswith(f"{first}<unused1002>.\n")
    assert "Left hippocampal volume:<unused1000>." in pair.target.partition(SECTION_TOKEN)[2]
    assert parse_target(pair.target, ledger, EXAM, EN) == pair.statements
    assert all(judge(s, ledger, EN) == () for s in pair.statements)
    assert [piece.text for piece in unbound] == [
        "No mass is seen.",
        "The volume of the right hippocampus is 3.10 mL, above the reference range.",
        "The left hippocampal volume is {m1.reading}.",
    ]


HOUSE = """Volume, left hippocampus: 3.21 mL.
Right hippocampal volume of 3.10 mL; this is within the reference range.
Measured volume, left anterior hippocampus: 1.73 mL.
Both hippocampi: asymmetry index of 3.5 %.
Impression: Left hippocampal volume, 3.2 mL, within the reference range."""


@pytest.mark.parametrize("make", [plain_ledger, wide_ledger])
@pytest.mark.parametrize(
    ("report", "words"),
    [(REPORT, EN), (HOUSE, EN), ("左侧海马体积3.21毫升。右侧海马体积3.2毫升。", ZH)],
)
def test_a_target_is_one_that_the_grammar_of_its_ledger_lets_be_written(make, report, words):
    told = f"{report}\nThe right hippocampal volume is 3.20 mL." if words is EN else report
    pair, _ = bind_report("a", told, make(), EXAM, words, judge)
    table = SlotTable.of(pair.task.ledger)
    base = {piece: n for n, piece in enumerate(["\n", *sorted({*pair.target}), *SLOTS, *ENDS])}
    letters = {c for c in TOKEN.sub("", pair.target) if c != "\n"}
    guide = make_guide(make_vocabulary(letters, (*SLOTS, ENDS[0]), ENDS[1:], base))
    matcher = guide.start(grammar_of(table, words.language))
    pieces = [found[0] for found in re.finditer(rf"{TOKEN.pattern}|.", pair.target, re.DOTALL)]
    for piece in (*pieces, ENDS[1]):
        matcher.consume(guide.vocabulary.dense[piece])
    assert matcher.is_ended


def test_a_target_gives_the_limits_of_the_range_that_a_report_compares_with():
    pair, _ = bind_report("a", HOUSE, plain_ledger(), EXAM, EN, judge)
    findings = [s.text for s in pair.statements if s.section == "findings"]
    assert findings[0] == (
        "Volume, left hippocampus: {m1.reading}, within the reference range of {m1.norm}."
    )
    assert findings[1] == "Measured volume, left anterior hippocampus: {m2.reading}."
    assert findings[3] == (
        "Right hippocampal volume of {m4.reading}; this is within the reference range of {m4.norm}."
    )
    assert findings[-2] == "Both hippocampi: asymmetry index of {m7.reading}."
    assert "{m7.norm}" in findings[-1]
    assert "{m7.reading}" not in findings[-1]


def test_a_sentence_that_leaves_no_place_for_the_range_is_listed():
    told = f"{HOUSE}\nFindings:\n3.21 mL is the volume of the left hippocampus."
    told = told.replace("Volume, left hippocampus: 3.21 mL.\n", "")
    pair, unbound = bind_report("a", told, plain_ledger(), EXAM, EN, judge)
    assert "is the volume" not in pair.target
    assert [(piece.text, piece.reason) for piece in unbound] == [
        (
            "{m1.reading} is the volume of the left hippocampus.",
            "goes on after its number where the reference range is told of",
        )
    ]


def test_a_character_that_no_text_has_is_refused():
    with pytest.raises(Refused, match=r"holds '\(', which is written in no sentence"):
        bound("Left hippocampal volume (segmentation): 3.21 mL.")


def test_a_report_of_which_nothing_is_bound_gives_no_pair():
    pair, unbound = bind_report("a", "No mass is seen.", plain_ledger(), EXAM, EN, judge)
    assert pair is None
    assert [piece.study for piece in unbound] == ["a"]


def write_own(folder):
    """Write the folder of the documentation: one study with masks, and a report of it."""
    scan = ellipsoid(grid(field_mm=48.0), (6.0, 14.0, 8.0))
    for name in ("images", "masks", "reports"):
        (folder / name).mkdir(parents=True)
    write_nifti(folder / "images" / "first.nii.gz", scan.volume.array, scan.geometry)
    for side in ("left", "right"):
        labels = segmentation_of(scan, side).labels
        path = folder / "masks" / f"first.{side}.nii.gz"
        write_nifti(path, labels.astype(np.float32), scan.geometry)
    ml = scan.mask.sum() / 1000
    text = f"The volume of the left hippocampus is {ml:.2f} mL. The amygdala is small."
    (folder / "reports" / "first.txt").write_text(text, encoding="utf-8")
    (folder / "reports" / "first.zh.txt").write_text(
        f"右侧海马体积{ml:.1f}毫升。", encoding="utf-8"
    )
    return folder


def write_nifti(path, array, geometry):
    image = nibabel.Nifti1Image(array, geometry.affine)
    image.set_sform(geometry.affine, code=1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def nobody(path):
    raise AssertionError(path)


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("own") / "mine")


def test_a_folder_with_masks_is_measured_and_its_reports_bound(own_folder):
    own = read_own(own_folder, EXAM, judge, nobody)
    assert is_own(own_folder)
    assert [shown.pair.task.language for shown in own.shown] == ["en", "zh"]
    assert [sight.side for sight in own.shown[0].sights] == ["left", "right"]
    assert [piece.text for piece in own.unbound] == ["The amygdala is small."]
    assert own.views(24)["first", "left"]().shape == (3, 24, 24)


def test_a_report_without_its_scan_is_refused(own_folder, tmp_path):
    mine = write_own(tmp_path / "mine")
    (mine / "images" / "first.nii.gz").unlink()
    with pytest.raises(ValueError, match="expected its scan in images"):
        read_own(mine, EXAM, judge, nobody)


def test_a_mask_on_another_grid_or_with_other_labels_is_refused(tmp_path):
    mine = write_own(tmp_path / "mine")
    other = ellipsoid(grid(field_mm=40.0), (6.0, 14.0, 8.0))
    path = mine / "masks" / "first.left.nii.gz"
    write_nifti(path, other.mask.astype(np.float32), other.geometry)
    with pytest.raises(ValueError, match="expected the grid of its scan"):
        read_own(mine, EXAM, judge, nobody)
    same = ellipsoid(grid(field_mm=48.0), (6.0, 14.0, 8.0))
    write_nifti(path, 7 * same.mask.astype(np.float32), same.geometry)
    with pytest.raises(ValueError, match=r"expected labels 0 to 2, found \[7"):
        read_own(mine, EXAM, judge, nobody)


def test_a_folder_in_which_nothing_is_bound_is_refused_with_an_example(tmp_path):
    mine = write_own(tmp_path / "mine")
    (mine / "reports" / "first.zh.txt").unlink()
    (mine / "reports" / "first.txt").write_text("Normal.", encoding="utf-8")
    with pytest.raises(ValueError, match=r"the first: 'Normal\.'"):
        read_own(mine, EXAM, judge, nobody)


@pytest.mark.slow
def test_the_same_training_runs_on_such_a_folder(own_folder, tmp_path):
    from assistant.writers.vlm.train import Material, train
    from tests.toy_training import toy_base, toy_plan

    own = read_own(own_folder, EXAM, judge, nobody)
    english = tuple(shown for shown in own.shown if shown.pair.task.language == "en")
    plan = replace(toy_plan(toy_base(tmp_path)), adapter_steps=2, own_share=1.0)
    steps = list(train(plan, Material(own.views, english), tmp_path / "run"))
    assert [step.stage for step in steps] == ["projector"] * 2 + ["adapter"] * 2
    assert (tmp_path / "run" / "shipped" / "adapter").is_dir()
