"""A folder in nnU-Net's layout predicts as its plans say, and runs nothing that is not trusted.

Against nnunetv2 itself it is compared by ``tests/benchmarks/nnunet_folder.py``.
"""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant import Assistant, Settings, read_study
from assistant.cli import main
from assistant.verify import verify_report
from segment.geometry import Geometry
from segment.measurement import Reason, Reliability
from segment.models import is_own, load_own
from segment.models.brought import FolderError
from segment.models.nnunet import load
from segment.models.nnunet.network import UNet
from segment.models.nnunet.plans import Architecture, Resampling, read_plans
from segment.models.nnunet.prepare import prepare, resampled
from segment.models.nnunet.sliding import gaussian, steps
from segment.volume import Volume
from tests.supplied import AFFINE, ct, write_pair
from tests.toy_nnunet import LABELS, folder, network, plans, weights_of

CUBIC = Resampling(3, 0, None)


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep threads from waiting for one another in networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def volume(affine=AFFINE, array=None):
    """Return a scan in memory."""
    array = ct().astype(np.float32) if array is None else array
    return Volume(array, Geometry(array.shape, affine), "0" * 64)


def constant(bias):
    """Return a network that answers the same everywhere."""
    made = network()
    with torch.no_grad():
        for layer in made.decoder.seg_layers:
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor(bias))
    return made


def test_a_constant_network_gives_the_softmax_of_its_biases(tmp_path):
    found = load(folder(tmp_path / "f", [constant([0.0, 1.0, 2.0])]))(volume())
    expected = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    assert found.structures == tuple(LABELS)
    assert found.probability.shape == (1, 3, *ct().shape)
    assert np.allclose(found.probability[0].reshape(3, -1).T, expected, atol=1e-5)


def test_every_fold_is_a_member(tmp_path):
    made = [constant([0.0, 9.0, 0.0]), constant([0.0, 0.0, 9.0])]
    found = load(folder(tmp_path / "f", made))(volume())
    assert found.probability[0, 1].min() > 0.9
    assert found.probability[1, 2].min() > 0.9


def test_what_is_zero_around_a_scan_is_background(tmp_path):
    array = np.zeros((20, 18, 16), np.float32)
    array[5:15, 4:14, 3:12] = 100
    found = load(folder(tmp_path / "f", [constant([0.0, 9.0, 0.0])]))(volume(array=array))
    assert np.array_equal(found.labels == 1, array > 0)


@pytest.mark.parametrize("is_residual", [False, True])
def test_weights_are_found_under_the_names_of_a_checkpoint(tmp_path, is_residual):
    made = network(3, is_residual=is_residual)
    kind = "ResidualEncoderUNet" if is_residual else "PlainConvUNet"
    loaded = load(folder(tmp_path / "f", [made], plans(kind))).networks[0]
    patch = torch.randn(1, 1, 8, 12, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(patch), made.eval()(patch))


@pytest.mark.slow
def test_the_plain_network_is_that_of_monai_with_the_same_weights():
    from monai.networks.nets import DynUNet

    cubes, twos = ((3, 3, 3),) * 3, (2, 2, 2)
    strides = ((1, 1, 1), twos, twos)
    plan = Architecture(False, (4, 6, 8), cubes, strides, (2, 2, 2), (2, 2), has_bias=False)
    ours = UNet(plan, 3).eval()
    options = {"filters": [4, 6, 8], "norm_name": ("instance", {"affine": True})}
    theirs = DynUNet(3, 1, 3, [3, 3, 3], [1, 2, 2], [2, 2], **options).eval()
    downs = [theirs.input_block, *theirs.downsamples, theirs.bottleneck]
    stages = [stage[0] for stage in ours.encoder.stages]
    pairs = list(zip(stages, downs, strict=True))
    pairs += zip(ours.decoder.stages, (up.conv_block for up in theirs.upsamples), strict=True)
    with torch.no_grad():
        for mine, other in pairs:
            for one, conv, norm in zip(
                mine.convs, (other.conv1, other.conv2), (other.norm1, other.norm2), strict=True
            ):
                conv.conv.weight.copy_(one.conv.weight)
                norm.load_state_dict(one.norm.state_dict())
        for mine, other in zip(ours.decoder.transpconvs, theirs.upsamples, strict=True):
            other.transp_conv.conv.weight.copy_(mine.weight)
        theirs.output_block.conv.conv.load_state_dict(ours.decoder.seg_layers[-1].state_dict())
        patch = torch.randn(1, 1, 16, 16, 16)
        assert torch.allclose(ours(patch), theirs(patch), atol=1e-4)


@pytest.mark.parametrize(
    ("length", "patch", "expected"),
    [(110, 64, [0, 23, 46]), (64, 64, [0]), (65, 64, [0, 1]), (100, 40, [0, 20, 40, 60])],
)
def test_patches_lie_evenly_and_overlap_by_half(length, patch, expected):
    assert steps(length, patch) == expected


def test_the_weight_of_a_patch_is_one_in_its_middle_and_never_zero():
    weight = gaussian((8, 64, 200))
    assert weight.max() == weight[4, 32, 100] == 1
    assert weight.min() > 0


def test_a_patch_is_seen_from_every_mirrored_side(tmp_path):
    made = load(folder(tmp_path / "f", [network(5)]))
    patch = torch.randn(8, 12, 16)
    with torch.inference_mode():
        straight = made._sliding(*made.networks)._seen(patch)
        turned = made._sliding(*made.networks)._seen(patch.flip(1)).flip(2)
    assert torch.allclose(straight, turned, atol=1e-4)


def test_a_ct_is_scaled_by_the_trainings_own_values(tmp_path):
    ready = prepare(volume(), read_plans(folder(tmp_path / "f"), "3d_fullres"))
    expected = (np.clip(ct(), -500, 300) - 20) / 100
    assert np.allclose(ready.image, expected.T, atol=1e-6)


@pytest.mark.parametrize("is_masked", [False, True])
def test_another_scan_is_scaled_by_its_own_values(tmp_path, is_masked):
    array = np.random.default_rng(0).normal(5, 2, (20, 18, 16)).astype(np.float32)
    array[0:2, 0, 0] = 0
    table = plans(normalization_schemes=["ZScoreNormalization"], use_mask_for_norm=[is_masked])
    ready = prepare(
        volume(array=array), read_plans(folder(tmp_path / "f", table=table), "3d_fullres")
    )
    kept = array[array != 0] if is_masked else array
    expected = (array[5, 5, 5] - kept.mean()) / kept.std()
    assert ready.image[5, 5, 5] == pytest.approx(expected, abs=1e-4)


def test_a_scan_is_brought_to_the_spacing_of_the_plans_and_back(tmp_path):
    table = plans(spacing=[6.0, 4.0, 2.0])
    made = load(folder(tmp_path / "f", [constant([0.0, 9.0, 0.0])], table))
    ready = prepare(volume(), made.plans)
    assert ready.image.shape == (8, 9, 20)
    assert (made(volume()).labels == 1).all()


def test_thick_slices_are_resampled_within_themselves_first():
    data = np.zeros((1, 4, 6, 6), np.float32)
    data[0, 2] = 1
    found = resampled(data, (8, 12, 12), (12.0, 2.0, 2.0), (6.0, 1.0, 1.0), CUBIC)
    assert set(np.unique(found.round(6))) == {0.0, 1.0}
    assert np.array_equal(np.flatnonzero(found[0, :, 0, 0] > 0.5), [4, 5])


@pytest.mark.parametrize("forward", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_whatever_the_order_of_axes_labels_return_to_their_voxels(tmp_path, forward):
    table = plans(patch_size=[20, 20, 20], spacing=[2.0, 2.0, 2.0]) | {"transpose_forward": forward}
    array = np.zeros((20, 18, 16), np.float32)
    array[5:15, 4:14, 3:12] = 100
    found = load(folder(tmp_path / "f", [constant([0.0, 9.0, 0.0])], table))(volume(array=array))
    assert np.array_equal(found.labels == 1, array > 0)


def test_a_reader_that_turns_scans_gives_the_same_voxels_in_whatever_order(tmp_path):
    table = plans() | {"image_reader_writer": "NibabelIOWithReorient"}
    made = load(folder(tmp_path / "f", [network(2)], table))
    array = np.random.default_rng(1).normal(0, 90, (20, 18, 16)).astype(np.float32)
    flipped = np.ascontiguousarray(array[::-1].transpose(1, 0, 2))
    affine = AFFINE[:, [1, 0, 2, 3]].copy()
    affine[:, 1] *= -1
    affine[:3, 3] = AFFINE[:3, :3] @ [19, 0, 0]
    there = made(volume(affine, flipped)).probability[0]
    here = made(volume(array=array)).probability[0]
    assert np.allclose(there.transpose(0, 2, 1, 3)[:, ::-1], here, atol=1e-4)


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (print, ("run",))


def test_a_checkpoint_that_holds_more_than_numbers_is_not_run(tmp_path, capsys):
    path = folder(tmp_path / "f", extra=Evil())
    with pytest.raises(FolderError, match=r"expected a checkpoint of numbers.*add --trust"):
        load(path)
    assert capsys.readouterr().out == ""


def test_a_trusted_checkpoint_is_read_whole(tmp_path, capsys):
    load(folder(tmp_path / "f", extra=Evil()), is_trusted=True)
    assert capsys.readouterr().out == "run\n"


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (plans("PrimusM"), "expected PlainConvUNet or ResidualEncoderUNet"),
        (plans(patch_size=[12, 16]), "expected a 3-D configuration"),
        (plans(previous_stage="3d_lowres"), "expected one network, found a cascade"),
        (plans(normalization_schemes=["RGBTo01Normalization"]), "for normalization_schemes"),
        (plans(resampling_fn_data="other"), "for resampling_fn_data, found other"),
        (plans() | {"image_reader_writer": "Tiff3DIO"}, "for image_reader_writer, found Tiff3DIO"),
        (plans() | {"configurations": {}}, "expected the plans of nnU-Net v2"),
        ([], "expected a table in plans.json"),
    ],
)
def test_plans_that_are_not_followed_here_are_refused(tmp_path, table, match):
    with pytest.raises(FolderError, match=match) as caught:
        load(folder(tmp_path / "f", table=table))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "match"),
    [
        ({"channel_names": {"0": "CT", "1": "PT"}, "labels": LABELS}, "one of 2"),
        ({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": [1, 2]}}, "regions"),
        ({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 2}}, "without a gap"),
    ],
)
def test_data_sets_that_are_not_followed_here_are_refused(tmp_path, dataset, match):
    with pytest.raises(FolderError, match=match):
        load(folder(tmp_path / "f", dataset=dataset))


def test_a_label_to_ignore_has_no_channel(tmp_path):
    dataset = {"channel_names": {"0": "CT"}, "labels": {**LABELS, "ignore": 3}}
    assert load(folder(tmp_path / "f", dataset=dataset)).plans.labels == tuple(LABELS)


def test_a_folder_without_folds_is_refused(tmp_path):
    with pytest.raises(FolderError, match=r"expected fold_.*found none"):
        load(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    made = network(is_residual=True)
    with pytest.raises(FolderError, match="expected the weights of its plans"):
        load(folder(tmp_path / "f", network_weights=weights_of(made)))


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04broken"])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    path = folder(tmp_path / "f")
    (path / "fold_0" / "checkpoint_final.pth").write_bytes(content)
    with pytest.raises(FolderError, match=r"found (a damaged one|other objects)"):
        load(path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = folder(tmp_path / "f")
    torch.save({"weights": {}}, path / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(FolderError, match="expected a checkpoint of nnU-Net v2"):
        load(path)


def test_probabilities_that_take_too_much_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("segment.models.nnunet.predict.LARGEST_BYTES", 1000)
    with pytest.raises(FolderError, match="write its labels with `voxcite label`"):
        load(folder(tmp_path / "f"))(volume())


def test_a_folder_is_named_by_its_kind():
    assert is_own("nnunet:somewhere")
    assert not is_own("google/medgemma-4b-it")
    assert not is_own("C:folder")


def drafted(tmp_path, bias, array=None):
    """Report on a scan by a constant network."""
    path = folder(tmp_path / "f", [constant(bias), constant(bias)])
    study = read_study(write_pair(tmp_path)[0])
    if array is not None:
        study = replace(study, volume=replace(study.volume, array=array))
    settings = Settings(exam="ct-organs", segmenter=f"nnunet:{path}")
    return Assistant.from_settings(settings)(study)


def test_a_report_by_the_users_networks_holds_and_has_no_interval(tmp_path):
    array = np.zeros((20, 18, 16), np.float32)
    array[5:15, 4:14, 3:12] = 100
    report = drafted(tmp_path, [0.0, 9.0, 0.0], array)
    liver = report.measurements[0]
    assert (liver.structure, liver.voxels) == ("liver", 10 * 10 * 9)
    assert liver.reliability is Reliability.WITHOUT_INTERVAL
    assert verify_report(report.to_json()) == ()
    assert "neural networks that the user supplied" in report.markdown()
    assert report.provenance["segmenter"] == "nnU-Net f"
    assert str(tmp_path) not in json.dumps(report.to_json())


def test_what_a_network_draws_to_the_edge_is_truncated_and_what_it_lacks_is_not_assessed(tmp_path):
    report = drafted(tmp_path, [0.0, 9.0, 0.0])
    reasons = {(m.structure, m.side): m.reason for m in report.measurements[:14]}
    assert reasons["liver", "none"] is Reason.TRUNCATED
    assert reasons["kidney", "left"] is Reason.NO_VOXELS
    assert reasons["kidney", "right"] is Reason.NOT_LABELLED


def test_a_folder_is_for_an_exam_that_draws_nothing_itself(tmp_path):
    with pytest.raises(ValueError, match="choose --exam ct-organs"):
        Assistant.from_settings(Settings(segmenter=f"nnunet:{tmp_path}"))


def test_the_command_takes_a_folder(tmp_path, capsys):
    scan, mask = write_pair(tmp_path)
    path = folder(tmp_path / "f", [constant([0.0, 9.0, 0.0])])
    chosen = ["draft", str(scan), "--exam", "ct-organs", "--model", f"nnunet:{path}"]
    assert main([*chosen, "-o", str(tmp_path / "out")]) == 3  # all of it reaches the edge
    assert "truncated" in (tmp_path / "out" / "report.json").read_text()
    assert main([*chosen, "--segmentation", str(mask), "-o", str(tmp_path / "o")]) == 2
    assert "found both" in capsys.readouterr().err


def test_a_loaded_folder_names_its_weights(tmp_path):
    made = load_own(f"nnunet:{folder(tmp_path / 'f')}")
    assert len(made.weights_sha256) == 64
    assert math.isfinite(float(made(volume()).probability.sum()))
