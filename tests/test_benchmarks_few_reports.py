"""A made hospital's words can all be learnt and written, and its table says what the files do."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import prompts
from assistant.cli.learn import _why_not
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.own import read_own
from assistant.writers.vlm.reports import bind_report
from assistant.writers.vlm.slots import SECTION_TOKEN
from tests.benchmarks import few_reports, house
from tests.benchmarks.likeness import chrf, distance
from tests.ledgers import plain_ledger
from tests.shared_data import shared_data
from tests.toy_training import toy_base, toy_plan, toy_views

WORDS = prompts.load("en")
RECORDS = {"whole": "m1", "part": "m2", "index": "m7", "short": "m4", "short_index": "m7"}
WORDINGS = [(kind, wording) for kind in RECORDS for wording in house.style()[kind]]


@pytest.mark.parametrize(("kind", "wording"), WORDINGS)
def test_every_wording_of_the_hospital_can_be_learnt(kind, wording):
    ledger = plain_ledger()
    for placed in ("", *house.style()["placed"]["within"]):
        sentence = house.worded(wording, ledger[RECORDS[kind]], placed)
        text = f"Impression: {sentence}" if kind.startswith("short") else sentence
        pair, unbound = bind_report("a", text, ledger, exam(), WORDS, _why_not)
        assert unbound == ()
        assert house.NUMBER.search(sentence)[0] not in pair.target
        assert sentence.partition(" ")[0] in pair.target


def test_the_hospital_has_forty_wordings_and_none_is_the_generators():
    from assistant.writers.vlm.corpus import corpus

    written = [house.worded(w, plain_ledger()[RECORDS[kind]]) for kind, w in WORDINGS]
    known = {line.replace("<unused1000>", house.MASK) for line in corpus("en").split("\n")}
    assert len({*written}) == 40
    assert not {house.NUMBER.sub(house.MASK, text).replace(" #", "#") for text in written} & known


def test_subjects_of_held_out_reports_are_in_no_training():
    data = shared_data("hippocampus").parent
    parts = [house.studies(data, part) for part in ("training", "held out")]
    subjects = [{study.name[:4] for study in part} for part in parts]
    assert not subjects[0] & subjects[1]
    assert (len(parts[0]) >= 200, len(parts[1]) >= 40) == (True, True)
    assert len({study.name for part in parts for study in part}) == sum(map(len, parts))
    assert len({study.name[:4] for study in parts[0][:50]}) == 50


def test_a_folder_of_the_hospital_is_measured_and_bound_by_the_product(tmp_path):
    data = shared_data("hippocampus").parent
    chosen = house.studies(data, "training")[:3]
    house.write_folder(chosen, data, tmp_path)
    own = read_own(tmp_path, exam(), _why_not, pytest.fail)
    assert [shown.pair.task.ledger for shown in own.shown]
    assert len(own.shown) == 3
    assert all(SECTION_TOKEN in shown.pair.target for shown in own.shown)
    unmeasured = house.style()["unmeasured"]
    assert all(piece.text in unmeasured for piece in own.unbound)
    for study in chosen:
        assert set(house.measured(tmp_path, study.name).sides) == set(study.cases)


def test_the_same_study_has_the_same_report_in_every_folder(tmp_path):
    data = shared_data("hippocampus").parent
    first, second = house.studies(data, "training")[:2]
    house.write_folder([first, second], data, tmp_path / "two")
    house.write_folder([second], data, tmp_path / "one")
    one, two = (tmp_path / name / "reports" / f"{second.name}.txt" for name in ("one", "two"))
    assert one.read_text() == two.read_text()


def test_both_sides_of_a_study_lie_apart_and_the_right_one_is_mirrored():
    left, right = np.zeros((3, 2, 2)), np.ones((2, 2, 3))
    joined = house._joined({"right": right, "left": left})
    assert joined.shape == (3 + house.GAP + 2, 2, 3)
    assert (joined[-2:] == 1).all()
    assert joined[: 3 + house.GAP].sum() == 0


def test_a_sentence_is_like_itself_and_less_like_others():
    assert chrf("Volume, left hippocampus: #.", "Volume, left hippocampus: #.") == 1
    near = chrf("Volume, left hippocampus: #.", "Volume left hippocampus #.")
    far = chrf("Volume, left hippocampus: #.", "The asymmetry index is #.")
    assert 1 > near > far > 0
    assert chrf("abc", "xyz") == 0
    assert distance(["abc", "xyz"], ["abc"]) == 0.5


def test_half_of_the_runs_of_one_letter_are_found():
    assert chrf("a", "b") == 0
    assert chrf("ab", "b") == pytest.approx(5 * 0.5 * 1 / (4 * 0.5 + 1))


def row(name, **changes):
    told = {"records": 7, "told": 7, "statements": 10, "replaced": 1, "contradictions": 0}
    told |= {
        "left_over": 0,
        "wrong_numbers": 0,
        "wordings": ["Volume, left hippocampus:{reading}."],
    }
    return told | {"seconds": 2.0, "name": name, "device": "cpu"} | changes


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"name": "cut o')


def test_a_table_counts_finished_reports_alone(tmp_path):
    (tmp_path / "references.json").write_text(json.dumps(["Volume, left hippocampus: #."]))
    write_rows(tmp_path / "n0" / "own.jsonl", [row("a"), row("b", replaced=3, told=0)])
    write_rows(tmp_path / "n20" / "own.jsonl", [row("a", wordings=["The index is {norm}."])])
    printed = few_reports.table(tmp_path)
    assert "held-out reports (after 0 2 on cpu; after 20 1 on cpu)" in printed
    first = "| none: the shipped adapter | 20.0% (5.7% to 43.7%) | 50.0% (23.0% to 77.0%) |"
    assert f"{first} 0.0% (0.0% to 16.8%) | 0 | 0.000 | 2.00 |" in printed
    assert "| 20 | 10.0%" in printed
    assert "| – | 2.00 |" in printed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_few_reports_are_learnt_and_told_of_at_toy_size(tmp_path, monkeypatch):
    """Train as the product does, write, be interrupted, and leave alone what is finished."""
    from assistant.writers.vlm import ready
    from assistant.writers.vlm.train import Material, train

    data = shared_data("hippocampus").parent
    base = toy_base(tmp_path)
    list(train(toy_plan(base), Material(toy_views), tmp_path / "first"))
    plan = toy_plan(base, adapter=str(tmp_path / "first" / "shipped"), projector_steps=0)
    config = tmp_path / "plan.toml"
    config.write_text("".join(f"{key} = {json.dumps(v)}\n" for key, v in asdict(plan).items()))
    monkeypatch.setattr(ready, "_base", lambda: base)
    given = ["--data", data, "--output", tmp_path / "out", "--config", config, "--sizes", "2"]
    asked = [*map(str, given), "--held-out", "1", "--reports", "1"]
    few_reports.main(asked)
    folder = tmp_path / "out" / "n2"
    trained = (folder / "trained.json").read_bytes()
    (folder / "kept.jsonl").unlink()
    few_reports.main(asked)
    assert (folder / "trained.json").read_bytes() == trained
    assert json.loads(trained)["steps"] == plan.adapter_steps
    for work in ("own", "kept"):
        (told,) = few_reports.rows_of(folder / f"{work}.jsonl")
        assert told["statements"] > 0


def test_more_reports_than_there_are_subjects_for_are_refused(tmp_path):
    data = shared_data("hippocampus").parent
    asked = few_reports.Asked(data, tmp_path, few_reports.shipped_plan(), 40, 1)
    with pytest.raises(ValueError, match="expected at most 216 reports, found 500"):
        few_reports.prepare(asked, [500])
