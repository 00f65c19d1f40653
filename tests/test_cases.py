"""A case that a network cannot learn from is refused by the name of its file, before training."""

import nibabel
import numpy as np
import pytest

from assistant.cli import REFUSED, main
from segment.models.training.cases import read_cases
from segment.models.training.plan import case_name, read_split
from segment.writing import toml_text
from tests.toy_federation import write_plan
from tests.toy_segmenter import STRUCTURES, plan_text, toy_plan, write_crops

BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
NAME = case_name(2)


@pytest.fixture
def data(tmp_path):
    """Two crops, of which the second is broken by each test."""
    (tmp_path / "data").mkdir()
    return write_crops(tmp_path / "data", (20, 22, 18), BLOCKS, train=(1, 2), val=(3,))


def put(data, kind, value):
    """Set one voxel of the second crop, which is not 0, to a value."""
    picture = nibabel.load(data / kind / NAME)
    array = np.asarray(picture.dataobj, np.float32)
    array[tuple(np.argwhere(array > 0)[0])] = value
    nibabel.Nifti1Image(array, picture.affine).to_filename(data / kind / NAME)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("labels", 9, "expected labels from 0 to 2, as the plan's structures, found 9; correct"),
        ("labels", 1.5, "expected labels from 0 to 2, as the plan's structures, found 1.5"),
        ("labels", -1, "expected labels from 0 to 2, as the plan's structures, found -1"),
        ("labels", np.nan, "expected labels of finite numbers, found 1 voxels that are none"),
        ("images", np.nan, "expected an image of finite numbers, found 1 voxels that are none"),
        ("images", np.inf, "expected an image of finite numbers, found 1 voxels that are none"),
    ],
)
def test_a_case_that_cannot_be_learnt_from_is_named(data, kind, value, told):
    put(data, kind, value)
    names = [case_name(1), NAME]
    with pytest.raises(ValueError, match=f"^{NAME}: {told}"):
        read_cases(data / "images", data / "labels", names, structures=STRUCTURES)


def test_a_file_that_is_cut_off_is_named(data):
    content = (data / "images" / NAME).read_bytes()
    (data / "images" / NAME).write_bytes(content[:500])
    with pytest.raises(ValueError, match=f"^{NAME}: expected an image as NIfTI, found a file"):
        read_cases(data / "images", data / "labels", [NAME], structures=STRUCTURES)


def test_a_training_ends_with_one_sentence_at_a_label_of_no_structure(data, capsys):
    put(data, "labels", 9)
    config = data / "plan.toml"
    config.write_text(plan_text(toy_plan(folds=0)), encoding="utf-8")
    asked = ["train", "segmenter", "--config", str(config), "--data", str(data)]
    assert main([*asked, "--runs", str(data / "runs")]) == REFUSED
    assert capsys.readouterr().err.startswith(f"voxcite: {NAME}: expected labels from 0 to 2")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"train": [1, 2, 1, 1], "val": [3]}', "expected each id once .*, found 1 3 times"),
        ('{"train": [1, 2], "val": [2]}', "expected each id once .*, found 2 2 times"),
        ('{"train": [1, 3], "val": [4]}', "expected both sides of a head .* 3 under train and 4"),
        ('{"train": [1, 2]}', "expected lists of whole numbers under train and val"),
        ('{"train": ["1"], "val": []}', "expected lists of whole numbers under train and val"),
        ("[1, 2]", "expected lists of whole numbers under train and val"),
        ("train: 1", "expected JSON, found something else"),
    ],
)
def test_a_split_that_would_count_a_case_twice_or_is_none_is_refused(data, text, told):
    (data / "split.json").write_text(text)
    with pytest.raises(ValueError, match=rf"^split\.json: {told}"):
        read_split(data / "split.json")


def test_a_site_refuses_to_count_a_case_twice(data, capsys):
    (data / "split.json").write_text('{"train": [1, 1, 1, 1], "val": []}')
    write_plan(data / "plan.toml")
    table = {"name": "a", "plan": "plan.toml", "data": ".", "work": "work", "command": ["voxcite"]}
    (data / "site.toml").write_text(toml_text(table))
    assert main(["federated", "greet", str(data / "site.toml")]) == REFUSED
    told = capsys.readouterr().err
    assert told.startswith("voxcite: split.json: expected each id once in train and val")
