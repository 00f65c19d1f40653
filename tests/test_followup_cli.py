"""Earlier studies on the command line: what is printed, and what is refused in one line."""

import pytest

from assistant.cli import OK, REFUSED, main
from tests.phantoms import head
from tests.test_cli import one_sentence, run, written


@pytest.fixture
def two_files(tmp_path):
    heads = [head(field_mm=110).volume, head(field_mm=110, semi_axes_mm=(6.6, 15.4, 8.8)).volume]
    names = ("now.nii.gz", "before.nii.gz")
    return [written(v, tmp_path / name) for v, name in zip(heads, names, strict=True)]


TEMPLATE = ("--writer", "template")


def test_the_command_line_compares_with_a_prior(two_files, tmp_path, capsys, aligned, of_phantoms):
    now, before = two_files
    days = ["--date", "2024-06-01", "--date", "2022-06-01"]
    assert run("draft", now, "--prior", before, *days, *TEMPLATE, "-o", tmp_path / "out") == OK
    printed = capsys.readouterr().out
    assert "between 2022-06-01 and 2024-06-01" in printed
    assert "a decrease beyond the measurement error of" in printed
    assert main(["verify", str(tmp_path / "out" / "report.json")]) == OK


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--date", "2024-06-01", "--date", "2025-06-01"], "found one after it"),
        (["--date", "soon"], "YYYY-MM-DD"),
    ],
)
def test_a_bad_comparison_is_refused_in_one_line(
    two_files, options, said, tmp_path, capsys, aligned, of_phantoms
):
    now, before = two_files
    output = tmp_path / "out"
    assert run("draft", now, "--prior", before, *options, *TEMPLATE, "-o", output) == REFUSED
    assert said in one_sentence(capsys)
    assert not output.exists()


def test_the_same_file_twice_is_refused(two_files, tmp_path, capsys, aligned, of_phantoms):
    now, _ = two_files
    assert run("draft", now, "--prior", now, *TEMPLATE, "-o", tmp_path / "out") == REFUSED
    assert "found the same one twice" in one_sentence(capsys)
