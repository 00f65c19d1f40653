"""A table becomes a dataclass of exactly its keys, or is refused by what is wrong with it."""

import math
from dataclasses import dataclass
from importlib.resources import files

import pytest

from assistant import exams
from assistant.judgement import Condition
from segment.table import Range, filled, read_as


@dataclass(frozen=True)
class Facts:
    """A table of two keys."""

    name: str
    sides: tuple[str, ...]

    def __post_init__(self):
        if not self.sides:
            raise ValueError("expected a side, found none")


def test_a_file_of_exactly_the_keys_is_read_and_its_lists_are_tuples(tmp_path):
    (tmp_path / "facts.toml").write_text('sides = ["left", "right"]\nname = "héron"\n', "utf-8")
    assert read_as(Facts, tmp_path / "facts.toml") == Facts("héron", ("left", "right"))


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({"name": "heron"}, r"\['sides'\]"),
        ({"name": "heron", "sides": ["left"], "x": 1}, r"\['x'\]"),
        ({"sides": ["left"], "x": 1}, r"\['name', 'x'\]"),
    ],
    ids=["missing", "unknown", "both"],
)
def test_a_table_of_other_keys_is_refused_by_their_names(table, wrong):
    takes = r"it takes \['name', 'sides'\]"
    with pytest.raises(ValueError, match=rf"^facts: the keys {wrong} are missing .+; {takes}$"):
        filled(Facts, table, "facts")


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({"name": 3, "sides": ["left"]}, "name: expected a text, found 3"),
        ({"name": "heron", "sides": "left"}, "sides: expected a list, each a text, found 'left'"),
        ({"name": "heron", "sides": ["left", 2]}, r"sides: .*, found \['left', 2\]"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(table, wrong):
    with pytest.raises(ValueError, match=rf"^facts: {wrong}; change it$"):
        filled(Facts, table, "facts")


def test_a_value_that_may_be_one_of_several_is_refused_by_these():
    table = {"quantities": ["volume"], "relation": "near", "limit": 3, "unit": "mL"}
    with pytest.raises(ValueError, match=r"^rule: relation: expected one of below, .*'near'"):
        filled(Condition, table, "rule")
    assert filled(Condition, {**table, "relation": "above"}, "rule").limit == 3.0


@pytest.mark.parametrize(
    ("allowed", "within", "outside", "told"),
    [
        (Range(1.0), (1, 2.5), (0, 0.5, math.nan), "1 or more"),
        (Range(0.0, is_above=True), (1e-9, 3), (0, -1, math.nan), "more than 0"),
        (Range(0.0, 1.0), (0, 0.5, 1), (-0.1, 1.1, math.inf), "0 or more, up to 1"),
    ],
)
def test_a_range_holds_its_numbers_and_says_itself(allowed, within, outside, told):
    assert all(value in allowed for value in within)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == told


def test_a_file_that_is_no_toml_is_refused_without_the_folder_above_it(tmp_path):
    (tmp_path / "facts.toml").write_text("name = ")
    with pytest.raises(ValueError, match=r"^facts\.toml: expected TOML, found .+; copy") as caught:
        read_as(Facts, tmp_path / "facts.toml")
    assert str(tmp_path) not in str(caught.value)


def test_what_the_dataclass_refuses_is_refused():
    with pytest.raises(ValueError, match="expected a side"):
        filled(Facts, {"name": "heron", "sides": []}, "facts")


def test_an_exam_with_an_unknown_key_is_refused_by_its_name(tmp_path, monkeypatch):
    text = files(exams).joinpath("hippocampus.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text("x = 1\n" + text, "utf-8")
    monkeypatch.setattr(exams, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"^exam mine: the keys \['x'\] are missing or unknown"):
        exams.load("mine")
