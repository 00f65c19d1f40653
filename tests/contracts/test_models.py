"""Whatever model, exam or writer has a folder of its own keeps the contract of its kind."""

import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import prompts
from assistant import exams, writers
from assistant.settings import Settings
from assistant.writers import Writer
from segment import models, organs
from segment.calibration import Calibrated
from segment.models import Box, Segmenter
from segment.quantiles import quantile, reach
from segment.repeatability import Repeatability
from segment.retest import estimate, read_retests

KEYS = {"factory", "name", "version", "structures", "weights", "card"}
every_model = pytest.mark.parametrize("name", models.available())
every_exam = pytest.mark.parametrize("name", exams.available())
every_writer = pytest.mark.parametrize("name", writers.available())


def file_of(name, key):
    if key not in models.describe(name):
        pytest.skip(f"{name} has no {key}")
    path = files(models).joinpath(name, models.describe(name)[key])
    if not path.is_file():
        pytest.skip(f"{name} has no {path.name}")
    return path


@every_model
def test_a_model_says_what_it_is(name):
    facts = models.describe(name)
    assert facts.keys() >= KEYS
    assert facts["structures"][0] == "background"
    assert len(set(facts["structures"])) == len(facts["structures"])


@every_model
def test_a_models_factory_is_there(name):
    module, _, attribute = models.describe(name)["factory"].partition(":")
    assert callable(getattr(import_module(module), attribute))


@every_model
def test_a_card_says_what_the_model_is_made_from(name):
    text = file_of(name, "card").read_text(encoding="utf-8").lower()
    assert [word for word in ("data", "licence", "calibration") if word not in text] == []


@every_model
def test_a_card_names_the_hash_of_the_weights(name):
    digest = hashlib.sha256(file_of(name, "weights").read_bytes()).hexdigest()
    assert digest in file_of(name, "card").read_text(encoding="utf-8")


@every_model
def test_weights_are_small_enough_for_the_repository(name):
    assert len(file_of(name, "weights").read_bytes()) < 15e6


@every_model
def test_a_loaded_model_is_a_segmenter_of_the_structures_it_names(name):
    weights = file_of(name, "weights")
    model = models.load(name)
    assert isinstance(model, Segmenter)
    assert model.structures == tuple(models.describe(name)["structures"])
    assert model.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert len(set(model.seeds)) == len(model.seeds) >= 1


@every_model
def test_a_model_fills_each_box_with_probabilities_of_every_member(name):
    file_of(name, "weights")
    model = models.load(name)
    shape = (20, 30, 22)
    array = np.random.default_rng(0).random(shape, np.float32)
    (probability,) = model([Box(array, np.ones(shape, bool))])
    assert probability.shape == (len(model.seeds), len(model.structures), *shape)
    assert np.allclose(probability.sum(axis=1), 1, atol=1e-3)


@every_model
def test_a_calibration_supports_the_coverage_of_every_exam_that_uses_it(name):
    calibrated = Calibrated.from_json(file_of(name, "calibration").read_text(encoding="utf-8"))
    using = [exam for exam in map(exams.load, exams.available()) if exam.segmenter == name]
    for exam in using:
        for level in calibrated.levels:
            for structure in exam.structures:
                below, above = reach(level.volume[structure], exam.coverage)
                assert below < 0 < above
                assert calibrated.floor[structure] > 0
                assert 0 <= calibrated.least_agreement[structure] <= 1
            for structure in exam.asymmetry:
                assert quantile(level.asymmetry[structure], exam.coverage) > 0


@every_model
def test_a_model_without_figures_says_so(name):
    figures = models.figures(name)
    assert figures
    assert all(line.strip() for line in figures)


def test_an_unknown_model_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown segmenter 'vnet'; there are"):
        models.describe("vnet")


@every_exam
def test_an_exam_is_named_after_its_file(name):
    assert exams.load(name).name == name


@every_exam
def test_an_exam_names_an_organ_and_a_model_that_exist(name):
    exam = exams.load(name)
    assert set(exam.organs) <= set(organs.available())
    assert exam.segmenter in (*models.available(), exams.SUPPLIED)


@every_exam
def test_an_exams_structures_are_the_organs_and_made_of_the_models_labels(name):
    exam = exams.load(name)
    found = [s for name in exam.organs for s in organs.load(name).structures]
    known = {structure.name: structure for structure in found}
    assert len(known) == len(found)
    assert set(exam.structures) <= known.keys()
    if exam.segmenter != exams.SUPPLIED:
        labels = set(models.describe(exam.segmenter)["structures"])
        assert all(set(known[s].labels) <= labels for s in exam.structures)


@every_exam
@pytest.mark.parametrize("language", prompts.languages())
def test_every_language_has_the_words_of_an_exam(name, language):
    exam, words = exams.load(name), prompts.load(language)
    assert name in words.exams
    assert set(exam.structures) <= words.structures.keys()
    assert {f"not_assessed.{key}" for key in exam.not_assessed} <= words.phrases.keys()
    assert f"technique.{exam.name}" in words.phrases


def test_an_unknown_exam_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown exam 'spleen'; there are"):
        exams.load("spleen")


@every_writer
def test_a_writer_is_one(name):
    assert isinstance(writers.load(name), Writer)


def test_an_unknown_writer_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown writer 'poet'; there are"):
        writers.load("poet")


def test_the_default_settings_name_parts_that_exist():
    settings = Settings()
    assert settings.exam in exams.available()
    assert settings.language in prompts.languages()


@pytest.mark.parametrize("name", exams.available())
def test_an_exam_names_a_writer_that_exists(name):
    assert exams.load(name).writer in writers.available()


@every_model
def test_a_repeatability_knows_every_structure_and_follows_from_its_repeats(name):
    if "repeatability" not in models.describe(name):
        assert models.repeatability(name) == Repeatability.unknown()
        pytest.skip(f"{name} has no repeatability")
    found = models.repeatability(name)
    rows = read_retests(Path(str(files(models).joinpath(name, "retests.csv"))))
    again = estimate(rows, found.id, found.source)
    assert Repeatability.from_toml(again.to_toml()).levels == found.levels
    assert found.weights_sha256 == models.load(name).weights_sha256
    assert found.calibration == models.calibrated(name).id
    using = [exam for exam in map(exams.load, exams.available()) if exam.segmenter == name]
    for level in found.levels:
        assert {s for exam in using for s in exam.structures} <= level.structures.keys()


def test_what_needs_a_segmentation_beside_the_scan_is_not_offered_by_the_page():
    supplied = {name for name in exams.available() if exams.load(name).segmenter == "supplied"}
    assert supplied
    assert {*exams.drawn()} == {*exams.available()} - supplied
    assert Settings().exam in exams.drawn()
