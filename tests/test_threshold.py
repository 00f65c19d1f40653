"""The classical baseline marks what its rule says, and its rules are those of the literature."""

from importlib.resources import files

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from segment import models
from segment.models import Box
from segment.models.threshold.rule import Fixed, Otsu, ShareOfMaximum, load, read_rule

SHAPE = (12, 14, 10)
PET = files(models).joinpath("threshold", "pet.toml")


def box_of(array):
    return Box(array.astype(np.float32), np.ones(array.shape, bool))


def marked(segmenter, box):
    (probability,) = segmenter([box])
    assert np.array_equal(probability.sum(axis=1), np.ones((1, *box.array.shape)))
    return probability[0, 1] == 1


def rule_file(folder, text):
    path = folder / "rule.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("seed", range(8))
def test_otsus_threshold_is_scikit_images(seed):
    rng = np.random.default_rng(seed)
    dark, bright = rng.normal(100, 20, 700), rng.normal(100 + 30 * seed, 10, 50 + 80 * seed)
    values = np.concatenate([dark, bright]).astype(np.float32)
    width = float(np.ptp(values)) / 256
    assert Otsu()(values) == pytest.approx(threshold_otsu(values), abs=width)


def test_a_bright_block_is_what_otsu_marks():
    array = np.random.default_rng(0).normal(100, 5, SHAPE)
    array[3:7, 4:9, 2:6] += 200
    block = np.zeros(SHAPE, bool)
    block[3:7, 4:9, 2:6] = True
    assert np.array_equal(marked(models.load("threshold"), box_of(array)), block)


def test_nothing_is_brighter_than_a_flat_box():
    assert not marked(models.load("threshold"), box_of(np.full(SHAPE, 7.0))).any()


def test_a_lesion_is_outlined_at_41_percent_of_its_suvmax():
    array = np.linspace(0.0, 10.0, np.prod(SHAPE)).reshape(SHAPE)
    assert np.array_equal(marked(load("threshold", PET), box_of(array)), array > 4.1)


def test_where_there_is_no_uptake_nothing_is_marked():
    values = np.full(SHAPE, -0.2)
    assert not marked(load("threshold", PET), box_of(values)).any()


def test_a_fixed_level_is_the_same_for_every_scan(tmp_path):
    segmenter = load("threshold", rule_file(tmp_path, 'kind = "fixed"\nlevel = 300.0\n'))
    array = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    assert np.array_equal(marked(segmenter, box_of(array)), array > 300)
    assert np.array_equal(marked(segmenter, box_of(array / 2)), array > 600)


def test_what_lies_outside_the_field_is_neither_counted_nor_marked():
    array = np.random.default_rng(0).normal(100, 5, SHAPE).astype(np.float32)
    array[3:7, 4:9, 2:6] += 200
    inside = np.ones(SHAPE, bool)
    inside[:2] = False
    beside = array.copy()
    beside[:2] = 1e6
    segmenter = models.load("threshold")
    one, other = (marked(segmenter, Box(values, inside)) for values in (array, beside))
    assert not other[:2].any()
    assert np.array_equal(one, other)


def test_a_box_outside_the_field_is_background():
    box = Box(np.ones(SHAPE, np.float32), np.zeros(SHAPE, bool))
    assert not marked(models.load("threshold"), box).any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('kind = "best"', r"^rule\.toml: expected kind to be one of otsu, fixed, share_of_maximum"),
        ("share = 0.41", r"^rule\.toml: expected kind .*, found None"),
        ('kind = "fixed"', r"^rule\.toml: the keys \['level'\] are missing or unknown"),
        ("kind = otsu", r"^rule\.toml: expected TOML, found "),
        ('kind = "otsu"\nbins = 9', r"^rule\.toml: the keys \['bins'\] are missing or unknown"),
        ('kind = "share_of_maximum"\nshare = 41.0', r"^a share of the maximum lies between 0 and"),
    ],
)
def test_a_rule_that_is_none_is_refused(text, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        read_rule(rule_file(tmp_path, text))


def test_a_rule_is_the_one_that_its_file_says(tmp_path):
    assert read_rule(rule_file(tmp_path, 'kind = "otsu"')) == Otsu()
    assert read_rule(rule_file(tmp_path, 'kind = "fixed"\nlevel = 2.5')) == Fixed(2.5)
    share = 'kind = "share_of_maximum"\nshare = 0.5'
    assert read_rule(rule_file(tmp_path, share)) == ShareOfMaximum(0.5)


def test_a_threshold_has_no_calibration_and_says_so():
    with pytest.raises(ValueError, match=r"^threshold has no calibration, so no interval"):
        models.calibrated("threshold")
