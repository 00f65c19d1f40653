"""The README shows what really comes out."""

import re
from pathlib import Path

import pytest

from assistant.cli import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GOLDEN = ROOT / "tests" / "golden" / "readme_draft.md"
NUMBER = re.compile(r"\d+\.?\d*")  # another processor rounds a few voxels another way
CITED = re.compile(r"\[(m\d+)\]$")  # and the model's words with them
BLOCK = re.compile(r"<!-- output:(\w+) -->\n(.*?)<!-- /output -->", re.DOTALL)


def shown(text):
    """Return each marked block of a page, without its code fence."""
    return {
        name: re.sub(r"^```\w*\n|^```$", "", body.strip("\n"), flags=re.MULTILINE).strip()
        for name, body in BLOCK.findall(text)
    }


def test_the_output_of_a_draft_stands_in_the_first_thirty_lines():
    first = "\n".join(README.read_text(encoding="utf-8").splitlines()[:30])
    assert "make draft" in first
    assert "make test" in first
    assert "<!-- output:draft -->" in first


@pytest.mark.skipif(not GOLDEN.exists(), reason="tests/golden/readme_draft.md is not there")
def test_the_shown_draft_is_the_golden_one():
    block = shown(README.read_text(encoding="utf-8"))["draft"]
    assert block == GOLDEN.read_text(encoding="utf-8").strip()


@pytest.mark.slow
def test_the_golden_draft_is_what_the_command_prints(capsys, tmp_path):
    assert main(["draft", "sample", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    report, golden = printed[: printed.index("## Measurements")], GOLDEN.read_text(encoding="utf-8")
    assert uncited(report) == uncited(golden)
    said, wanted = numbers_of(report), numbers_of(golden)
    assert said.keys() == wanted.keys()
    for record, numbers in wanted.items():
        assert said[record] == pytest.approx(numbers, rel=0.02, abs=1)


def uncited(report):
    """Return the lines that a model does not write: they are the same on every processor."""
    return [line for line in report.strip().splitlines() if not CITED.search(line)]


def numbers_of(report):
    """Return the first number and the interval that are told of each record."""
    found = {}
    for line in report.splitlines():
        if cited := CITED.search(line):
            found.setdefault(cited[1], [float(n) for n in NUMBER.findall(line)[:4]])
    return found


def test_the_purpose_is_limited_once_and_plainly():
    text = " ".join(BLOCK.sub("", README.read_text(encoding="utf-8")).split())
    assert text.count("not a medical device") == 1


def test_a_block_is_read_without_its_fence():
    text = "x\n<!-- output:draft -->\n```text\none\n\ntwo\n```\n<!-- /output -->\ny"
    assert shown(text) == {"draft": "one\n\ntwo"}
