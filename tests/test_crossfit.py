"""Calibration on cases that the networks never saw, end to end at toy size."""

import numpy as np
import pytest

from assistant.cli import REFUSED, main
from segment import organs
from segment.calibration import Calibrated
from segment.crossfit import crossfit, fit_temperature, read_judged, thickened
from segment.geometry import Geometry
from segment.models.ensemble import read
from segment.models.training.run import train
from segment.volume import Volume
from tests.toy_segmenter import plan_text, toy_plan, write_crops

PLAN = toy_plan(sizes={}, patch=(32, 32, 32), batch=2, fold_members=2)
CASES = tuple(range(1, 21))
BLOCKS = (np.s_[8:18, 18:28, 8:18], np.s_[8:18, 8:18, 8:18])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty crops of ten subjects with a block of each structure."""
    return write_crops(tmp_path_factory.mktemp("data"), (30, 36, 28), BLOCKS, train=CASES)


@pytest.mark.slow
def test_a_crossfit_writes_weights_scores_and_every_case(data, tmp_path):
    list(train(PLAN, data, tmp_path / "runs"))
    steps = list(
        crossfit(PLAN, organs.load("hippocampus"), data, tmp_path / "runs", tmp_path / "out", 0.8)
    )
    assert steps[-1].done == steps[-1].of == len(CASES)
    calibrated = Calibrated.from_json((tmp_path / "out" / "calibration.json").read_text())
    assert [len(level.volume["hippocampus"]) for level in calibrated.levels] == [len(CASES)] * 4
    assert len(calibrated.levels[0].asymmetry["hippocampus"]) == len(CASES) // 2
    judged = read_judged(tmp_path / "out" / "cases.csv")
    assert len(judged) == len(CASES) * 4 * 3
    assert {case.true_ml for case in judged if case.structure == "hippocampus"} == {2.0}
    assert read(tmp_path / "out" / "weights.safetensors", "toy").seeds == (0,)


def test_a_calibration_without_its_networks_is_refused_in_one_sentence(data, tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    plan.write_text(plan_text(PLAN))
    command = ["calibrate", "--config", plan, "--data", data, "--runs", tmp_path, "-o", tmp_path]
    assert main([str(word) for word in command]) == REFUSED
    assert "not trained yet" in capsys.readouterr().err


def test_slices_are_averaged_where_they_lie():
    grid = Geometry((4, 5, 7), np.diag([1.0, 1, 1, 1]))
    volume = Volume(np.indices((4, 5, 7))[2].astype(np.float32), grid, "ramp")
    thick = thickened(volume, axis=2, thickness=3)
    assert thick.geometry.shape == (4, 5, 2)
    assert thick.geometry.spacing_mm == (1, 1, 3)
    places = thick.geometry.to_world(np.argwhere(thick.array > -1).astype(np.float64))[:, 2]
    assert np.allclose(places, thick.array.ravel())


def test_networks_that_learnt_nothing_get_a_finite_temperature():
    rng = np.random.default_rng(0)
    logs = np.log(rng.dirichlet(np.ones(3), 500).T)[None].astype(np.float32)
    temperature = fit_temperature([(logs, rng.integers(0, 3, 500))])
    assert np.isfinite(temperature).all()
    assert temperature.max() < 10


def test_probabilities_that_are_a_little_too_sure_get_a_temperature_a_little_above_one():
    rng = np.random.default_rng(0)
    true_logs = np.log(rng.dirichlet(np.ones(3), 20000))
    labels = np.array([rng.choice(3, p=p) for p in np.exp(true_logs)])
    sharper = (1.25 * true_logs).T[None].astype(np.float32)
    temperature = fit_temperature([(sharper, labels.astype(np.int64))])
    assert np.allclose(temperature, 1.25, atol=0.1)


def test_probabilities_that_are_too_sure_get_a_temperature_above_one():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2000)
    guesses = np.where(rng.random(2000) < 0.7, labels, rng.integers(0, 3, 2000))
    sure = np.log(np.where(np.eye(3)[guesses].T > 0, 0.998, 0.001))[None].astype(np.float32)
    temperature = fit_temperature([(sure, labels.astype(np.int64))])
    assert (temperature > 1.5).all()
