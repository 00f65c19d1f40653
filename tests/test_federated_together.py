"""The sum of all sites is the mean that the server would make of them, and nobody is seen in it."""

import json
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from segment.federated.greeting import Greeting
from segment.federated.rounds import FINAL, StoppedError
from segment.federated.server import federate
from segment.federated.together import (
    RANGE,
    Together,
    change_of,
    finish_together,
    mean_change,
)
from tests.flower import ENVIRONMENT, REPOSITORY, variables
from tests.toy_federation import ToySites, add, toy_plan, write_plan, write_start

SENT = {"bias": np.zeros(3, np.float32)}
MEMBERS = {n: Greeting.of(f"site-{n}", "0" * 64, n) for n in (1, 2, 3)}
SECURE = {"secure": True, "sites": 3, "least_sites": 3}


def changed(amount):
    return {"bias": np.full(3, amount, np.float32)}


def test_a_sum_weighs_sites_by_their_cases():
    found = mean_change({1: changed(4), 3: changed(8)}, {1: 1, 3: 3}, SENT)
    np.testing.assert_array_equal(found.change["bias"], np.full(3, 7, np.float32))
    assert found.nodes == {1, 3}


def test_a_secure_federation_ends_where_an_open_one_does(tmp_path):
    finals = []
    for name, changes in (("open", {"sites": 3, "least_sites": 3}), ("secure", SECURE)):
        plan = write_plan(tmp_path / f"{name}.toml", **changes)
        start = write_start(tmp_path / "start.safetensors")
        sites = ToySites(plan, {1: add(1), 2: add(2), 3: add(4)})
        list(federate(plan, start, tmp_path / name, sites))
        finals.append(load_file(tmp_path / name / FINAL)["bias"])
    np.testing.assert_allclose(*finals, rtol=1e-6)


def test_a_round_names_who_is_in_the_sum_and_who_is_not(tmp_path):
    plan = toy_plan(tmp_path, sites=3, least_sites=2)
    found = Together(changed(1), frozenset({1, 3}))
    done = finish_together(4, SENT, found, MEMBERS, (), plan)
    assert {line.site: line.is_used for line in done.lines} == {
        "site-1": True,
        "site-2": False,
        "site-3": True,
    }
    np.testing.assert_array_equal(done.weights["bias"], np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Together(None, frozenset(), "masks stayed on"), "found 0 .*masks stayed on"),
        (Together(changed(1), frozenset({1})), "found 1 .*site-2: it is not in the sum"),
        (Together(changed(np.nan), frozenset({1, 2, 3})), "finite numbers.*stays hidden"),
    ],
)
def test_a_sum_that_cannot_be_used_stops_the_round(tmp_path, found, reason):
    plan = toy_plan(tmp_path, sites=3, least_sites=2)
    with pytest.raises(StoppedError, match=reason):
        finish_together(4, SENT, found, MEMBERS, (), plan)


@pytest.mark.parametrize(
    ("learnt", "reason"),
    [
        (changed(2 * RANGE), "expected changes of 8 at the most, found 16"),
        (changed(np.inf), "expected finite numbers"),
        ({"bias": np.zeros(2, np.float32)}, "expected the shape"),
    ],
)
def test_a_site_adds_nothing_that_a_sum_cannot_hold(learnt, reason):
    with pytest.raises(ValueError, match=reason):
        change_of(learnt, SENT)


@pytest.mark.skipif(
    not (ENVIRONMENT / "installed").exists(),
    reason="Flower has an environment of its own, which is not made here: `make federated`",
)
@pytest.mark.parametrize("dead", [0, 1, 2])
def test_masks_cancel_in_the_sum_alone_also_where_a_site_goes_away(tmp_path, dead):
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-m", "tests.secure_round", "5", str(dead)],
        cwd=REPOSITORY,
        env=variables(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    if dead == 2:
        assert told["reason"] == "too few sites stayed to take the masks off"
        return
    np.testing.assert_allclose(told["found"], told["wanted"], atol=1e-5)
    assert len(told["inside"]) == 5 - dead
    assert told["is_of_whole_secrets"]
    assert told["correlation"] < 0.2  # of what a site sends with what it learnt
