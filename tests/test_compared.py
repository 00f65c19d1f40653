"""Two dates beside each other: what is where, what changed in which colour, by a scale."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from assistant import views
from assistant.change_views import FATES, LESION_FIELD_MM, MOST_LESIONS, change_views
from assistant.compared import (
    BRIGHTER,
    DARKER,
    FULL_COLOUR,
    NEUTRAL,
    Dated,
    Outline,
    coloured,
    differences,
    matched,
    side_by_side,
)
from assistant.exports.sheet import sheet
from assistant.followup import Placed
from assistant.steps import Segmented
from segment.change import RELATIVE
from segment.infer import Found
from segment.lesion_change import Fate
from segment.measurement import Reason
from segment.register.pair import Alignment
from segment.volume import Volume
from tests.exported import MADE
from tests.ledgers import followup_ledger, withheld
from tests.phantoms import ball, grid, registered, segmentation_of, world_of
from tests.test_exports import drafted
from tests.test_lesion_followup import (
    BEFORE,
    COMES,
    GOES,
    GROWS,
    NOW,
    STAYS,
    TINY,
    pair,
    study_of,
)

GRID = grid((1.5, 1.5, 1.5), field_mm=120)
MIDDLE = np.zeros(3)
PANEL = round(views.FIELD_MM / views.PIXEL_MM)
# What a person without one kind of cone sees, in linear RGB: Machado et al. 2009, IEEE Trans Vis
# Comput Graph 15:1291, at full severity; the rows are what is seen as red, green and blue.
VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            (0.152286, 1.052583, -0.204868),
            (0.114503, 0.786281, 0.099216),
            (-0.003882, -0.048116, 1.051998),
        ]
    ),
    "deuteranopia": np.array(
        [
            (0.367322, 0.860646, -0.227968),
            (0.280085, 0.672501, 0.047413),
            (-0.011820, 0.042940, 0.968881),
        ]
    ),
    "tritanopia": np.array(
        [
            (1.255528, -0.076749, -0.178779),
            (-0.078411, 0.930809, 0.147602),
            (0.004733, 0.691367, 0.303900),
        ]
    ),
}


def lab(colour, vision):
    """Return a colour as somebody of a vision sees it, in CIE Lab."""
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(vision @ linear, 0, 1)
    back = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(back[None, None])[0, 0]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [{*FATES.values()}, {BRIGHTER, DARKER, NEUTRAL}])
def test_colours_stay_apart_for_every_kind_of_colour_vision(colours, vision):
    seen = [lab(colour, VISION[vision]) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 23


def head(*balls, slope=1.0, offset=0.0, day=None):
    """Return a scan of a gradient with balls that are brighter or darker by a value."""
    places = world_of(GRID)
    array = 500 + 2 * places[..., 0] + 3 * places[..., 1]
    for centre, radius_mm, by in balls:
        array = array + by * (np.linalg.norm(places - centre, axis=-1) <= radius_mm)
    array = (slope * array + offset).astype(np.float32)
    return Volume(array, GRID, sha256="a" * 64, modality="MR", date=day)


def drawn(now, before, to_before=None, **options):
    earlier = Dated(before, np.eye(4) if to_before is None else to_before)
    return side_by_side(
        Dated(now, np.eye(4)), earlier, MIDDLE, name="change", title="phantom", **options
    )


def panel(view, row, column):
    """Cut one panel out of a picture: rows are planes, columns dates and difference."""
    top, pitch = 2 * views.TEXT_PX + views.MARGIN_PX // 2, PANEL + views.MARGIN_PX
    left = views.MARGIN_PX + column * pitch
    return view.rgb[top + row * pitch : top + row * pitch + PANEL, left : left + PANEL]


def at(view, row, column, right_mm=0.0, down_mm=0.0, field_mm=views.FIELD_MM):
    """Read the pixel of a panel at a distance from its middle."""
    pixel = [round((PANEL - 1) / 2 + mm * PANEL / field_mm) for mm in (down_mm, right_mm)]
    return tuple(int(value) for value in panel(view, row, column)[pixel[0], pixel[1]])


@pytest.mark.parametrize(("by", "colour"), [(900, BRIGHTER), (-900, DARKER)])
def test_what_is_new_is_coloured_by_whether_it_is_brighter_or_darker(by, colour):
    view = drawn(head((MIDDLE, 6, by)), head())
    assert [at(view, row, 2) for row in range(3)] == [colour] * 3
    assert at(view, 0, 2, right_mm=20) == pytest.approx(NEUTRAL, abs=8)
    later, earlier = at(view, 0, 1), at(view, 0, 0)
    assert (later > earlier) == (by > 0)


def test_nothing_that_changed_is_grey_whatever_scale_each_date_has():
    view = drawn(head(), head(slope=0.3, offset=-70))
    shown = panel(view, 0, 2)[60:-60, 60:-60]
    assert np.abs(shown.astype(int) - NEUTRAL).max() <= 4


def test_an_earlier_scan_is_read_where_the_map_puts_it():
    place, shift = np.array([12.0, 8.0, -6.0]), np.eye(4)
    shift[:3, 3] = (5, -9, 7)
    before = head((place + shift[:3, 3], 6, 900))
    now = head((place, 6, 900))
    gradient = 2 * shift[0, 3] + 3 * shift[1, 3]
    before = replace(before, array=before.array - np.float32(gradient))
    shown = panel(drawn(now, before, shift), 0, 2)[60:-60, 60:-60].astype(int)
    assert np.abs(shown - NEUTRAL).mean() < 8
    assert np.abs(panel(drawn(now, before), 0, 2)[60:-60, 60:-60].astype(int) - NEUTRAL).max() > 100


def test_outside_of_either_scan_the_difference_is_black():
    far = np.eye(4)
    far[:3, 3] = (60, 0, 0)  # the earlier field ends in the middle of the current one's
    view = drawn(head(), head(), far)
    assert at(view, 0, 2, right_mm=-30) == (0, 0, 0)  # the patient's right is on the left
    assert at(view, 0, 2, right_mm=30) != (0, 0, 0)


def test_the_patients_right_is_on_the_left_unless_it_is_asked_otherwise():
    now = head(((25.0, 0.0, 0.0), 6, 900))
    assert at(drawn(now, head()), 0, 2, right_mm=-25) == BRIGHTER
    neurological = drawn(now, head(), convention="neurological")
    assert at(neurological, 0, 2, right_mm=25) == BRIGHTER
    assert neurological.facts["convention"] == "neurological"


def test_a_picture_knows_its_dates_and_one_without_a_date_says_so():
    view = drawn(head(day="2024-06-01"), head(day="2023-06-01"))
    assert (view.facts["date"], view.facts["earlier_date"]) == ("2024-06-01", "2023-06-01")
    undated = drawn(head(day="2024-06-01"), head())
    assert not np.array_equal(panel(view, 0, 0), panel(undated, 0, 0))
    assert np.array_equal(panel(view, 0, 1), panel(undated, 0, 1))


def test_the_scale_below_shows_the_colours_of_the_difference():
    view = drawn(head(), head())
    foot = view.rgb[-6 * views.TEXT_PX :].reshape(-1, 3)
    for colour in (BRIGHTER, DARKER, NEUTRAL):
        assert (np.abs(foot.astype(int) - colour).max(axis=1) <= 2).any()


def test_a_difference_has_its_full_colour_from_the_end_of_the_scale_on():
    values = np.array([[-2, -FULL_COLOUR, 0, FULL_COLOUR / 2, FULL_COLOUR, 2]], np.float32)
    found = coloured(values)[0].astype(int).tolist()
    half = [round((a + b) / 2) for a, b in zip(BRIGHTER, NEUTRAL, strict=True)]
    assert found[:3] == [list(DARKER), list(DARKER), list(NEUTRAL)]
    assert np.allclose(found[3], half, atol=1)
    assert found[4:] == [list(BRIGHTER)] * 2


def test_scans_that_never_meet_are_matched_and_subtracted_to_nothing():
    gone = [np.full((4, 4), np.nan, np.float32)]
    seen = [np.ones((4, 4), np.float32)]
    assert np.isnan(matched(gone, seen)[0]).all()
    assert np.isnan(differences(gone, seen)[0]).all()


def test_an_outline_far_from_a_plane_is_not_drawn_on_it():
    plane = views.planes(MIDDLE, "radiological")[0]
    mask = np.ones((3, 3, 3), bool)
    near = replace(GRID.block((40, 40, 39), (3, 3, 3)))
    far = GRID.block((40, 40, 60), (3, 3, 3))
    assert Outline.of_mask(mask, near, BRIGHTER, "").may_cross(plane)
    assert not Outline.of_mask(mask, far, BRIGHTER, "").may_cross(plane)


def placed(before, alignment=None, doubt=None):
    return Placed(before, registered(), alignment or Alignment(np.eye(4), 0.97, 0.1), doubt)


def pictures(now, before, **options):
    return {view.name: view for view in change_views(now, [placed(before, **options)], NONE)}


NONE = Segmented((), None)


def coloured_as(view, colour, column):
    """Count the pixels of a colour in the panels of a date."""
    shown = np.concatenate([panel(view, row, column).reshape(-1, 3) for row in range(3)])
    return int((np.abs(shown.astype(int) - colour).max(axis=1) <= 6).sum())


def test_each_lesion_that_changed_is_outlined_by_what_became_of_it_on_its_own_date():
    views_of = pictures(*pair())
    assert [*views_of] == [f"change_lesion_{letter}" for letter in "ABCDE"]
    new, gone, grown = (views_of[f"change_lesion_{letter}"] for letter in "AEC")
    assert coloured_as(new, FATES[Fate.NEW], 0) == 0
    assert coloured_as(new, FATES[Fate.NEW], 1) > 100
    assert coloured_as(gone, FATES[Fate.RESOLVED], 0) > 100
    assert coloured_as(gone, FATES[Fate.RESOLVED], 1) == 0
    both = [coloured_as(grown, FATES[Fate.ENLARGED], column) for column in (0, 1, 2)]
    assert both[1] > 1.4 * both[0] > 100  # from a radius of 4 mm to one of 7
    assert both[2] == 0  # white there, on orange and on blue
    assert grown.facts["field_mm"] == f"{LESION_FIELD_MM:g}"


def test_a_lesion_that_stayed_is_white_and_has_no_picture_of_its_own():
    beside = (STAYS[0] + 12, STAYS[1], STAYS[2])
    now = study_of("a", "2024-06-01", {STAYS: 5.0, beside: 3.0})
    before = study_of("b", "2023-06-01", {STAYS: 5.0})
    ((name, view),) = pictures(now, before).items()
    assert name == "change_lesion_A"
    assert min(coloured_as(view, FATES[Fate.STABLE], column) for column in (0, 1)) > 100


def test_an_earlier_lesion_is_drawn_where_the_current_head_has_it():
    shift = np.eye(4)
    shift[:3, 3] = (6, 0, 0)
    moved = tuple(np.array(GOES) + shift[:3, 3])
    now, before = study_of("a", "2024-06-01", {}), study_of("b", "2023-06-01", {moved: 5.0})
    (view,) = pictures(now, before, alignment=Alignment(shift, 0.97, 0.1)).values()
    centre = [float(text) for text in view.facts["centre_mm"].split(", ")]
    assert np.allclose(centre, GOES, atol=1.0)


def test_of_many_lesions_the_largest_have_a_picture():
    places = {(x, y, 0): 2.5 for x in (-30, -10, 10, 30) for y in (-20, 0, 20)}
    gone = {(0.0, 0.0, 30.0): 5.0}
    found = pictures(study_of("a", "2024-06-01", places), study_of("b", "2023-06-01", gone))
    assert len(found) == MOST_LESIONS < len(places)
    assert "change_lesion_M" in found  # the last letter, of the one that has resolved


def test_examinations_that_cannot_be_compared_have_no_picture():
    now, before = pair()
    assert change_views(now, [], NONE) == ()
    assert pictures(now, before, doubt=Reason.NOT_ALIGNED) == {}
    assert change_views(now, [Placed(before, registered())], NONE) == ()
    other = replace(now, volume=replace(now.volume, facts={"manufacturer": "one"}))
    prior = replace(before, volume=replace(before.volume, facts={"manufacturer": "two"}))
    assert pictures(other, prior) == {}


def test_each_side_that_was_segmented_has_a_picture_with_its_outline_on_today_alone():
    now, before = (replace(study, mask=None) for study in pair())
    phantom = ball(grid((1.0, 1.0, 1.0), field_mm=40), 8.0)
    segmented = Segmented(
        (Found("left", segmentation_of(phantom), (0, 0, 0), 0.0, is_truncated=False),), None
    )
    (view,) = change_views(now, [placed(before)], segmented)
    assert view.name == "change_hippocampus_left"
    assert coloured_as(view, views.COLOURS[0], 0) == 0
    assert coloured_as(view, views.COLOURS[0], 1) > 100


def test_a_structure_whose_change_is_withheld_has_no_picture():
    now, before = (replace(study, mask=None) for study in pair())
    drawn = segmentation_of(ball(grid((1.0, 1.0, 1.0), field_mm=40), 8.0))
    segmented = Segmented((Found("left", drawn, (0, 0, 0), 0.0, is_truncated=False),), None)
    told = [r for r in followup_ledger(0.9).records if r.quantity == RELATIVE]
    lost = [withheld(r, Reason.DEPENDS_ON_UNRELIABLE) if r.side == "left" else r for r in told]
    names = [
        [view.name for view in change_views(now, [placed(before)], segmented, records=records)]
        for records in (told, lost)
    ]
    assert names == [["change_hippocampus_left"], []]


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("overlay_change_hippocampus_left", "left hippocampus on the earlier date"),
        ("overlay_change_lesion_C", "Lesion C on the earlier date"),
    ],
)
def test_a_picture_of_a_change_is_captioned_by_what_it_shows(stem, words, tmp_path):
    path = tmp_path / f"{stem}.png"
    Image.new("RGB", (8, 8)).save(path)
    (figure,) = sheet(drafted(), [path], MADE).figures
    assert words in figure.caption


def test_the_phantom_lesions_of_these_tests_are_apart():
    assert len({*BEFORE, *NOW}) == 6
    assert {STAYS, GROWS, GOES, COMES, TINY} <= {*BEFORE, *NOW}
