"""What docs/federated.md shows is what is read, and what it names is there."""

import re
import tomllib
from pathlib import Path

from assistant.cli import parser
from segment.federated.site import Site
from segment.privacy import Private

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "federated.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    voxcite (.*?)(?: *#.*)?$", PAGE, re.MULTILINE)


def test_the_settings_that_the_page_shows_are_those_of_a_site(tmp_path):
    (tmp_path / "site.toml").write_text(re.search(r"```toml\n(# site.*?)```", PAGE, re.DOTALL)[1])
    assert Site.read(tmp_path / "site.toml").name == "north"


def test_the_private_table_that_the_page_shows_is_one():
    text = re.search(r"```toml\n\[private\](.*?)```", PAGE, re.DOTALL)[1]
    assert Private(**tomllib.loads(text)).share == 0.25


def test_the_commands_that_the_page_shows_are_there():
    assert len(COMMANDS) == 5
    for line in COMMANDS:
        assert parser().parse_args(line.split()).run


def test_the_files_that_the_page_names_are_there():
    named = set(re.findall(r"`((?:segment|assistant)/[a-z/_.]+)`", PAGE))
    assert "segment/federated/federation.toml" in named
    assert [name for name in named if not (ROOT / name).exists()] == []
