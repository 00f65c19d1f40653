"""The labels of a scan of any size are those of its probabilities, never all there at once."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

from assistant.cli import main
from segment.geometry import Geometry
from segment.masks.file import read_labels
from segment.models.brought import FolderError
from segment.models.nnunet import load
from segment.models.nnunet.decide import FLOAT_BYTES, decided
from segment.models.nnunet.plans import Resampling
from segment.models.nnunet.prepare import prepare
from segment.models.nnunet.sliding import Sliding, nobody
from segment.volume import Volume
from tests.supplied import AFFINE, ct, write
from tests.test_nnunet import constant
from tests.toy_nnunet import LABELS, folder, network, plans

SURE = 1e-4  # how far the first two probabilities lie apart where rounding decides nothing
SMALL = 40_000
TURNED = np.array([[0, -2.0, 0, 9], [2.0, 0, 0, 3], [0, 0, 3.0, 0], [0, 0, 0, 1]])


def scan(affine=AFFINE, shape=(31, 27, 22)):
    """Return noise over a gradient, which a random network divides into many parts."""
    noise = np.random.default_rng(0).normal(0, 120, shape)
    array = (noise + np.linspace(-300, 300, shape[0])[:, None, None]).astype(np.float32)
    return Volume(array, Geometry(shape, affine), "0" * 64)


def split(seed):
    """Return a random network none of whose classes has everything."""
    made = network(seed)
    with torch.no_grad():
        for layer in made.decoder.seg_layers:
            layer.bias.zero_()
    return made


def same(model, volume, room_bytes=SMALL):
    """Tell whether labels are those of the probabilities wherever these are sure."""
    sliding = Sliding(model.networks, len(LABELS), model.plans.patch, model.mirrored)
    found = decided(sliding, prepare(volume, model.plans), nobody, room_bytes)
    probability = model(volume).probability.mean(axis=0)
    ordered = np.sort(probability, axis=0)
    sure = ordered[-1] - ordered[-2] > SURE
    assert sure.mean() > 0.99
    assert len(np.unique(found)) > 1
    return np.array_equal(found[sure], probability.argmax(axis=0)[sure])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spacing": [3.0, 1.3, 1.7]},
        {"spacing": [2.0, 3.1, 2.5]},
        {"spacing": [9.0, 2.0, 2.0]},
        {"patch_size": [40, 40, 40]},
        {"patch_size": [8, 12, 16]},
    ],
)
def test_labels_are_those_of_the_probabilities(tmp_path, changes):
    table = plans(**changes)
    assert same(load(folder(tmp_path / "f", [split(1)], table)), scan())


@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIOWithReorient"])
def test_they_lie_where_the_scan_lies_however_it_is_turned(tmp_path, reader):
    table = plans(spacing=[2.5, 2.0, 2.0]) | {"image_reader_writer": reader}
    table |= {"transpose_forward": [1, 0, 2], "transpose_backward": [1, 0, 2]}
    assert same(load(folder(tmp_path / "f", [split(2)], table)), scan(TURNED))


def test_what_is_zero_around_a_scan_has_no_label(tmp_path):
    array = np.zeros((20, 18, 16), np.float32)
    array[5:15, 4:14, 3:12] = 100
    model = load(folder(tmp_path / "f", [constant([0.0, 9.0, 0.0])]))
    found = model.labels(Volume(array, Geometry(array.shape, AFFINE), "0" * 64))
    assert np.array_equal(found == 1, array > 0)


def test_folds_are_averaged_before_a_class_is_chosen(tmp_path):
    made = [constant([0.0, 5.0, 0.0]), constant([0.0, 0.0, 6.0])]
    assert (load(folder(tmp_path / "f", made)).labels(scan()) == 2).all()


def test_sums_fit_their_room_in_as_many_strips_as_it_takes(tmp_path, monkeypatch):
    taken = []
    zeros = torch.zeros

    def counted(*shape, **options):
        made = zeros(*shape, **options)
        taken.append(FLOAT_BYTES * made.numel())
        return made

    monkeypatch.setattr("segment.models.nnunet.sliding.torch.zeros", counted)
    model = load(folder(tmp_path / "f", [network()]))
    sliding = Sliding(model.networks, len(LABELS), model.plans.patch, model.mirrored)
    decided(sliding, prepare(scan(), model.plans), nobody, SMALL)
    strips = [sums + shares for sums, shares in zip(taken[::2], taken[1::2], strict=True)]
    assert len(strips) > 2
    assert max(strips) <= SMALL


def test_every_patch_is_told(tmp_path):
    told = []
    model = load(folder(tmp_path / "f", [network()]))
    model.labels(scan(), lambda done, of: told.append((done, of)))
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) > 4


def test_splines_that_need_everything_at_once_are_refused(tmp_path):
    model = load(folder(tmp_path / "f"))
    cubic = replace(model, plans=replace(model.plans, probabilities=Resampling(3, 0, None)))
    with pytest.raises(FolderError, match="expected probabilities resampled linearly"):
        cubic.labels(scan())


@pytest.fixture
def files(tmp_path):
    """Write a CT and a folder whose network calls everything a liver."""
    return write(tmp_path / "ct.nii.gz", ct()), folder(tmp_path / "f", [constant([0.0, 9.0, 0.0])])


def test_the_command_writes_labels_that_a_draft_takes(tmp_path, files, capsys):
    path, model = files
    output = tmp_path / "labels.nii.gz"
    assert main(["label", str(path), "--model", f"nnunet:{model}", "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert "its outlines were not checked" in said
    assert "2 of 2 labels are structures that a report states" in said
    drawn = read_labels(output)
    assert (drawn.labels == 1).all()
    assert [label.structure for label in drawn.table.labels] == ["liver", "kidney"]
    assert nibabel.load(output).get_data_dtype() == np.uint8
    wanted = ["--exam", "ct-organs", "--segmentation", str(output), "-o", str(tmp_path / "draft")]
    assert main(["draft", str(path), *wanted]) == 3  # it fills the field, so no volume is stated
    assert "reaches the edge" in (tmp_path / "draft" / "report.md").read_text()


@pytest.mark.parametrize(
    ("model", "output", "told"),
    [
        ("bundle:folder", "labels.nii.gz", "expected nnunet:FOLDER after --model"),
        ("nnunet:", "labels.nii.gz", "expected nnunet:FOLDER after --model"),
        ("nnunet:missing", "labels.nii.gz", "missing: expected fold_*/checkpoint_final.pth"),
        ("nnunet:missing", "labels.mha", "labels are written as NIfTI"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(tmp_path, files, capsys, model, output, told):
    path, _ = files
    assert main(["label", str(path), "--model", model, "-o", str(tmp_path / output)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not (tmp_path / output).exists()
