"""Each control of the viewer changes what the viewer itself says of its state."""

import numpy as np
import pytest
from PIL import Image

from tests.browser.rounds import coarse_sample, crosshair

pytestmark = pytest.mark.slow
MOVED_MM = np.array([12.0, -8.0, 5.0])
NV = "window.voxcite.viewer"


def choose(page, value):
    page.locator(f'button[data-value="{value}"]').click()


def slide(page, name, value):
    page.locator(f"#vx-{name}").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def window(page):
    return page.evaluate(f"[{NV}.volumes[0].cal_min, {NV}.volumes[0].cal_max]")


def test_one_plane_three_planes_and_the_surfaces_are_shown(viewed):
    kinds = {"Axial": 0, "Coronal": 1, "Sagittal": 2, "Render": 4, "Multiplanar": 3}
    found = {}
    for name in kinds:
        choose(viewed, name)
        found[name] = viewed.evaluate(f"{NV}.opts.sliceType")
    assert found == kinds
    choose(viewed, "Render")
    opacities = f"{NV}.volumes.map((volume) => volume.opacity)"
    assert viewed.evaluate(opacities) == [0, 0, 0, 0]  # the head would hide them
    assert viewed.evaluate(f"{NV}.meshes.map((mesh) => mesh.pts.length > 300)") == [True, True]
    choose(viewed, "Multiplanar")
    assert viewed.evaluate(opacities)[0] == 1


def test_a_plane_shows_its_own_labels_and_no_surface_seen_through_it(viewed):
    assert viewed.evaluate(f"{NV}.opts.meshThicknessOn2D") == 0
    choose(viewed, "Multiplanar")
    viewed.locator("#vx-stage").scroll_into_view_if_needed()
    with viewed.expect_download() as waiting:
        viewed.locator("#vx-shot").click()
    shown = np.asarray(Image.open(waiting.value.path()).convert("RGB"), dtype=int)
    red, green, blue = (shown[..., n] for n in range(3))
    is_pink = (red > green + 40) & (blue > green + 20)  # the surface of the right side
    assert is_pink.sum() == 0


def test_the_convention_turns_what_is_left(viewed):
    found = []
    for name in ("neurological", "radiological"):
        choose(viewed, name)
        found.append(viewed.evaluate(f"{NV}.opts.isRadiologicalConvention"))
    assert found == [False, True]


def test_a_preset_and_a_typed_window_are_the_viewers_window(viewed):
    automatic = window(viewed)
    viewed.select_option("#vx-window", "narrow")
    narrow = window(viewed)
    assert narrow[1] - narrow[0] < automatic[1] - automatic[0]
    level, width = (float(viewed.input_value(f"#vx-{name}")) for name in ("level", "width"))
    digits = 1e-3 if width < 10 else 1
    assert level == pytest.approx(sum(narrow) / 2, abs=digits)
    assert width == pytest.approx(narrow[1] - narrow[0], abs=digits)
    viewed.fill("#vx-level", "0.5")
    viewed.fill("#vx-width", "0.2")
    assert window(viewed) == pytest.approx([0.4, 0.6])
    viewed.select_option("#vx-window", "auto")
    assert window(viewed) == pytest.approx(automatic)


def test_segmentation_disagreement_and_outlines_follow_their_controls(viewed):
    for name, number in (("labels", 1), ("entropy", 2), ("mutual", 3)):
        slide(viewed, name, 0.75)
        assert viewed.evaluate(f"{NV}.volumes[{number}].opacity") == pytest.approx(0.75)
    viewed.check("#vx-outline")
    assert viewed.evaluate(f"{NV}.overlayOutlineWidth") > 0
    viewed.uncheck("#vx-outline")
    assert viewed.evaluate(f"{NV}.overlayOutlineWidth") == 0


def test_keys_move_by_one_slice(viewed):
    viewed.locator("#vx-canvas").focus()
    places = []
    for key in ("]", "]", "["):
        viewed.keyboard.press(key)
        places.append(viewed.evaluate(f"{NV}.frac2mm({NV}.scene.crosshairPos)[2]"))
    slice_mm = viewed.evaluate(f"{NV}.volumes[0].pixDimsRAS[3]")
    assert places[1] - places[0] == pytest.approx(slice_mm, abs=0.01)
    assert places[2] == pytest.approx(places[0], abs=0.01)


def test_a_picture_of_the_viewer_is_saved(viewed):
    with viewed.expect_download() as waiting:
        viewed.locator("#vx-shot").click()
    assert waiting.value.suggested_filename == "voxcite.png"
    picture = np.asarray(Image.open(waiting.value.path()).convert("L"))
    assert picture.std() > 10


def test_the_surfaces_are_saved_from_the_studys_own_route(viewed, served):
    link = viewed.locator("#vx-surface")
    study = viewed.evaluate("window.voxcite.feed.study")
    assert link.get_attribute("href") == f"/study/{study}/file/surface.glb"
    with viewed.expect_download() as waiting:
        link.click()
    assert waiting.value.path().read_bytes()[:4] == b"glTF"


def test_a_prior_is_seen_at_the_same_place_whose_numbers_differ(viewed, tmp_path):
    earlier = coarse_sample(tmp_path / "earlier.nii.gz", MOVED_MM)
    viewed.get_by_role("button", name="Prior study", exact=False).first.click()
    viewed.set_input_files("#vx-input input[type=file] >> nth=0", earlier)
    viewed.wait_for_selector("#vx-beside .vx-said")
    viewed.wait_for_function("window.voxcite.prior && window.voxcite.prior.volumes.length === 1")
    viewed.locator('.vx-line a[data-record="m4"]').first.click()
    place = "window.voxcite.prior.frac2mm(window.voxcite.prior.scene.crosshairPos)"
    there = viewed.evaluate(f"Array.from({place})")[:3]
    assert np.allclose(np.array(there) - crosshair(viewed), MOVED_MM, atol=2.0)
    assert viewed.locator("#vx-figure-prior figcaption").inner_text() == "Prior date unknown"
    assert "No change was measured" in viewed.inner_text("#vx-change")
    viewed.get_by_role("button", name="Remove the prior study").click()
    viewed.wait_for_function("document.querySelector('#vx-figure-prior').hidden")
    assert viewed.locator("#vx-change .vx-change").count() == 0
