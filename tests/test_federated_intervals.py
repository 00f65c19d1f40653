"""Sites tell counts of how wrong the final weights are, and drafts state intervals of their sum."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from assistant.cli import OK, REFUSED, main
from segment import models, quantiles
from segment.calibration import THICKNESSES, Calibrated
from segment.crossfit import Case
from segment.federated.intervals import SCORES, Gathered, gather_scores
from segment.federated.model import CALIBRATION
from segment.federated.rounds import FINAL
from segment.federated.scores import Scores, calibrated, organ_of, outer, together
from segment.federated.scoring import in_bins
from segment.federated.server import federate
from segment.federated.sketch import BINS, LARGEST, reach, sketch
from segment.organs import load
from segment.pools import Pool
from segment.writing import toml_text
from tests.toy_federation import START, ToySites, add, write_plan, write_start
from tests.toy_segmenter import STRUCTURES, write_crops

ORGAN = load("hippocampus")
NAMES = [structure.name for structure in ORGAN.structures]
BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])


def scores_of(values):
    """Return the same scores of every structure, at every thickness."""
    level = dict.fromkeys(NAMES, sketch(values))
    return Scores({str(thickness): level for thickness in THICKNESSES})


@pytest.fixture
def ended(tmp_path):
    """A plan, and the folder of a federation that has ended."""
    plan, folder = write_plan(tmp_path / "plan.toml"), tmp_path / "rounds"
    folder.mkdir()
    save_file(START, folder / FINAL)
    return plan, folder


def sites_of(plan, scores):
    """Three sites, of which some have scores."""
    sites = ToySites(plan, dict.fromkeys((1, 2, 3), add(1.0)))
    sites.scores = scores
    return sites


def test_counts_of_all_sites_are_added_up_and_who_had_none_says_why(ended):
    plan, folder = ended
    tables = {1: scores_of([0.1] * 12).table(), 2: scores_of([-0.2] * 9).table()}
    found = gather_scores(plan, folder, sites_of(plan, tables))
    assert [(one.site, one.n) for one in found.sites] == [
        ("site-1", 12),
        ("site-2", 9),
        ("site-3", 0),
    ]
    assert found.sites[2].reason == "it held nothing out"
    assert found.scores == scores_of([0.1] * 12 + [-0.2] * 9)
    assert Gathered.read(folder / SCORES, ORGAN) == found


def test_what_was_gathered_of_these_weights_is_not_asked_for_again(ended):
    plan, folder = ended
    mine = {1: scores_of([0.1]).table()}
    first = gather_scores(plan, folder, sites_of(plan, mine))
    other = {1: scores_of([0.9] * 5).table(), 2: scores_of([0.2]).table()}
    again = gather_scores(plan, folder, sites_of(plan, other))
    assert again.scores == scores_of([0.1, 0.2])
    assert again.sites[0] == first.sites[0]
    (folder / SCORES).write_text("{")
    assert gather_scores(plan, folder, sites_of(plan, mine)) == first
    save_file({**START, "bias": np.ones(3, np.float32)}, folder / FINAL)
    assert gather_scores(plan, folder, sites_of(plan, {})).scores is None


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"1": {}},
        {**scores_of([0.0]).table(), "7": {}},
        {**scores_of([0.0]).table(), "1": dict.fromkeys(NAMES, [1.5] * BINS)},
        {**scores_of([0.0]).table(), "1": dict.fromkeys(NAMES, [1] * 3)},
        {**scores_of([0.0]).table(), "1": dict.fromkeys(NAMES, [-1] * BINS)},
        {**scores_of([0.0]).table(), "1": "counts"},
        scores_of([0.0] * 10_001).table(),
    ],
)
def test_a_site_that_sends_no_counts_is_left_out_with_the_reason(ended, table):
    plan, folder = ended
    good = scores_of([0.1] * 3)
    found = gather_scores(plan, folder, sites_of(plan, {1: good.table(), 2: table}))
    assert found.scores == good
    assert found.sites[1].n == 0
    assert found.sites[1].reason.startswith("expected ")


@given(st.lists(st.floats(-12, 12), min_size=19, max_size=80))
def test_an_interval_of_the_folder_is_that_of_the_sketch(values):
    counts = sketch(values)
    placed = outer(counts)
    assert list(placed) == sorted(placed)
    below, above = Pool(placed).reach(0.9)
    pooled = quantiles.reach(values, 0.9)
    assert below <= pooled[0]
    assert pooled[1] <= above
    if max(map(abs, pooled)) < LARGEST:
        assert (below, above) == pytest.approx(reach(counts, 0.9))


def test_too_few_subjects_of_all_sites_have_no_interval():
    few, enough = scores_of([0.1] * 18), scores_of([0.1] * 19)
    assert calibrated(few, 2, "", 0.9).levels[0].volume[NAMES[0]] == ()
    assert len(calibrated(enough, 2, "", 0.9).levels[0].volume[NAMES[0]]) == 19


def test_structures_of_no_organ_are_refused():
    assert organ_of(STRUCTURES[1:]).name == "hippocampus"
    with pytest.raises(ValueError, match=r"^structures: expected those of an organ that is here"):
        organ_of(("left toe",))


def test_a_federation_of_no_organ_is_refused_before_its_first_round(tmp_path):
    plan = write_plan(tmp_path / "plan.toml")
    plan.write_text(plan.read_text().replace("hippocampus anterior", "left toe"))
    sites = ToySites(plan, {1: add(1.0), 2: add(1.0)})
    with pytest.raises(ValueError, match=r"^structures: expected those of an organ that is here"):
        next(federate(plan, write_start(tmp_path / "start"), tmp_path / "out", sites))
    assert sites.asked == []


def test_a_structure_that_the_network_alone_draws_leaves_no_narrow_interval():
    volumes = {NAMES[0]: (2.0, 2.0), NAMES[1]: (0.0, 0.0), NAMES[2]: (0.0, 0.4)}
    cases = [
        Case(1, 0, thickness, name, true_ml, value_ml, (value_ml,), 1.0)
        for thickness in THICKNESSES
        for name, (true_ml, value_ml) in volumes.items()
    ]
    found = in_bins(cases).levels["1"]
    assert found[NAMES[0]] == sketch([0.0])
    assert found[NAMES[1]].n == 0
    assert found[NAMES[2]] == sketch([-99.0])


def test_counts_do_not_say_whose_they_are():
    one, other = scores_of([0.3, -1.0]), scores_of([0.2])
    assert together([one, other]) == together([other, one])


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Three hospitals that train a network of full size for a round; one held nothing out."""
    folder = tmp_path_factory.mktemp("federation")
    plan = write_plan(folder / "plan.toml", sites=3, joining_s=0.0, rounds=1)
    plan.write_text(plan.read_text().replace("sizes = { filters = [4, 8, 8] }", "sizes = {}"))
    assert main(["federated", "start", str(plan), "-o", str(folder / "start.safetensors")]) == OK
    held_out = {"site-a": tuple(range(101, 141, 2)), "site-b": (9, 10, 11), "site-c": ()}
    files = []
    for name, val in held_out.items():
        data = folder / name / "data"
        data.mkdir(parents=True)
        write_crops(data, (20, 22, 18), BLOCKS, train=(1, 2), val=val)
        table = {"name": name, "plan": str(plan), "data": "data", "work": "work"}
        files.append(folder / name / "site.toml")
        files[-1].write_text(toml_text({**table, "command": ["voxcite"]}))
    options = ["--start", str(folder / "start.safetensors"), "-o", str(folder / "rounds")]
    assert main(["federated", "simulate", str(plan), *map(str, files), *options]) == OK
    return folder, plan


@pytest.mark.slow
def test_hospitals_end_with_a_folder_that_drafts_are_made_with(federation, capsys):
    folder, plan = federation
    told = json.loads((folder / "rounds" / SCORES).read_text())
    assert {site["site"]: site["n"] for site in told["sites"]} == {
        "site-a": 20,
        "site-b": 2,
        "site-c": 0,
    }
    asked = ["federated", "model", str(plan), str(folder / "rounds"), "-o", str(folder / "model")]
    assert main(asked) == OK
    assert "voxcite draft STUDY --weights" in capsys.readouterr().out
    found = Calibrated.from_json((folder / "model" / CALIBRATION).read_text())
    assert found.id == "federated-22-subjects-2-sites"
    assert {len(scores) for level in found.levels for scores in level.volume.values()} == {22}
    assert len(models.load("unet", folder / "model" / "weights.safetensors").networks) == 1
    assert "22 subjects that 2 of them held out" in (folder / "model" / "CARD.md").read_text()
    assert main([*asked, "--coverage", "0.99"]) == OK
    assert "needs 199 subjects, and all sites held out 22; hold 177" in capsys.readouterr().out


@pytest.mark.slow
def test_scores_of_other_weights_make_no_folder(federation, tmp_path, capsys):
    folder, plan = federation
    rounds = tmp_path / "rounds"
    rounds.mkdir()
    for name in (FINAL, SCORES):
        (rounds / name).write_bytes((folder / "rounds" / name).read_bytes())
    asked = ["federated", "model", str(plan), str(rounds), "-o", str(tmp_path / "model")]
    (rounds / FINAL).write_bytes((folder / "start.safetensors").read_bytes())
    assert main(asked) == REFUSED
    assert "scores.json: expected scores of weights.safetensors" in capsys.readouterr().err
    (rounds / SCORES).write_text("{}")
    assert main(asked) == REFUSED
    assert "scores.json: expected the scores of a federation" in capsys.readouterr().err
    (rounds / FINAL).write_text("weights")
    assert main(asked) == REFUSED
    assert "weights.safetensors: expected weights in safetensors" in capsys.readouterr().err
    assert main([*asked[:-1], str(rounds)]) == REFUSED
    assert "expected another folder than that of the rounds" in capsys.readouterr().err
    (rounds / SCORES).unlink()
    assert main(asked) == REFUSED
    assert "scores.json: expected it in rounds, found none" in capsys.readouterr().err


@pytest.mark.slow
def test_subjects_that_a_round_was_trained_on_do_not_judge(federation, capsys):
    folder, _ = federation
    split = folder / "site-b" / "data" / "split.json"
    split.write_text(json.dumps({"train": [9, 10], "val": [1, 11]}))
    assert main(["federated", "score", str(folder / "site-b" / "site.toml")]) == REFUSED
    assert "under val that no round trained on, found 1 others; hold" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_of_another_size_makes_no_folder(tmp_path, capsys):
    plan, rounds = write_plan(tmp_path / "plan.toml"), tmp_path / "rounds"
    rounds.mkdir()
    save_file(START, rounds / FINAL)
    (rounds / SCORES).write_text("{}")
    assert (
        main(["federated", "model", str(plan), str(rounds), "-o", str(tmp_path / "m")]) == REFUSED
    )
    assert "sizes: expected those of unet's folder" in capsys.readouterr().err
