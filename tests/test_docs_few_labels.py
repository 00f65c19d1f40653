"""The tutorial of docs/few-labels.md runs as it stands, with a training that is cut short."""

import json
import re
import shlex
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

import prompts
from assistant.cli import OK, main, parser
from segment.adapt.plan import AdaptPlan
from segment.writing import toml_text
from tests.shared_data import shared_data

PAGE = (Path(__file__).parent.parent / "docs" / "few-labels.md").read_text(encoding="utf-8")
DATA = re.search(r"<!-- example:data -->\n```python\n(.*?)```", PAGE, re.DOTALL)[1]
COMMANDS = re.search(r"<!-- example:commands -->\n```sh\n(.*?)```", PAGE, re.DOTALL)[1]
OTHERS = [line.strip() for line in PAGE.splitlines() if line.startswith("    voxcite")]
SHORT = {"steps": 2, "fold_steps": 2, "least_epochs": 1, "settling_epochs": 0, "members": 2}


@pytest.mark.slow
def test_the_tutorial_learns_a_structure_and_reports_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VOXCITE_DATA", str(shared_data("hippocampus").parent))
    monkeypatch.setenv("VOXCITE_SHELVES", str(tmp_path / "shelves"))
    monkeypatch.chdir(tmp_path)
    prompts.load.cache_clear()
    exec(DATA, {})
    shipped = AdaptPlan.read(Path(str(files("segment.adapt").joinpath("adapt.toml"))))
    (tmp_path / "short.toml").write_text(toml_text(vars(replace(shipped, **SHORT))))
    adapt, draft, listing = (shlex.split(line)[1:] for line in COMMANDS.splitlines())
    assert main([*adapt, "--config", "short.toml"]) == OK
    assert "8 boxes of 8 subjects, from unet" in (told := capsys.readouterr().out)
    assert "needs 19 subjects, and there are 8; label 11 more" in told
    assert main(draft) == OK
    written = tmp_path / "drafts" / "formation"
    assert "left hippocampal formation" in (written / "report.md").read_text("utf-8")
    report = json.loads((written / "report.json").read_text("utf-8"))
    assert report["problems"] == []
    *volumes, asymmetry = report["measurements"]
    assert {record["reliability"] for record in volumes} == {"without interval"}
    assert asymmetry["reliability"] == "not assessed"
    capsys.readouterr()
    assert main(listing) == OK
    assert "hippocampal_formation" in capsys.readouterr().out
    prompts.load.cache_clear()


def test_the_tutorial_names_the_whole_of_its_labels_as_no_part_of_it():
    chosen = parser().parse_args(shlex.split(COMMANDS.splitlines()[0])[1:])
    assert not {*chosen.organ.split()} & {*prompts.load("en").lexicon["elsewhere"]}


@pytest.mark.parametrize("line", OTHERS)
def test_the_other_commands_of_the_page_take_their_options(line):
    assert callable(parser().parse_args(shlex.split(line)[1:]).run)


def test_the_page_holds_its_commands():
    assert [line.split()[1] for line in COMMANDS.splitlines()] == ["adapt", "draft", "list"]
    assert [line.split()[1] for line in OTHERS] == ["suggest", "pretrain", "train"]
