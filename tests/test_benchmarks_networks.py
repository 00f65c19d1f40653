"""The table of networks shows what is finished, and says no more than the seeds do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.networks import ROWS, columns, table, timed_columns, verdict
from tests.shared_data import shared_data

UNET, *_, MAMBA, PLAIN = ROWS
REPOSITORY = Path(__file__).resolve().parents[1]
TIMES = {"memory_mb": 80.4, "step_ratio": 1.26, "window_ratio": 2.0}


def result(row, seed, dice):
    parts = ("whole", "anterior", "posterior")
    agreements = [
        {"case": case, "structure": part, "dice": dice, "mean_surface_distance_mm": 1.0}
        for case in (7, 8, 9)
        for part in parts
    ]
    told = {"row": row.name, "seed": seed, "steps": 180, "batch": 2, "parameters": 1000}
    return {**told, "device": "a GPU", "agreements": agreements}


@pytest.fixture
def output(tmp_path):
    """Three seeds of one network, one seed of another, and the threshold's figures."""
    for row, seeds in ((UNET, (0, 1, 2)), (MAMBA, (0,))):
        for seed in seeds:
            path = tmp_path / f"{row.slug}-{seed}.json"
            path.write_text(json.dumps(result(row, seed, 0.8 + seed / 100)))
    otsu = {"agreements": result(UNET, 0, 0.25)["agreements"]}
    (tmp_path / f"{UNET.slug}-times.json").write_text(json.dumps(TIMES))
    (tmp_path / "threshold.json").write_text(json.dumps(otsu))
    return tmp_path


def test_a_table_says_how_many_cases_subjects_and_seeds_it_holds(output):
    printed = table(output)
    assert "180 steps of 2 crops; n = 3 validation crops of 2 subjects" in printed
    assert "| unet | 3 | 0.810 (0.800 to 0.820) |" in printed
    assert "| mamba | 1 | 0.800 |" in printed
    assert "| threshold, Otsu's | - | 0.250 |" in printed


def test_a_network_that_lacks_a_seed_is_not_written_into_the_page(output):
    assert "| mamba |" not in table(output, least=3)
    assert "| unet | 3 |" in table(output, least=3)


def test_an_empty_folder_has_no_figures(tmp_path):
    assert table(tmp_path) == "No network has finished yet."


def test_the_columns_of_a_row_are_means_over_seeds():
    rows = [result(UNET, seed, dice) for seed, dice in enumerate((0.7, 0.9))]
    assert columns(rows)[0] == "0.800 (0.700 to 0.900)"
    assert columns(rows)[3:] == ["1.00 (1.00 to 1.00)", "1,000"]


def test_times_are_joined_to_the_row_that_they_are_of(output):
    printed = table(output)
    (unet,) = [line for line in printed.splitlines() if line.startswith("| unet ")]
    (mamba,) = [line for line in printed.splitlines() if line.startswith("| mamba ")]
    assert unet.endswith("| 1,000 | 1.3 | 2.0 | 80 |")
    assert mamba.endswith("| 1,000 | - | - | - |")
    assert timed_columns(None) == ["-", "-", "-"]


def test_a_table_says_what_the_networks_were_trained_on(output):
    told = "Trained on: a GPU. Steps, windows and memory are the processor's."
    assert told in table(output).splitlines()


@pytest.mark.slow
def test_a_network_is_timed_in_a_process_of_its_own(tmp_path):
    shared_data("hippocampus")
    words = ["--one", UNET.name, "--times", "--output", str(tmp_path)]
    command = [sys.executable, "-m", "tests.benchmarks.networks", *words]
    subprocess.run(command, check=True, cwd=REPOSITORY, timeout=300)
    found = json.loads((tmp_path / "unet-times.json").read_text())
    assert found["memory_mb"] > 1
    assert 0.3 < found["step_ratio"] < 3


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        ((0.82, 0.83), (0.80, 0.80), "mamba is better than plain in every seed: Dice of the whole"),
        ((0.80, 0.80), (0.82, 0.83), "mamba is worse than plain in every seed: "),
        ((0.82, 0.80), (0.80, 0.82), "mamba is not better than plain in every seed, nor worse: "),
    ],
)
def test_a_verdict_needs_every_seed(mine, theirs, told):
    rows = [
        [result(row, seed, dice) for seed, dice in enumerate(values)]
        for row, values in ((MAMBA, mine), (PLAIN, theirs))
    ]
    assert verdict("mamba", rows[0], "plain", rows[1]).startswith(told)


def test_networks_without_a_common_seed_are_not_compared():
    one, other = [result(MAMBA, 0, 0.8)], [result(PLAIN, 1, 0.7)]
    assert verdict("mamba", one, "plain", other) == "mamba and plain have no seed in common yet."
