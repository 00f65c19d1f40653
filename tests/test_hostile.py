"""Hostile input is refused or read as it is, and takes little: all of it in the slow tests."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.cases import CASES
from tests.hostile.fuzz import FORMATS, all_fuzzed, damaged, fuzzed

ROOT = Path(__file__).parents[1]


def given(*options):
    """Run the script that gives the inputs, in a process that has no threads to fork."""
    command = [sys.executable, "-m", "tests.benchmarks.hostile", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_there_are_many_inputs_and_no_two_are_called_alike():
    assert len(CASES) >= 150
    assert Counter((case.kind, case.name) for case in CASES).most_common(1)[0][1] == 1


@pytest.mark.slow
def test_an_input_of_each_kind_is_refused_or_read():
    done = given("--each", "1")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_every_hostile_input_is_refused_or_read_as_the_table_of_the_security_page_says():
    done = given()
    assert done.returncode == 0, done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert "\n".join(rows) in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_read(name, tmp_path):
    few = fuzzed(name, tmp_path / "few", 2 if name == "DICOM series" else 10, seed=1)
    assert few.crashes == ()
    assert sum(few.counts.values()) >= 2


def test_equal_seeds_damage_a_file_equally():
    from random import Random

    whole = bytes(range(256)) * 4
    assert damaged(whole, Random(3)) == damaged(whole, Random(3)) != damaged(whole, Random(4))


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_or_read(tmp_path):
    found = list(all_fuzzed(tmp_path, 10_000, seed=0))
    assert [(one.name, one.crashes[:3]) for one in found if one.crashes] == []
    assert sum(sum(one.counts.values()) for one in found) == 10_000
    assert all(one.counts["refused"] for one in found)
