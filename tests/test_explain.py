"""What a network that is a formula looks at, what its volume hangs on, and where members differ."""

import re

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from assistant.cli import main
from assistant.cli.terminal import NOTHING_MEASURED, OK, REFUSED
from assistant.explained_views import explained_view, heated
from assistant.explaining import GRAD_CAM, OCCLUSION, WIDTH, Explained, boxes_of, explain
from segment import organs
from segment.infer import segment_crop
from segment.models.ensemble import Ensemble
from segment.models.explain import CUBE, grad_cam, occlusion
from segment.width import surface_of_mask, width_share
from tests.phantoms import (
    STRUCTURES,
    ThresholdSegmenter,
    ball,
    calibrated,
    grid,
    head,
    registered,
    segmentation_of,
)

ORGAN = organs.load("hippocampus")
WHOLE = ORGAN.structure("hippocampus")
RADIUS_MM = 9.0
PHANTOM = ball(grid(field_mm=50), RADIUS_MM)


class Bright(nn.Module):
    """Gives the front of what is bright to structure 1, its back to 2; pools before."""

    def __init__(self, shift=0.0):
        super().__init__()
        self.pool = nn.AvgPool3d(2)
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.logits = nn.Conv3d(1, 3, 1)
        with torch.no_grad():
            self.logits.weight.copy_(torch.tensor([-20.0, 20.0, 20.0])[:, None, None, None, None])
            self.logits.bias.copy_(torch.tensor([10.0, -10.0 + shift, -30.0]))

    def forward(self, windows):
        return self.logits(self.enlarge(self.pool(windows)))


def ensemble_of(*networks):
    temperature = np.ones(3, np.float32)
    seeds = tuple(range(len(networks)))
    return Ensemble("bright", STRUCTURES, networks, temperature, seeds, "b" * 64, "torch")


@pytest.fixture(scope="module")
def ensemble():
    return ensemble_of(Bright().eval(), Bright(-4.0).eval())


@pytest.fixture(scope="module")
def explained(ensemble):
    found = segment_crop(PHANTOM.volume, "left", ensemble)
    boxes = boxes_of(PHANTOM.volume, ORGAN, None, "left")
    (one,) = explain(PHANTOM.volume, [found], boxes, ORGAN, "hippocampus", ensemble)
    return one


def test_what_speaks_for_a_ball_is_the_ball(explained):
    seen = explained.maps[GRAD_CAM]
    assert seen.max() == pytest.approx(1, abs=0.02)
    inner = ball(PHANTOM.geometry, RADIUS_MM - 3).mask
    outer = ball(PHANTOM.geometry, RADIUS_MM + 4).mask
    assert seen[inner].min() > 0.8
    assert seen[~outer].max() < 0.2


def test_a_volume_falls_by_what_is_hidden_and_by_nothing_far_from_it(explained):
    fall = explained.maps[OCCLUSION]
    middle = tuple(n // 2 for n in fall.shape)
    assert 0 < fall[middle] <= CUBE**3 / 1000 * 1.01
    far = ~ball(PHANTOM.geometry, RADIUS_MM + 2 * CUBE).mask
    assert np.abs(fall[far]).max() < 0.01


def test_all_that_hiding_takes_is_about_the_volume(explained):
    taken = explained.maps[OCCLUSION].sum() / CUBE**3
    assert taken == pytest.approx(PHANTOM.volume_ml, rel=0.1)


def test_the_width_comes_from_the_surface_alone(explained):
    share = explained.maps[WIDTH]
    assert share.sum() == pytest.approx(1, abs=1e-4)
    inner = ball(PHANTOM.geometry, RADIUS_MM - 4).mask
    assert share[inner].max() == 0
    assert 0 < explained.half_of_width() <= 0.5


def test_members_that_agree_leave_no_width():
    segmentation = segmentation_of(ball(grid(field_mm=30), 8), members=3)
    share = width_share(segmentation, WHOLE.labels)
    assert share.max() == pytest.approx(0, abs=1e-6)


def test_a_place_where_one_member_says_no_holds_all_of_the_width():
    segmentation = segmentation_of(ball(grid(field_mm=30), 8), members=2)
    probability = segmentation.probability.copy()
    surface = np.argwhere(surface_of_mask(segmentation.labels > 0) & (segmentation.labels > 0))
    place = tuple(surface[0])
    probability[(1, slice(None), *place)] = (1, 0, 0)
    changed = type(segmentation)(probability, STRUCTURES, "left", segmentation.geometry, "test")
    assert width_share(changed, WHOLE.labels)[place] == pytest.approx(1, abs=1e-3)


def test_parts_that_change_places_are_no_width_of_the_whole():
    segmentation = segmentation_of(ball(grid(field_mm=30), 8), members=2)
    probability = segmentation.probability.copy()
    probability[1, [1, 2]] = probability[1, [2, 1]]
    changed = type(segmentation)(probability, STRUCTURES, "left", segmentation.geometry, "test")
    assert width_share(changed, WHOLE.labels).max() == 0
    assert width_share(
        changed, ORGAN.structure("hippocampus anterior").labels
    ).sum() == pytest.approx(1)


def test_nothing_drawn_is_nothing_to_explain(ensemble):
    dark = boxes_of(ball(grid(field_mm=50), 9).volume, ORGAN, None, "left")["left"][1]
    assert grad_cam(ensemble, dark, [2]).max() == 0
    assert np.abs(occlusion(ensemble, dark, [2])).max() < 1e-3


def test_networks_that_do_not_run_in_torch_have_no_gradients():
    compiled = ensemble_of(lambda windows: windows)
    box = boxes_of(PHANTOM.volume, ORGAN, None, "left")["left"][1]
    with pytest.raises(ValueError, match="expected networks in torch for gradients"):
        grad_cam(compiled, box, [1])


def test_looking_into_a_network_leaves_no_hook_behind(ensemble):
    box = boxes_of(PHANTOM.volume, ORGAN, None, "left")["left"][1]
    grad_cam(ensemble, box, [1])
    assert not any(module._forward_hooks for module in ensemble.networks[0].modules())


def test_the_box_of_a_right_side_is_the_mirrored_one():
    aside = ball(PHANTOM.geometry, 6, (9.0, 4.0, 0.0)).volume
    right, left = (boxes_of(aside, ORGAN, None, s)[s][1].array for s in ("right", "left"))
    assert np.array_equal(right, left[::-1])
    assert not np.array_equal(right, left)


def test_the_boxes_of_a_head_are_those_of_its_organ():
    scan = head(field_mm=110).volume
    boxes = boxes_of(scan, ORGAN, registered(), None)
    assert list(boxes) == ["left", "right"]
    assert all(box.array.max() > box.array.min() for _, box in boxes.values())


def test_heat_is_orange_cold_is_blue_and_nothing_is_grey():
    grey = np.full((1, 3, 3), 100, np.uint8)
    hot, none, cold = heated(grey, np.array([[1.0, 0.0, -1.0]], np.float32))[0].astype(int)
    assert hot[0] > hot[2] + 100
    assert none.tolist() == [100, 100, 100]
    assert cold[2] > cold[0] + 100


def test_a_picture_shows_three_maps_in_three_planes(explained):
    view = explained_view(PHANTOM.volume, explained)
    assert view.name == "why_hippocampus_left"
    assert view.rgb.shape[0] == pytest.approx(view.rgb.shape[1], rel=0.05)
    colourful = np.ptp(view.rgb.astype(int), axis=-1) > 60
    assert colourful.mean() > 0.01


@pytest.mark.parametrize("is_crop", [True, False])
def test_the_planes_of_a_crop_have_no_place_in_the_patient(explained, is_crop, monkeypatch):
    written = []
    monkeypatch.setattr(
        "assistant.views.write_text", lambda pen, at, text, **how: written.append(text)
    )
    explained_view(PHANTOM.volume, explained, is_crop=is_crop)
    assert ("sagittal" in written) is is_crop
    assert any(re.match(r"sagittal  [RL] ", text) for text in written) is not is_crop


def test_the_strongest_change_has_the_sign_of_the_volumes():
    segmentation = segmentation_of(ball(grid(field_mm=30), 8))
    falls = np.zeros((2, 2, 2), np.float32)
    falls[0, 0] = (0.1, -0.3)
    assert Explained("a", segmentation, {OCCLUSION: falls}).strongest_change_ml() == pytest.approx(
        0.3
    )


def test_half_of_the_width_lies_on_the_voxels_that_hold_most_of_it():
    shares = np.zeros((2, 2, 2), np.float32)
    shares[0, 0] = (0.6, 0.2)
    shares[1, 1] = (0.1, 0.1)
    maps = {OCCLUSION: shares, WIDTH: shares}
    segmentation = segmentation_of(ball(grid(field_mm=30), 8))
    assert Explained("a", segmentation, maps).half_of_width() == pytest.approx(0.25)


def scan_file(path, scan=PHANTOM.volume):
    image = nibabel.Nifti1Image(scan.array, scan.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return str(path)


def test_the_command_writes_maps_and_a_picture_beside_the_record(
    tmp_path, capsys, monkeypatch, ensemble
):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ensemble)
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    scan = scan_file(tmp_path / "crop.nii.gz")
    assert main(["explain", scan, "-o", str(tmp_path / "o"), "--crop", "--side", "left"]) == OK
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == [
        f"{GRAD_CAM}_left.nii.gz",
        f"{WIDTH}_left.nii.gz",
        f"{OCCLUSION}_left.nii.gz",
        "overlay_why_hippocampus_left.png",
    ]
    told = capsys.readouterr().out
    interval = r"m1 left hippocampus, volume: .*\(90% prediction interval .* mL\); changes by"
    assert re.search(interval, told)
    assert "; changes by -0." in told
    assert "half of the disagreement lies on" in told
    written = nibabel.load(tmp_path / "o" / f"{WIDTH}_left.nii.gz")
    assert np.allclose(written.affine, PHANTOM.geometry.affine)
    assert np.asarray(written.dataobj).sum() == pytest.approx(1, abs=1e-3)


def test_a_rule_has_no_network_to_look_into(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    scan = scan_file(tmp_path / "crop.nii.gz")
    options = ["-o", str(tmp_path / "o"), "--crop", "--side", "left"]
    assert main(["explain", scan, *options]) == REFUSED
    assert "expected an ensemble of networks to look into" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--structure", "amygdala"), "hippocampus posterior), found 'amygdala'; choose one"),
        (("--effort", "temperature"), "expected the effort ensemble, which has the intervals"),
        (("--effort", "augmentation"), "found augmentation; leave --effort out"),
        (("--exam", "ms-lesions"), "exam ms-lesions: expected one whose networks draw"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_read(
    options, told, tmp_path, capsys, monkeypatch, ensemble
):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ensemble)
    asked = [str(tmp_path / "none.nii.gz"), "-o", str(tmp_path / "o"), *options]
    assert main(["explain", *asked]) == REFUSED
    assert told in capsys.readouterr().err


def test_a_head_of_another_sequence_is_explained_no_more_than_it_is_measured(
    tmp_path, capsys, monkeypatch, ensemble
):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ensemble)
    monkeypatch.setattr("segment.register.register", lambda volume: registered())
    asked = [
        scan_file(tmp_path / "head_T2w.nii.gz", head(field_mm=170).volume),
        "-o",
        str(tmp_path / "o"),
    ]
    assert main(["explain", *asked]) == REFUSED
    assert "T2" in capsys.readouterr().err


def test_sides_that_were_not_found_are_named_with_their_reason(
    tmp_path, capsys, monkeypatch, ensemble
):
    monkeypatch.setattr("segment.models.load", lambda name, *given: ensemble)
    monkeypatch.setattr("segment.register.register", lambda volume: registered(similarity=0.0))
    asked = [
        scan_file(tmp_path / "head_T1w.nii.gz", head(field_mm=170).volume),
        "-o",
        str(tmp_path / "o"),
    ]
    assert main(["explain", *asked]) == NOTHING_MEASURED
    assert "m1 left hippocampus: not assessed (" in capsys.readouterr().out
