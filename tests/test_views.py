"""A picture shows what is where: sides, outlines, scale, marks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from assistant.views import (
    COLOURS,
    ENGLISH,
    FIELD_MM,
    PIXEL_MM,
    View,
    centre_of,
    outlines,
    overlays,
    planes,
    sample,
    write_png,
)
from segment.segmentation import Segmentation
from segment.volume import Volume
from tests.phantoms import ball, ellipsoid, grid, segmentation_of, world_of

CENTRE_MM = (-25.0, -20.0, -10.0)
GRIDS = {
    "plain": grid(field_mm=60, centre_mm=CENTRE_MM),
    "reordered": grid(field_mm=60, centre_mm=CENTRE_MM, axes="PSL"),
    "anisotropic": grid((0.8, 1.6, 1.0), field_mm=60, centre_mm=CENTRE_MM, axes="LIA"),
    "oblique": grid((1, 1, 1.4), field_mm=70, centre_mm=CENTRE_MM, rotation_deg=(12, -20, 35)),
    "sheared": grid((1, 1, 1.5), field_mm=70, centre_mm=CENTRE_MM, shear=0.3),
}
every_grid = pytest.mark.parametrize("name", GRIDS)


def segmented(name="plain", side="left"):
    phantom = ellipsoid(GRIDS[name], (6, 14, 5), CENTRE_MM)
    return phantom.volume, segmentation_of(phantom, side, divide_y_mm=CENTRE_MM[1] + 2.3)


@pytest.fixture(scope="module")
def english():
    """The picture that most tests look at."""
    scan, segmentation = segmented()
    return overlays(scan, [segmentation])[0]


def gradient(geometry, axis):
    """A scan that brightens along one world axis."""
    array = np.ascontiguousarray(world_of(geometry)[..., axis], dtype=np.float32)
    return Volume(array, geometry, sha256="gradient")


@every_grid
@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_outline_lies_on_the_surface_of_the_body(name, number):
    _, segmentation = segmented(name)
    plane = planes(np.array(CENTRE_MM), "radiological")[number]
    lines = [line for each in outlines(segmentation, plane).values() for line in each]
    pixels = np.concatenate(lines)
    offsets = (pixels - (plane.side_px - 1) / 2) * PIXEL_MM
    points = offsets[:, :1] * np.array(plane.down) + offsets[:, 1:] * np.array(plane.right)
    radius = np.linalg.norm(points / np.array([6, 14, 5]), axis=1)
    on_divide = np.abs(points[:, 1] - 2.3) < 1.6
    assert len(lines) >= 1
    assert np.abs(radius[~on_divide] - 1).max() < 0.25


@every_grid
def test_anterior_is_outlined_in_front_of_posterior(name):
    _, segmentation = segmented(name)
    sagittal = planes(centre_of(segmentation), "radiological")[2]
    traced = outlines(segmentation, sagittal)
    anterior = np.concatenate(traced["hippocampus anterior"])[:, 1].mean()
    posterior = np.concatenate(traced["hippocampus posterior"])[:, 1].mean()
    assert anterior < posterior, "the front is on the left of a sagittal picture"


@every_grid
@pytest.mark.parametrize(("convention", "sign"), [("radiological", -1), ("neurological", 1)])
@pytest.mark.parametrize("number", [0, 1], ids=["axial", "coronal"])
def test_the_patients_right_is_where_the_convention_puts_it(name, convention, sign, number):
    scan = gradient(GRIDS[name], axis=0)
    plane = planes(np.array(CENTRE_MM), convention)[number]
    panel = sample(scan.array, scan.geometry, plane, outside=np.nan)
    middle = panel[plane.side_px // 2, 120:240]
    assert np.allclose(np.diff(middle), sign * PIXEL_MM, atol=1e-3)


@every_grid
@pytest.mark.parametrize(("axis", "number"), [(1, 0), (2, 1), (2, 2)])
def test_front_and_head_are_up(name, axis, number):
    scan = gradient(GRIDS[name], axis)
    plane = planes(np.array(CENTRE_MM), "radiological")[number]
    panel = sample(scan.array, scan.geometry, plane, outside=np.nan)
    middle = panel[120:240, plane.side_px // 2]
    assert np.allclose(np.diff(middle), -PIXEL_MM, atol=1e-3)


def test_a_plane_on_the_border_between_two_structures_shows_one_of_them():
    geometry = grid(field_mm=40)
    segmentation = segmentation_of(ball(geometry, 8), divide_y_mm=0.0)
    coronal = planes(np.zeros(3), "radiological")[1]
    traced = outlines(segmentation, coronal)
    assert len(traced["hippocampus anterior"]) == 1
    assert not traced["hippocampus posterior"]


def test_letters_follow_the_convention():
    radiological = {p.name: p.letters for p in planes(np.zeros(3), "radiological")}
    neurological = {p.name: p.letters for p in planes(np.zeros(3), "neurological")}
    assert radiological["axial"] == ("R", "L", "A", "P")
    assert neurological["axial"] == ("L", "R", "A", "P")
    assert radiological["coronal"] == ("R", "L", "S", "I")
    assert neurological["coronal"] == ("L", "R", "S", "I")
    assert radiological["sagittal"] == neurological["sagittal"] == ("A", "P", "S", "I")


def test_a_plane_says_where_it_lies():
    at = {p.name: p.position for p in planes(np.array(CENTRE_MM), "radiological")}
    assert at == {"axial": "I 10.0 mm", "coronal": "P 20.0 mm", "sagittal": "L 25.0 mm"}


def test_the_field_never_reaches_the_face():
    plane = planes(np.zeros(3), "radiological")[0]
    assert plane.side_px * PIXEL_MM == FIELD_MM == 90
    corner = plane.pixel_to_world @ np.array([0, 0, 0, 1.0])
    assert np.abs(corner[:3]).max() < FIELD_MM / 2


def test_a_picture_holds_both_colours_below_and_none_above(english):
    above, below = np.array_split(english.rgb[35:-45], 2)
    for colour in COLOURS[:2]:
        assert (below == colour).all(axis=-1).sum() > 100
        assert not (above == colour).all(axis=-1).any()


def test_outside_the_scan_is_black(english):
    assert (english.rgb[60:100, 40:80] == 0).all()


def test_each_segmentation_has_a_picture_named_after_its_side():
    scan, left = segmented()
    _, right = segmented(side="right")
    names = [view.name for view in overlays(scan, [left, right])]
    assert names == ["hippocampus_left", "hippocampus_right"]


def test_a_caption_knows_side_convention_and_place():
    scan, segmentation = segmented()
    (view,) = overlays(scan, [segmentation], "neurological")
    assert view.facts["side"] == "left"
    assert view.facts["convention"] == "neurological"
    assert [float(v) for v in view.facts["centre_mm"].split(",")] == pytest.approx(
        CENTRE_MM, abs=0.3
    )
    json.dumps(dict(view.facts))


def test_nothing_segmented_is_drawn_and_said():
    phantom = ball(GRIDS["plain"], 0.1, centre_mm=(100, 100, 100))
    segmentation = segmentation_of(phantom, divide_y_mm=0.0)
    (view,) = overlays(phantom.volume, [segmentation])
    assert view.facts["is_empty"] == "true"
    assert not (view.rgb == COLOURS[0]).all(axis=-1).any()
    assert centre_of(segmentation) == pytest.approx(np.array(CENTRE_MM))


def test_planes_go_through_the_largest_of_several_pieces():
    geometry = GRIDS["plain"]
    large, small = ball(geometry, 6, CENTRE_MM), ball(geometry, 3, np.add(CENTRE_MM, (15, 0, 0)))
    both = segmentation_of(replace(large, mask=large.mask | small.mask))
    assert centre_of(both) == pytest.approx(np.array(CENTRE_MM), abs=0.2)


def test_a_constant_scan_is_drawn_without_a_warning():
    scan, segmentation = segmented()
    flat = Volume(np.ones_like(scan.array), scan.geometry, sha256="flat")
    assert overlays(flat, [segmentation])[0].rgb.shape[2] == 3


def test_a_segmentation_outside_the_scan_is_drawn_on_black():
    _, segmentation = segmented()
    far = ball(grid(field_mm=20, centre_mm=(500, 500, 500)), 5).volume
    assert overlays(far, [segmentation])[0].facts["is_empty"] == "false"


def test_other_words_change_the_picture(english):
    scan, segmentation = segmented()
    noted = overlays(scan, [segmentation], labels={"note": "a phantom, no person"})[0].rgb
    assert not np.array_equal(english.rgb, noted)


def test_words_without_glyphs_stay_english(english):
    scan, segmentation = segmented()
    chinese = overlays(scan, [segmentation], labels={"axial": "横断面", "left": "左侧"})[0].rgb
    assert np.array_equal(english.rgb, chinese)


def test_the_draft_mark_stands_in_every_picture(english):
    scan, segmentation = segmented()
    unmarked = overlays(scan, [segmentation], labels={"draft": " "})[0].rgb
    assert ENGLISH["draft"].startswith("DRAFT")
    assert (english.rgb[:30, -250:] != unmarked[:30, -250:]).any()


def test_the_scale_bar_is_ten_millimetres_long(english):
    panel = english.rgb[35 : 35 + 360, 10 : 10 + 360]
    bar = (panel[360 - 12, 300:] == 255).all(axis=-1)
    assert bar.sum() == round(10 / PIXEL_MM)


def test_one_structure_gives_one_outline_and_its_own_name():
    phantom = ball(GRIDS["plain"], 8, CENTRE_MM)
    inside = phantom.mask.astype(np.float32)
    segmentation = Segmentation(
        np.stack([1 - inside, inside])[None],
        ("background", "spleen"),
        "none",
        phantom.geometry,
        "phantom",
    )
    (view,) = overlays(phantom.volume, [segmentation])
    assert view.name == "spleen"
    assert not (view.rgb == COLOURS[1]).all(axis=-1).any()


def test_a_written_picture_reads_back_the_same(tmp_path):
    view = View("hippocampus_left", np.full((4, 5, 3), 7, dtype=np.uint8), {})
    path = write_png(view, tmp_path)
    assert path.name == "overlay_hippocampus_left.png"
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), view.rgb)
        assert image.info == {}


def test_the_same_input_gives_the_same_picture():
    scan, segmentation = segmented("oblique")
    first, second = (overlays(scan, [segmentation])[0].rgb for _ in range(2))
    assert np.array_equal(first, second)
