"""What may be asked for, in words and in numbers, before anything is learnt."""

from dataclasses import fields, replace

import pytest

from assistant.adapting import adapted
from assistant.cli import REFUSED, main
from segment.adapt.plan import AdaptPlan
from tests.toy_adapting import SHIPPED, TOY, request


@pytest.mark.parametrize("name", ["Amygdala", "ca1", "a-b", "", "hippocampus"])
def test_a_name_that_cannot_stand_in_a_sentence_or_is_taken_is_refused(name, tmp_path, capsys):
    folders = ["--images", str(tmp_path), "--labels", str(tmp_path)]
    assert main(["adapt", *folders, "--organ", name]) == REFUSED
    assert capsys.readouterr().err.startswith("voxcite: expected a n")


@pytest.mark.parametrize(
    ("changes", "called", "told"),
    [
        ({"names": {3: "twelve"}}, {}, "takes for a number, found 'twelve'"),
        ({}, {"zh": {"amygdala": "3号"}}, "takes for a number, found '3号'"),
        ({}, {"xx": {"amygdala": "mandelkern"}}, "unknown language 'xx'"),
        ({}, {"zh": {"amigdala": "杏仁核"}}, "expected --called of amygdala, found one of 'amigd"),
        ({"organ": "hippocampal"}, {}, "'hippocampal', which has other words in en"),
        ({"organ": "left amygdala"}, {}, "without a side, which a report adds, found 'left'"),
        ({"names": {3: "hippocampus"}}, {"zh": {"hippocampus": "海马"}}, "is no other organ's"),
    ],
)
def test_words_that_cannot_stand_in_a_report_are_refused(changes, called, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        next(adapted(request(tmp_path, **changes), tmp_path / "work", called))


@pytest.mark.parametrize("name", ["no hippocampus", "normal", "lesion", "stable mass", "volume"])
def test_a_name_that_states_something_is_refused_before_any_work(name, tmp_path, capsys):
    folders = ["--images", str(tmp_path), "--labels", str(tmp_path)]
    words = ["adapt", *folders, "--runs", str(tmp_path / "runs"), "--organ"]
    told = "voxcite: expected a name that states no finding, negation or judgement, found '"
    assert main([*words, name]) == REFUSED
    assert capsys.readouterr().err.startswith(told)
    assert main([*words, "amygdala", "--structure", f"1={name}"]) == REFUSED
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize("code", ["banana", "5366009", "", "00000", "1" * 19, "751689013"])
def test_a_code_that_is_no_snomed_ct_concept_is_refused(code, tmp_path, capsys):
    folders = ["--images", str(tmp_path), "--labels", str(tmp_path)]
    assert main(["adapt", *folders, "--organ", "amygdala", "--code", code]) == REFUSED
    told = f"6 to 18 digits with their check digit, found {code!r}; look the code up"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("-24,-22,400", "expected a place in the MNI152 template, .* found -24,-22,400; give"),
        ("nan,-22,-10.5", "expected a place in the MNI152 template, .* found nan,-22,-10.5; give"),
        ("24,-22,-10.5", "of the left one, whose X is negative, found 24,-22,-10.5; give"),
        ("0,-22,-10.5", "of the left one, whose X is negative, found 0,-22,-10.5; give"),
    ],
)
def test_a_place_where_no_left_structure_lies_is_refused(place, told, tmp_path):
    centre = tuple(map(float, place.split(",")))
    with pytest.raises(ValueError, match=told):
        request(tmp_path, centre_mm=centre)


def test_an_organ_without_sides_may_lie_right_of_the_middle(tmp_path):
    asked = request(tmp_path, centre_mm=(4.0, -22.0, -10.5), sides=("none",))
    assert asked.centre_mm == (4.0, -22.0, -10.5)


def test_the_shipped_plan_is_read_whole_and_a_missing_key_is_refused(tmp_path):
    text = SHIPPED.read_text(encoding="utf-8")
    for key in (field.name for field in fields(AdaptPlan)):
        kept = [line for line in text.splitlines() if not line.startswith(f"{key} ")]
        (tmp_path / "plan.toml").write_text("\n".join(kept))
        with pytest.raises(ValueError, match=rf"the keys \['{key}'\] are missing"):
            AdaptPlan.read(tmp_path / "plan.toml")


def test_a_plan_that_judges_nothing_is_refused():
    with pytest.raises(ValueError, match="expected at least 2 folds"):
        replace(TOY, folds=1)


@pytest.mark.parametrize("crops", [3, 8, 200])
def test_a_run_takes_about_as_many_steps_whatever_the_number_of_crops(crops):
    plan = replace(TOY, steps=320, least_epochs=2).training("unet", "x_{}", ("x",), crops)
    steps = plan.epochs * (crops // plan.batch)
    assert 320 <= steps < 320 + crops or plan.epochs == 2
    fold_steps = plan.fold_epochs * (crops // 2 // plan.batch)  # half of them in each of two folds
    assert crops < 8 or TOY.fold_steps <= fold_steps < TOY.fold_steps + crops
