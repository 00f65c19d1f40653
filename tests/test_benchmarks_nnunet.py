"""The table beside nnU-Net trains nothing that is finished, and writes what was found."""

import argparse
import json

import pytest

from tests.benchmarks import nnunet
from tests.shared_data import shared_data


def found(dice):
    """Return what a training leaves, the same for every structure."""
    agreements = [
        {"case": 1, "structure": part, "dice": dice, "mean_surface_distance_mm": 0.5}
        for part in nnunet.STRUCTURES
    ]
    told = {"parameters": 12_345, "steps": 70, "batch": 2, "seconds": 61.2}
    return {**told, "agreements": agreements}


@pytest.fixture
def chosen(tmp_path):
    """Leave one subject's networks finished."""
    shared_data("hippocampus")
    for name, dice in (("nnU-Net", 0.5), ("unet", 0.75)):
        (tmp_path / f"1-2-0-{name}.json").write_text(json.dumps(found(dice)))
    return argparse.Namespace(minutes=2.0, subjects=[1], seed=0, output=tmp_path, python="nothing")


def test_what_is_finished_is_written_and_not_trained_again(chosen):
    heading, _, _, theirs, ours = nnunet.rows(chosen)
    assert "2 minutes of 2 threads" in heading
    assert "28 validation crops of 17 subjects" in heading
    assert theirs == "| 1 | nnU-Net | 12,345 | 70 x 2 | 61 | 0.500 | 0.500 | 0.500 | 0.50 |"
    assert ours == "| 1 | unet | 12,345 | 70 x 2 | 61 | 0.750 | 0.750 | 0.750 | 0.50 |"


def test_a_size_that_is_not_finished_is_trained(chosen):
    chosen.subjects = [2]
    with pytest.raises(FileNotFoundError, match="nothing"):  # the Python that was named
        list(nnunet.rows(chosen))
