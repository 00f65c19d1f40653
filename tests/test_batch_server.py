"""A batch whose writer is a server: what is wrong with one request is one row, and no more."""

import csv
from dataclasses import replace

import pytest

from assistant import Settings, batch, read_study
from assistant.batch.run import MOST_MISSED
from assistant.cli import OK, main
from assistant.writers.server.connection import Patience
from assistant.writers.server.writer import ServerWriter
from tests.batches import crops, toy
from tests.served import MODEL, Reply, fake, listing, reply, said

SOON = Patience(tries=1, whole_s=8.0)
LINE = said("The volume of the left hippocampus is{a.reading}.")
BLIND = listing(architecture={"input_modalities": ["text"]})  # one request a study
OF_ONE = {
    "refused": Reply(status=400),
    "strange": reply({"choices": []}),
    "too-slow": Reply(wait_s=60.0),
    "broken-off": Reply(b'{"choices": [{"mess', claims=400),
    "busy": Reply(status=429),
    "server-failed": Reply(status=500),
}
OF_ALL = {"forbidden": Reply(status=401), "elsewhere": Reply(status=307)}


def served(settings):
    """An assistant that needs no weights and whose writer is a server without patience."""
    writer = ServerWriter(settings.server, settings.model, patience=SOON)
    return replace(toy(replace(settings, writer="template")), writer=writer)


def steps(root, folder, *, resume=False):
    """Begin a batch that asks a server; it goes as far as it is asked to."""
    settings = Settings(writer="server", server=root, model=MODEL)
    planned = batch.plan(folder / "in", settings, side="left")
    return batch.run(planned, folder / "out", workers=0, recipe=served, resume=resume)


def codes(folder):
    return {outcome.id: outcome.code for outcome in batch.outcomes(folder / "out")}


@pytest.mark.parametrize(
    "code", [pytest.param(c, marks=[pytest.mark.slow] * (c == "too-slow")) for c in OF_ONE]
)
def test_what_is_wrong_with_one_request_is_a_row_and_the_next_is_asked(tmp_path, code):
    crops(tmp_path / "in", 3)
    with fake(LINE, OF_ONE[code], LINE, models=BLIND) as server:
        found = list(steps(server.root, tmp_path))
    assert [(outcome.id, outcome.code) for outcome in found] == [
        ("s0001", None),
        ("s0002", code),
        ("s0003", None),
    ]
    assert found[1].sentence.startswith("s0002: the writer's server: expected ")
    assert "segment" in found[1].seconds
    read = read_study(tmp_path / "in" / "s0002.nii.gz")
    assert found[1].input_sha256 == read.volume.sha256
    assert not (tmp_path / "out" / "studies" / "s0002").exists()
    assert (tmp_path / "out" / "summary.html").exists()


@pytest.mark.parametrize(("code", "answer"), OF_ALL.items(), ids=OF_ALL)
def test_what_is_wrong_with_the_server_stops_the_run(tmp_path, code, answer):
    crops(tmp_path / "in", 3)
    with fake(LINE, answer, models=BLIND) as server:
        with pytest.raises(ValueError, match="the writer's server: expected"):
            list(steps(server.root, tmp_path))
        assert len(server.bodies()) == 2
    assert codes(tmp_path) == {"s0001": None}


def test_a_model_that_the_server_lacks_stops_the_run(tmp_path):
    crops(tmp_path / "in", 2)
    lacking = fake(models=listing(name="another"))
    with lacking as server, pytest.raises(ValueError, match="expected a model called 'toy'"):
        list(steps(server.root, tmp_path))
    assert codes(tmp_path) == {}


def test_a_server_that_goes_away_stops_the_run(tmp_path):
    crops(tmp_path / "in", 2)
    with fake(LINE, models=BLIND) as server:
        going = steps(server.root, tmp_path)
        assert next(going).id == "s0001"
    with pytest.raises(ValueError, match="expected a server that answers, found none"):
        next(going)
    assert codes(tmp_path) == {"s0001": None}


def test_many_failures_in_a_row_stop_the_run_and_resuming_goes_on_after_them(tmp_path):
    crops(tmp_path / "in", MOST_MISSED + 2)
    (tmp_path / "in" / "s0003.nii.gz").write_bytes(b"no scan")  # says nothing of the server
    with fake(Reply(status=500), models=BLIND) as server:
        with pytest.raises(ValueError, match=r"found none for 5 studies in a row \[server-f"):
            list(steps(server.root, tmp_path))
        assert len(server.bodies()) == MOST_MISSED
        server.answers(LINE)
        found = [o.id for o in steps(server.root, tmp_path, resume=True)]
    missed = ["s0001", "s0002", "s0004", "s0005", "s0006"]
    assert found == ["s0007", *missed]
    assert codes(tmp_path) == {"s0003": "unreadable", **dict.fromkeys(found)}


def test_a_study_that_the_server_missed_is_taken_up_again_and_no_other(tmp_path):
    crops(tmp_path / "in", 3)
    (tmp_path / "in" / "s0002.nii.gz").write_bytes(b"no scan")
    with fake(LINE, Reply(status=500), models=BLIND) as server:
        list(steps(server.root, tmp_path))
        assert codes(tmp_path) == {"s0001": None, "s0002": "unreadable", "s0003": "server-failed"}
        crops(tmp_path / "in", 3)  # the scan can be read now, and its row stays as it is
        server.answers(LINE)
        again = list(steps(server.root, tmp_path, resume=True))
        assert len(server.bodies()) == 3
    assert [(outcome.id, outcome.code) for outcome in again] == [("s0003", None)]
    assert codes(tmp_path) == {"s0001": None, "s0002": "unreadable", "s0003": None}
    with (tmp_path / "out" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        told = [(row["id"], row["status"]) for row in csv.DictReader(file)]
    assert told == [("s0001", "drafted"), ("s0002", "failed"), ("s0003", "drafted")]


def test_studies_that_are_missed_each_time_stop_no_second_run(tmp_path):
    crops(tmp_path / "in", MOST_MISSED + 1)
    with fake(Reply(status=500), models=BLIND) as server:
        with pytest.raises(ValueError, match="found none for 5 studies in a row"):
            list(steps(server.root, tmp_path))
        found = list(steps(server.root, tmp_path, resume=True))
    assert [outcome.code for outcome in found] == ["server-failed"] * (MOST_MISSED + 1)
    assert (tmp_path / "out" / "summary.html").exists()


def test_what_is_taken_up_again_counts_as_to_do(tmp_path, capsys):
    crops(tmp_path / "in", 2)
    with fake(LINE, Reply(status=500), models=BLIND) as server:
        list(steps(server.root, tmp_path))
        options = ["--writer", "server", "--server", server.root, "--model", MODEL]
        given = [str(tmp_path / "in"), str(tmp_path / "out"), *options, "--dry-run", "--resume"]
        assert main(["batch", *given, "--crop", "--side", "left"]) == OK
    told = capsys.readouterr().out
    assert "s0001: done" in told
    assert "s0002: to do" in told


def test_failures_between_studies_that_are_written_do_not_add_up(tmp_path):
    crops(tmp_path / "in", 2 * MOST_MISSED)
    nearly = [Reply(status=400)] * (MOST_MISSED - 1)
    with fake(*nearly, LINE, *nearly, LINE, models=BLIND) as server:
        found = list(steps(server.root, tmp_path))
    assert [outcome.code for outcome in found].count("refused") == 2 * (MOST_MISSED - 1)
