"""A table becomes a dataclass of exactly its keys, or is refused by what is wrong with it."""

from dataclasses import dataclass
from importlib.resources import files

import pytest

from assistant import exams
from segment.table import filled, read_as


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
