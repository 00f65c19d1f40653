"""The simulated batch agrees with what can be worked out by hand."""

import random
from dataclasses import replace

import pytest

from tests.benchmarks.queueing import Batch, simulate, simulate_long

ONE = Batch(studies=20, workers=1, read_s=0.5, save_s=0.25, compute_s=3.0)


def run(batch, seed=0):
    return simulate(batch, random.Random(seed))


def test_one_worker_takes_the_sum_of_all_that_it_does():
    assert run(ONE).wall_s == pytest.approx(20 * (0.5 + 3.0 + 0.25))


def test_one_worker_waits_for_each_text():
    assert run(replace(ONE, slots=1, text_s=2.0)).wall_s == pytest.approx(20 * (3.75 + 2.0))


def test_workers_that_need_no_storage_share_the_work():
    found = run(Batch(studies=60, workers=6, read_s=0.0, save_s=0.0, compute_s=3.0))
    assert found.wall_s == pytest.approx(60 / 6 * 3.0)


def test_many_workers_are_bound_by_the_storage():
    batch = replace(ONE, studies=5000, workers=200)
    found = run(batch)
    assert found.wall_s == pytest.approx(5000 * 0.75, rel=0.01)
    assert found.utilisation(batch)["storage"] == pytest.approx(1, abs=0.01)


def test_few_gpus_bind_many_workers():
    batch = Batch(2000, 100, read_s=0.0, save_s=0.0, compute_s=1.0, slots=4, text_s=1.0)
    found = run(batch)
    assert found.wall_s == pytest.approx(1.0 + 2000 / 4)
    assert found.utilisation(batch)["GPUs"] == pytest.approx(1, abs=0.01)


def test_a_study_is_tried_as_often_as_allowed_and_then_lost():
    found = run(replace(ONE, failing=1.0, attempts=3, restart_s=10.0))
    assert (found.retried, found.lost) == (40, 20)
    assert found.wall_s == pytest.approx(20 * 3 * (0.5 + 3.0 + 10.0))


def test_rare_deaths_lose_the_square_of_their_share():
    found = run(replace(ONE, studies=40_000, workers=50, failing=0.05))
    assert found.retried / 40_000 == pytest.approx(0.05, rel=0.1)
    assert found.lost / 40_000 == pytest.approx(0.05**2, rel=0.3)


@pytest.mark.parametrize("workers", [1, 7, 64, 500])
@pytest.mark.parametrize("spread", [0.0, 0.9])
def test_nothing_is_busy_for_more_than_all_of_the_time(workers, spread):
    batch = Batch(3000, workers, 0.02, 0.01, 2.0, spread, slots=3, text_s=0.1, failing=0.1)
    assert max(run(batch).utilisation(batch).values()) <= 1 + 1e-9


def test_spread_times_have_the_same_mean():
    batch = replace(ONE, studies=20_000)
    assert run(replace(batch, spread=0.8)).computing_s == pytest.approx(60_000, rel=0.01)


@pytest.mark.parametrize("workers", [4, 60, 300])
def test_a_long_batch_takes_what_it_takes_when_it_is_simulated_whole(workers):
    batch = Batch(40_000, workers, 0.02, 0.01, 2.0, 0.3, failing=0.001, restart_s=15.0)
    whole, extended = run(batch), simulate_long(batch, 0)
    assert extended.wall_s == pytest.approx(whole.wall_s, rel=0.01)
    assert extended.utilisation(batch) == pytest.approx(whole.utilisation(batch), rel=0.01)
    assert max(extended.utilisation(batch).values()) <= 1


@pytest.mark.parametrize("change", [{"workers": 0}, {"failing": 1.5}, {"spread": -0.1}])
def test_an_impossible_batch_is_refused(change):
    with pytest.raises(ValueError, match="expected"):
        replace(ONE, **change)
