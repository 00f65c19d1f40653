"""Hostile input is refused or read as it is, and takes little: all of it in the slow tests."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.cases import CASES
from tests.hostile.doors import DOORS, REFUSED
from tests.hostile.fuzz import FORMATS, all_fuzzed, damaged, fuzzed
from tests.hostile.run import SENTENCE
from tests.hostile.strangers import written

ROOT = Path(__file__).parents[1]
DAMAGED = 2000  # files; tests.benchmarks.fuzz makes as many as it is told


def given(*options):
    """Run the script that gives the inputs, in a process that has no threads to fork."""
    command = [sys.executable, "-m", "tests.benchmarks.hostile", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_there_are_many_inputs_and_no_two_are_called_alike():
    assert len(CASES) >= 150
    assert Counter((case.kind, case.name) for case in CASES).most_common(1)[0][1] == 1


def spin(path):
    while True:
        pass


def fail(path):
    raise ZeroDivisionError


def cells(lines):
    """Read a table of Markdown: what stands in each column of each kind."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    head, _, *body = rows
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def of_the_security_page():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    return cells(text.partition("## Hostile inputs")[2].splitlines())


@pytest.mark.slow
def test_every_hostile_input_is_refused_or_read_as_the_table_of_the_security_page_says():
    done = given("--doors", "command line")
    assert done.returncode == 0, done.stdout
    found, said = cells(done.stdout.splitlines()), of_the_security_page()
    assert {kind: row["command line"] for kind, row in found.items()} == {
        kind: row["command line"] for kind, row in said.items()
    }
    assert {kind: row["inputs"] for kind, row in found.items()} == {
        kind: row["inputs"] for kind, row in said.items()
    }


@pytest.mark.slow
def test_an_input_of_each_kind_is_refused_or_read_at_the_other_doors():
    done = given("--doors", "Python,page,DICOMweb", "--each", "2")
    assert done.returncode == 0, done.stdout


def test_the_security_page_tells_of_each_door_and_of_nothing_that_went_wrong():
    rows = of_the_security_page()
    assert {case.kind for case in CASES} | {"all"} == rows.keys()
    assert DOORS.keys() < rows["all"].keys()
    assert {row["crashed or wrong"] for row in rows.values()} == {"0"}


SAMPLE = ("gzip cut in the voxels", "zip slip", "NaN affine", "empty file")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_hostile_file_that_is_sent_to_the_page_is_one_sentence_with_its_code(
    name, tmp_path, capsys
):
    case = next(case for case in CASES if case.name == name)
    (tmp_path / "files").mkdir()
    path, out = case.path(tmp_path / "files"), tmp_path / "a" / "out"
    assert DOORS["page"].takes(case, path)
    assert DOORS["page"].give(case, path, out) == REFUSED
    assert SENTENCE.fullmatch(capsys.readouterr().out)[1] == case.code
    assert [left.name for left in tmp_path.iterdir()] == ["files"]


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_read(name, tmp_path):
    few = fuzzed(name, tmp_path / "few", 2 if name == "DICOM series" else 10, seed=1)
    assert few.crashes == ()
    assert sum(few.counts.values()) >= 2


@pytest.mark.parametrize(("reads", "expected"), [(spin, "hung"), (fail, "crashes")])
def test_the_fuzzer_sees_what_hangs_and_what_fails(reads, expected, tmp_path):
    formats = {"odd": (lambda folder: written(folder, "odd", b"x" * 99), reads, 1.0)}
    found = fuzzed("odd", tmp_path / "odd", 1, 0, formats, most_s=0.05)
    assert (found.counts["hung"], len(found.crashes)) == ((1, 0) if expected == "hung" else (0, 1))


def test_equal_seeds_damage_a_file_equally():
    from random import Random

    whole = bytes(range(256)) * 4
    assert damaged(whole, Random(3)) == damaged(whole, Random(3)) != damaged(whole, Random(4))


@pytest.mark.slow
def test_two_thousand_damaged_files_are_refused_or_read(tmp_path):
    found = list(all_fuzzed(tmp_path, DAMAGED, seed=0))
    assert [(one.name, one.crashes[:3]) for one in found if one.crashes] == []
    assert sum(sum(one.counts.values()) for one in found) == DAMAGED
    assert [one.name for one in found if one.counts["hung"]] == []
    assert all(one.counts["refused"] for one in found)
