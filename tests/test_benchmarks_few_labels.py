"""The learning curve goes on where it stopped, and its table says no more than the cells do."""

import json
from dataclasses import replace

import pytest

from segment.models.devices import device_name
from segment.models.training.plan import case_name
from tests.benchmarks.few_labels import (
    Cell,
    chosen_cases,
    chosen_settings,
    chosen_words,
    finished,
    parser,
    run_beside,
    run_cells,
    shipped_settings,
)
from tests.benchmarks.few_labels_curve import WHOLE, figure, table
from tests.benchmarks.lines import add_line
from tests.benchmarks.suggest import WAYS, simulate
from tests.benchmarks.suggest import Settings as RoundSettings
from tests.benchmarks.suggest import table as table_of_rounds
from tests.shared_data import shared_data

SETTINGS = shipped_settings()
PART = {"case": 7, "dice": 0.5, "distance_mm": 1.0, "volume_error": -0.1}


def row(size, start, seed, dice, width=None):
    case = {"case": 7, "structure": WHOLE, "dice": dice, "distance_mm": 1.0, "volume_error": -0.1}
    if width is not None:
        case |= {"is_covered": True, "width": width}
    key = {"settings": SETTINGS.slug, "size": size, "start": start, "seed": seed}
    parts = [{**PART, "structure": f"{WHOLE} {name}"} for name in ("anterior", "posterior")]
    return {**key, "subjects": size, "cases": [case, *parts]}


def test_a_larger_size_holds_the_subjects_of_a_smaller_one():
    train = [1, 2, 3, 5, 6, 7, 8, 10]
    small, large = (chosen_cases(train, Cell(size, "scratch", 4)) for size in (2, 4))
    assert set(small) < set(large)
    assert len({(case + 1) // 2 for case in small}) == 2
    assert chosen_cases(train, Cell(0, "scratch", 4)) == train


def test_a_table_has_the_mean_over_seeds_and_says_what_an_interval_needs():
    rows = [row(5, "scratch", 0, 0.7), row(5, "scratch", 1, 0.8)]
    rows.append(row(20, "masked", 0, 0.9, width=0.25))
    printed = table(rows)
    assert "| 5 | scratch | 2 | 0.750 (0.700 to 0.800) | 0.500 (0.500" in printed
    assert "| needs 19 subjects | needs 19 subjects |" in printed
    told = "1.000 of 1 with an interval among 1"
    assert f"| 20 | masked | 1 | 0.900 | 0.500 | 1.00 | 0.100 | {told} | 0.250 |" in printed
    assert "1 validation crops of 1 subjects; trained on cpu." in printed


def test_a_table_without_intervals_has_no_columns_for_them():
    printed = table([row(5, "scratch", 0, 0.7)])
    assert "| 5 | scratch | 1 | 0.700 | 0.500 | 1.00 | 0.100 |\n" in printed
    assert "coverage" not in printed


def test_a_coverage_says_of_how_many_cases_it_is():
    without = row(20, "masked", 0, 0.9, width=0.25)
    without["cases"].append({**without["cases"][0], "case": 8})
    del without["cases"][-1]["is_covered"]
    assert "| 1.000 of 1 with an interval among 2 |" in table([without])


def test_a_start_is_said_to_help_in_every_seed_in_some_or_in_none():
    rows = [row(5, "scratch", 0, 0.7), row(5, "scratch", 1, 0.8), row(3, "scratch", 0, 0.6)]
    rows += [row(5, "masked", 0, 0.75), row(5, "masked", 1, 0.79), row(3, "masked", 0, 0.5)]
    rows += [row(5, "contrastive", 0, 0.71), row(5, "contrastive", 1, 0.81)]
    printed = table(rows)
    assert "- 5 subjects: masked helps not in every seed (-0.010 to +0.050 Dice, 2" in printed
    assert "- 3 subjects: masked helps in no seed (-0.100 to -0.100 Dice, 1" in printed
    assert "- 5 subjects: contrastive helps in every seed (+0.010 to +0.010 Dice" in printed


def test_an_empty_folder_has_no_curve(tmp_path):
    assert table(finished(tmp_path, SETTINGS)) == "No cell has finished yet."


def test_a_line_that_was_cut_off_is_no_cell(tmp_path):
    (tmp_path / "cells.jsonl").write_text(json.dumps(row(3, "scratch", 0, 0.5)) + '\n{"size": 5')
    assert [one["size"] for one in finished(tmp_path, SETTINGS)] == [3]
    add_line(tmp_path / "cells.jsonl", row(10, "scratch", 0, 0.6))
    assert [one["size"] for one in finished(tmp_path, SETTINGS)] == [3, 10]


@pytest.mark.parametrize(
    "others",
    [
        replace(SETTINGS, schedule="head-first"),
        replace(SETTINGS, training=replace(SETTINGS.training, steps=7)),
        replace(SETTINGS, pretraining=replace(SETTINGS.pretraining, steps=7)),
        replace(SETTINGS, coverage=0.99),
        replace(SETTINGS, has_heads=False),
    ],
    ids=["schedule", "steps", "pretraining-steps", "coverage", "heads"],
)
def test_a_cell_of_other_settings_is_not_taken_for_one_of_these(others, tmp_path):
    add_line(tmp_path / "cells.jsonl", row(3, "scratch", 0, 0.5))
    assert len(finished(tmp_path, SETTINGS)) == 1
    assert finished(tmp_path, others) == []


def test_rounds_of_another_plan_other_sizes_or_another_network_are_others():
    rounds = RoundSettings(SETTINGS.training, (3, 6))
    others = [
        replace(rounds, sizes=(3, 9)),
        replace(rounds, plan=replace(rounds.plan, steps=7)),
        replace(rounds, filters=(4, 8, 8, 8)),
    ]
    assert len({rounds.slug, *(one.slug for one in others)}) == 4


def test_a_figure_has_a_line_a_start():
    drawn = figure(
        [row(5, "scratch", 0, 0.7), row(20, "scratch", 0, 0.8), row(5, "masked", 0, 0.8)]
    )
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 3


def test_a_table_of_rounds_lays_both_ways_side_by_side():
    rows = [{"way": "suggested", "seed": s, "subjects": 3, "dice": 0.7 + s / 10} for s in (0, 1)]
    last = table_of_rounds(rows).splitlines()[-1]
    assert last == "| 3 | 2 | 0.750 (0.700 to 0.800) | - |"


def few_crops(folder):
    """Lay out a few crops of the training set, of which two judge, as the whole set lies."""
    whole = shared_data("hippocampus")
    split = json.loads((whole / "split.json").read_text())
    kept = {"train": split["train"][:8], "val": split["val"][:2]}
    for kind in ("images", "labels"):
        (folder / "hippocampus" / kind).mkdir(parents=True)
        for case in (*kept["train"], *kept["val"]):
            file = f"hippocampus/{kind}/{case_name(case)}"
            (folder / file).symlink_to((whole.parent / file).resolve())
    (folder / "hippocampus" / "split.json").write_text(json.dumps(kept))
    return folder


WORDS = ["--steps", "1", "--pretraining-steps", "1", "--coverage", "0.99", "--without-heads"]


def test_a_process_of_a_cell_is_told_the_same_settings(tmp_path):
    options = ["--schedule", "head-first", "--output", str(tmp_path), *WORDS]
    options += ["--members", "3", "--precision", "bfloat16"]
    chosen = parser().parse_args([*options, "--jobs", "2"])
    again = parser().parse_args(chosen_words(chosen))
    assert chosen_settings(again) == chosen_settings(chosen)
    assert chosen_settings(again) != SETTINGS
    assert again.output == tmp_path


@pytest.mark.slow
def test_cells_side_by_side_are_lines_each_and_are_run_once(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXCITE_DATA", str(few_crops(tmp_path / "data").resolve()))
    chosen = parser().parse_args(["--output", str(tmp_path / "out"), *WORDS])
    settings, words = chosen_settings(chosen), chosen_words(chosen)
    cells = [Cell(size, start, 0) for size in (2, 3) for start in ("scratch", "masked")]
    rows = list(run_beside(cells, settings, chosen.output, words, 2))
    lines = finished(chosen.output, settings)
    assert lines == rows
    assert {(row["size"], row["start"]) for row in rows} == {(c.size, c.start) for c in cells}
    assert {row["device"] for row in rows} == {device_name()}
    assert list(run_beside(cells, settings, chosen.output, words, 2)) == []
    assert len([*(chosen.output / "pretrained").glob("masked-*")]) == 1


@pytest.mark.slow
def test_a_cell_is_run_once_and_is_a_line(tmp_path):
    data = few_crops(tmp_path / "data")
    settings = shipped_settings()
    steps = {"steps": 1, "fold_steps": 1, "least_epochs": 1, "settling_epochs": 0}
    short = replace(settings.pretraining, steps=1, batch=2)
    settings = replace(
        settings, training=replace(settings.training, **steps), pretraining=short, coverage=0.5
    )
    cells = [Cell(3, "masked", 0)]
    (found,) = run_cells(cells, settings, data, tmp_path)
    assert list(run_cells(cells, settings, data, tmp_path)) == []
    assert finished(tmp_path, settings) == [found]
    assert found["subjects"] == 3
    assert {"dice", "distance_mm", "volume_error", "is_covered", "width"} <= found["cases"][
        0
    ].keys()


@pytest.mark.slow
def test_both_ways_of_labelling_begin_with_what_is_learnt_once(tmp_path):
    data, output = few_crops(tmp_path / "data"), tmp_path / "out"
    plan = replace(SETTINGS.training, steps=1, least_epochs=1, settling_epochs=0)
    rounds = RoundSettings(plan, (2, 3), (4, 4, 8, 8))
    output.mkdir()
    found = {way: list(simulate(way, 0, rounds, data, output)) for way in WAYS}
    first, last = zip(*found.values(), strict=True)
    assert first[0]["dice"] == first[1]["dice"]
    assert [row["subjects"] for row in last] == [3, 3]
    folders = sorted(path.name for path in (output / rounds.slug).iterdir())
    assert folders == ["random-0-3", "start-0-2", "suggested-0-3"]
    again = [list(simulate(way, 0, rounds, data, output)) for way in WAYS]
    assert again == [*found.values()]
