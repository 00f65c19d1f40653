"""Pictures become tokens of the language model, and show the right place the right way round."""

import numpy as np
import pytest
import torch

from assistant.views import planes
from assistant.writers.vlm.errors import ModelError
from assistant.writers.vlm.pictures import CLOSE_MM, HEAD_MM, Pictures, grid, pick, view, windowed
from assistant.writers.vlm.projector import build_projector, check_tokens
from segment.resample import sample
from segment.segmentation import Segmentation
from segment.volume import Volume
from tests import phantoms
from tests.phantoms import ellipsoid, segmentation_of, world_of

CENTRE_MM = (-25.0, -20.0, -10.0)
PX = 48  # one millimetre each, so that pixels count millimetres
GRIDS = {
    "plain": phantoms.grid(field_mm=60, centre_mm=CENTRE_MM),
    "reordered": phantoms.grid(field_mm=60, centre_mm=CENTRE_MM, axes="PSL"),
    "anisotropic": phantoms.grid((0.8, 1.6, 1.0), field_mm=60, centre_mm=CENTRE_MM, axes="LIA"),
    "oblique": phantoms.grid(
        (1, 1, 1.4), field_mm=90, centre_mm=CENTRE_MM, rotation_deg=(12, -20, 35)
    ),
    "sheared": phantoms.grid((1, 1, 1.5), field_mm=90, centre_mm=CENTRE_MM, shear=0.3),
}
every_grid = pytest.mark.parametrize("name", GRIDS)


def config(tokens=16, image_px=192):
    from transformers import Gemma3Config

    vision = {"hidden_size": 24, "num_attention_heads": 2, "image_size": image_px, "patch_size": 16}
    text = {"hidden_size": 40, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 9}
    return Gemma3Config(
        text_config=text,
        vision_config=vision | {"model_type": "siglip_vision_model"},
        mm_tokens_per_image=tokens,
    )


def segmented(name="plain", semi_axes_mm=(6, 14, 5)):
    phantom = ellipsoid(GRIDS[name], semi_axes_mm, CENTRE_MM)
    return phantom.volume, segmentation_of(phantom)


def gradient(geometry, axis):
    array = np.ascontiguousarray(world_of(geometry)[..., axis], dtype=np.float32)
    return Volume(array, geometry, sha256="gradient")


def projector(rms=1.0):
    return build_projector(config(), rms, torch.Generator().manual_seed(0))


def test_twelve_by_twelve_patches_become_sixteen_tokens():
    assert projector()(torch.randn(2, 144, 24)).shape == (2, 16, 40)


def test_each_token_is_the_average_of_three_by_three_patches_normalised_and_multiplied():
    built = projector()
    patches = torch.randn(1, 144, 24)
    block = patches.reshape(12, 12, 24)[3:6, 9:12].mean(dim=(0, 1))
    expected = block / block.pow(2).mean().add(1e-6).sqrt() @ built.mm_input_projection_weight
    torch.testing.assert_close(built(patches)[0, 1 * 4 + 3], expected)


def test_fresh_features_are_as_large_as_asked():
    features = projector(rms=0.7)(torch.randn(8, 144, 24))
    assert features.pow(2).mean().sqrt().item() == pytest.approx(0.7, rel=0.15)


def test_the_same_generator_gives_the_same_projector():
    first, second = projector(), projector()
    assert torch.equal(first.mm_input_projection_weight, second.mm_input_projection_weight)


@pytest.mark.parametrize("tokens", [0, 15, 25])
def test_tokens_that_do_not_divide_the_patches_are_refused(tokens):
    with pytest.raises(ModelError, match=f"12 x 12 patches evenly, found {tokens}"):
        check_tokens(config(tokens))


def test_a_head_is_shown_before_its_structures_each_in_three_planes():
    volume, found = segmented()
    pictures = pick(volume, {"left hippocampus": found}, "head", image_px=PX)
    assert pictures.pixels.shape == (6, PX, PX)
    assert pictures.captions == (
        "head, axial",
        "head, coronal",
        "head, sagittal",
        "left hippocampus, axial",
        "left hippocampus, coronal",
        "left hippocampus, sagittal",
    )


def test_a_crop_shows_its_structure_and_no_head():
    volume, found = segmented()
    captions = pick(volume, {"left hippocampus": found}, "crop", image_px=PX).captions
    assert [caption.partition(",")[0] for caption in captions] == ["left hippocampus"] * 3


def test_a_crop_in_which_nothing_was_measured_is_shown_through_its_middle():
    volume, _ = segmented()
    pictures = pick(volume, {}, "crop", image_px=PX)
    assert pictures.captions[0] == "crop, axial"
    assert pictures.pixels.max() == 1.0


def test_a_structure_in_which_nothing_was_segmented_is_shown_at_the_middle_of_its_box():
    volume, found = segmented()
    nothing = np.zeros_like(found.probability)
    nothing[:, 0] = 1
    empty = Segmentation(nothing, found.structures, "left", found.geometry, "phantom")
    assert len(pick(volume, {"left hippocampus": empty}, "head", image_px=PX).captions) == 6


@every_grid
def test_a_body_lies_in_the_middle_of_its_close_views_on_any_grid(name):
    volume, found = segmented(name)
    close = pick(volume, {"left hippocampus": found}, "crop", image_px=PX).pixels
    rows, columns = np.indices((PX, PX))
    for picture in close > 0.5:
        assert rows[picture].mean() == pytest.approx((PX - 1) / 2, abs=0.6)
        assert columns[picture].mean() == pytest.approx((PX - 1) / 2, abs=0.6)


@every_grid
def test_a_body_has_its_true_size_in_each_plane_on_any_grid(name):
    volume, _ = segmented(name)
    grids = [grid(plane, CLOSE_MM, PX) for plane in planes(np.array(CENTRE_MM), "radiological")]
    halfway = (phantoms.INSIDE + phantoms.OUTSIDE) / 2
    areas_px = [(sample(volume, each)[0] > halfway).sum() for each in grids]
    expected_mm2 = np.pi * np.array([6 * 14, 6 * 5, 14 * 5])
    np.testing.assert_allclose(np.array(areas_px) * (CLOSE_MM / PX) ** 2, expected_mm2, rtol=0.1)


@every_grid
@pytest.mark.parametrize(
    ("plane", "axis", "step"),
    [
        (0, 0, (0, -1)),  # axial: x grows to the picture's left, so that right is on the left
        (0, 1, (-1, 0)),  # axial: the front is above
        (1, 0, (0, -1)),
        (1, 2, (-1, 0)),  # coronal: the head is above
        (2, 1, (0, -1)),  # sagittal: the front is on the left
        (2, 2, (-1, 0)),
    ],
)
def test_every_view_follows_the_radiological_convention(name, plane, axis, step):
    three = planes(np.array(CENTRE_MM), "radiological")
    picture = view(gradient(GRIDS[name], axis), three[plane : plane + 1], 20.0, 20)[0]
    inner = picture[5:15, 5:15].astype(np.float64)
    rises = np.array([np.diff(inner, axis=0).mean(), np.diff(inner, axis=1).mean()])
    np.testing.assert_allclose(rises / np.abs(rises).max(), step, atol=0.02)


def test_the_grid_of_a_picture_has_the_planes_point_in_its_middle():
    for plane in planes(np.array(CENTRE_MM), "radiological"):
        np.testing.assert_allclose(grid(plane, HEAD_MM, 192).centre_mm, CENTRE_MM)
        np.testing.assert_allclose(grid(plane, HEAD_MM, 192).spacing_mm, HEAD_MM / 192)


def test_what_lies_outside_the_scan_is_black():
    values = np.full((1, 2, 2), 5.0, np.float32)
    inside = np.array([[[True, False], [True, True]]])
    assert windowed(values, inside)[0, 0, 1] == 0
    assert not windowed(values, np.zeros_like(inside)).any()


def test_grey_is_the_same_whatever_the_units_of_the_scan():
    volume, found = segmented()
    brighter = Volume(volume.array * 40 + 7, volume.geometry, sha256="brighter")
    seen = [pick(v, {"left": found}, "crop", image_px=PX).pixels for v in (volume, brighter)]
    np.testing.assert_allclose(*seen, atol=1e-4)


def test_no_caption_holds_a_digit():
    volume, found = segmented()
    captions = pick(volume, {"left hippocampus": found}, "head", image_px=PX).captions
    assert not any(letter.isnumeric() for caption in captions for letter in caption)


def test_pictures_without_their_captions_are_refused():
    with pytest.raises(ValueError, match="1 pictures have 0 captions"):
        Pictures(np.zeros((1, 2, 2), np.float32), ())
