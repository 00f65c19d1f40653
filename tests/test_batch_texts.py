"""Texts of several studies written together: the same reports, and each study stands for itself."""

import json
import time
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

import assistant
from assistant import Settings, batch
from assistant.batch import work
from assistant.batch.cluster import Cluster
from assistant.batch.pool import drafted
from assistant.batch.work import Duty, Halted
from assistant.cli import main
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.text import Bounds
from assistant.writers.vlm.writer import VisionLanguage
from segment.errors import ScanError
from tests.batches import DEADLY, Together, crop, crops, mortal_together, together, toy
from tests.toy_writer import steered


@cache
def model():
    """A model that learnt nothing and writes a little."""
    ready, _ = steered(lambda logits, tokens: logits, Bounds(tokens=40, line_tokens=8))
    return VisionLanguage.of(ready)


def of_model(settings):
    return replace(toy(settings), writer=model())


def run(folder, output, recipe, texts=3, workers=0):
    planned = batch.plan(folder, side="left")
    found = batch.run(planned, output, workers=workers, texts=texts, recipe=recipe)
    return {outcome.id: outcome for outcome in found}


def report(output, name):
    table = json.loads((output / "studies" / name / "report.json").read_text(encoding="utf-8"))
    del table["created"]
    return table


@pytest.fixture
def scans(tmp_path):
    """Three scans of different sizes."""
    for name, radius_mm in (("a", 6.0), ("b", 9.0), ("c", 4.0)):
        crop(tmp_path / "in" / f"{name}.nii.gz", radius_mm=radius_mm)
    return tmp_path / "in"


def test_texts_written_together_give_the_reports_of_texts_written_alone(scans, tmp_path):
    for texts in (1, 3):
        run(scans, tmp_path / str(texts), of_model, texts)
    reports = [[report(tmp_path / folder, name) for name in "abc"] for folder in "13"]
    assert reports[0] == reports[1]
    assert reports[0][0]["provenance"]["writer"] == "vlm"
    assert reports[0][0]["lines"] != reports[0][2]["lines"]


def with_writer(writer):
    return lambda settings: replace(toy(settings), writer=writer)


def test_no_more_studies_are_held_than_texts_are_asked_for(tmp_path):
    writer = Together()
    crops(tmp_path / "in", 5)
    found = run(tmp_path / "in", tmp_path / "out", with_writer(writer), texts=2)
    assert writer.counts == [2, 2]  # the last study is alone
    assert {outcome.status for outcome in found.values()} == {"drafted"}


@pytest.mark.parametrize(
    ("options", "counts"), [({}, [3]), ({"texts": 2}, [2]), ({"texts": 1}, [])]
)
def test_texts_are_written_together_unless_another_number_is_asked_for(
    scans, tmp_path, options, counts
):
    writer = Together()
    called = {"side": "left", "workers": 0, "recipe": with_writer(writer), **options}
    found = assistant.batch(scans, tmp_path / "out", **called)
    assert [outcome.code for outcome in found] == [None] * 3
    assert writer.counts == counts


def test_a_writer_that_gains_nothing_drafts_one_study_after_the_other(scans, tmp_path):
    planned = batch.plan(scans, side="left")
    running = batch.run(planned, tmp_path / "out", workers=0, texts=3, recipe=toy)
    (scans / "b.nii.gz").unlink()
    assert next(running).status == "drafted"
    crop(scans / "b.nii.gz")
    assert [outcome.status for outcome in running] == ["drafted", "nothing-measured"]


def test_a_damaged_scan_takes_no_other_study_with_it(scans, tmp_path):
    (scans / "b.nii.gz").write_bytes(b"no scan")
    found = run(scans, tmp_path / "out", together)
    assert {name: outcome.code for name, outcome in found.items()} == {
        "a": None,
        "b": "unreadable",
        "c": None,
    }


@pytest.mark.parametrize("texts_before", [0, 1])
def test_where_writing_together_breaks_each_text_is_written_alone(scans, tmp_path, texts_before):
    writer = Together(breaks_after=texts_before)
    found = run(scans, tmp_path / "out", with_writer(writer))
    assert [outcome.code for outcome in found.values()] == [None] * 3
    assert writer.counts == [3]


@dataclass(eq=False)
class Breaking(Together):
    """Breaks together, and of a small structure alone as well."""

    error: Exception = field(kw_only=True)

    def write(self, brief):
        if all(record.is_withheld for record in brief.ledger.records):
            raise self.error
        return super().write(brief)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyError("/home/Quetzal"), "internal"),
        (ModelError(Fault.BUSY, "the writer's server: expected an answer, found none"), "busy"),
    ],
)
def test_a_text_that_cannot_be_written_fails_for_its_study_alone(scans, tmp_path, error, code):
    found = run(scans, tmp_path / "out", with_writer(Breaking(error=error)))
    assert {name: outcome.code for name, outcome in found.items()} == {
        "a": None,
        "b": None,
        "c": code,
    }
    assert "Quetzal" not in found["c"].sentence


def test_a_model_that_cannot_be_had_stops_the_run(scans, tmp_path):
    recipe = with_writer(VisionLanguage(model=str(tmp_path / "none")))
    items = batch.plan(scans, side="left").items
    first = next(drafted(items, Duty(recipe, Settings(), tmp_path, texts=3), workers=0))
    assert isinstance(first, Halted)
    assert "found none called 'none'" in first.sentence


@dataclass(eq=False)
class Slow(Together):
    """Takes six seconds for each text, by a clock that only it moves."""

    now_s: float = field(default_factory=time.perf_counter)

    def perf_counter(self):
        return self.now_s

    def write_many(self, briefs, at_once):
        for told in super().write_many(briefs, at_once):
            self.now_s += 6.0
            yield told


def test_studies_share_the_time_that_writing_them_together_took(scans, tmp_path, monkeypatch):
    writer = Slow()
    monkeypatch.setattr(work, "time", writer)
    found = run(scans, tmp_path / "out", with_writer(writer))
    assert [outcome.seconds["write"] for outcome in found.values()] == [2.0, 5.0, 11.0]


@pytest.mark.slow
def test_a_worker_that_dies_takes_no_study_with_it_but_its_own(tmp_path):
    crops(tmp_path / "in", 5)
    crop(tmp_path / "in" / "deadly.nii.gz", brightest=DEADLY * 2)
    found = run(tmp_path / "in", tmp_path / "out", mortal_together, texts=3, workers=2)
    codes = {name: outcome.code for name, outcome in found.items()}
    assert codes.pop("deadly") == "worker-died"
    assert codes == dict.fromkeys(f"s{n:04}" for n in range(1, 6))
    kept = [outcome.id for outcome in batch.outcomes(tmp_path / "out")]
    assert sorted(kept) == sorted(found)


def test_a_run_that_is_stopped_among_texts_goes_on(tmp_path):
    crops(tmp_path / "in", 5)
    planned = batch.plan(tmp_path / "in", side="left")
    running = batch.run(planned, tmp_path / "out", workers=0, texts=3, recipe=together)
    first = [next(running).id]
    running.close()
    options = {"workers": 0, "texts": 2, "recipe": together, "resume": True}
    rest = [outcome.id for outcome in batch.run(planned, tmp_path / "out", **options)]
    assert [*first, *rest] == [f"s{n:04}" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"texts": 0}, "texts: expected how many"),
        ({"texts": 2, "cluster": Cluster()}, "texts: expected none with Ray"),
    ],
)
def test_numbers_of_texts_that_cannot_be_meant_are_refused(options, told, scans, tmp_path):
    with pytest.raises(ScanError, match=told):
        list(batch.run(batch.plan(scans), tmp_path / "out", **options))


def test_the_command_takes_how_many_texts_are_written_together(scans, tmp_path, capsys):
    given = ["batch", str(scans), str(tmp_path / "out"), "--writer", "template", "--texts", "0"]
    assert main(given) == 2
    assert "texts: expected how many" in capsys.readouterr().err
