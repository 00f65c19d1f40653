"""A private round bounds what a subject contributes, and takes its noise from nobody's seed."""

import csv

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from assistant.cli import OK, REFUSED, main
from segment.federated.budget import SPENT
from segment.federated.site import LEARNT, SENT, Site
from segment.models.training.private import add_clipped
from segment.writing import toml_text
from tests.toy_federation import write_plan
from tests.toy_segmenter import write_crops

BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
PRIVATE = {"clip": 1.0, "noise": 1.0, "share": 0.5, "steps": 2, "delta": 0.01, "most_epsilon": 9.0}


def site_of(folder, **private):
    """Write a site of a private plan, and what it was sent; return its settings."""
    (folder / "data").mkdir()
    write_crops(folder / "data", (20, 22, 18), BLOCKS, train=(1, 2, 3), val=(9,))
    plan = write_plan(folder / "plan.toml", PRIVATE | private)
    table = {"name": "site-a", "plan": "plan.toml", "data": "data", "work": "work"}
    site = folder / "site.toml"
    site.write_text(toml_text({**table, "command": ["voxcite"]}))
    sent = Site.read(site).round_folder(1) / SENT
    sent.parent.mkdir(parents=True)
    assert main(["federated", "start", str(plan), "-o", str(sent)]) == OK
    return site


def learnt(site):
    """Train the first round; return what was sent and what was learnt."""
    assert main(["federated", "learn", str(site), "--round", "1"]) == OK
    folder = Site.read(site).round_folder(1)
    return load_file(folder / SENT), load_file(folder / LEARNT)


def test_a_long_gradient_is_drawn_back_and_a_short_one_stays():
    total = [torch.zeros(3), torch.zeros(2)]
    add_clipped(total, [torch.tensor([3.0, 0, 0]), torch.tensor([4.0, 0])], clip=1.0)
    torch.testing.assert_close(total[0], torch.tensor([0.6, 0, 0]))
    torch.testing.assert_close(total[1], torch.tensor([0.8, 0]))
    add_clipped(total, [torch.tensor([0.0, 0.1, 0]), None], clip=1.0)
    torch.testing.assert_close(total[0], torch.tensor([0.6, 0.1, 0]))


def test_a_gradient_that_is_no_number_adds_nothing():
    total = [torch.zeros(2)]
    add_clipped(total, [torch.tensor([np.nan, 1.0])], clip=1.0)
    torch.testing.assert_close(total[0], torch.zeros(2))


def test_a_private_round_learns_in_half_precision(tmp_path):
    site = site_of(tmp_path)
    plan = tmp_path / "plan.toml"
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace('precision = "float32"', 'precision = "bfloat16"'))
    sent, found = learnt(site)
    assert "bfloat16" in plan.read_text(encoding="utf-8")
    assert any(not torch.equal(found[name], sent[name]) for name in sent)


def test_a_private_round_leaves_the_statistics_as_they_were_sent(tmp_path):
    sent, found = learnt(site_of(tmp_path))
    changed = {name for name, tensor in found.items() if not torch.equal(tensor, sent[name])}
    assert sent.keys() == found.keys()
    assert changed == {name for name in sent if "running" not in name}


def test_a_private_round_that_is_done_again_draws_other_noise(tmp_path):
    site = site_of(tmp_path)
    _, once = learnt(site)
    _, again = learnt(site)
    assert not any(torch.equal(once[n], again[n]) for n in once if "running" not in n)
    with (Site.read(site).work / SPENT).open() as file:
        assert list(csv.reader(file)) == [["1.0", "0.5", "2"]] * 2


def test_a_site_trains_no_round_that_would_give_too_much_away(tmp_path, capsys):
    site = site_of(tmp_path, most_epsilon=0.5)
    assert main(["federated", "learn", str(site), "--round", "1"]) == REFUSED
    assert "expected epsilon 0.5 at the most" in capsys.readouterr().err
    assert not (Site.read(site).round_folder(1) / LEARNT).exists()


def test_what_a_plan_gives_away_is_printed(tmp_path, capsys):
    plan = write_plan(tmp_path / "plan.toml", PRIVATE)
    assert main(["federated", "epsilon", str(plan)]) == OK
    told = capsys.readouterr().out
    assert "at delta 0.01, for each subject of a site" in told
    assert "refuse" not in told
    assert main(["federated", "epsilon", str(write_plan(tmp_path / "open.toml"))]) == REFUSED
    assert "expected a plan with [private], found none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("private", "changes", "reason"),
    [
        ({"clip": 1.0}, {}, "private: the keys"),
        (PRIVATE, {"part": "writer"}, "private: expected part segmenter, found writer"),
        (None, {"part": "reader"}, "part: expected one of segmenter, writer, found 'reader'"),
        (None, {"secure": True}, "secure: expected a mean of 3 sites or more"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(tmp_path, capsys, private, changes, reason):
    plan = write_plan(tmp_path / "plan.toml", private, **changes)
    assert main(["federated", "start", str(plan), "-o", str(tmp_path / "start")]) == REFUSED
    assert reason in capsys.readouterr().err
