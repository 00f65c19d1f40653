"""Rules about lesions give what a person computes by hand, at and beside each limit."""

from dataclasses import replace

import numpy as np
import pytest

from assistant.judgement import Amount, Gap, Obstacle, Outcome
from assistant.rules import amounts, judge_inputs, neda, rano, recist
from assistant.rules.amounts import exact, give_or_take
from segment.lesion_change import compare_lesions
from segment.lesion_records import SINCE_BASELINE, SINCE_SMALLEST
from segment.objects import lesions_in_mask
from tests.phantoms import ball, grid
from tests.test_lesion_change import compared, lesions, line

MET, NOT_MET, NOT_JUDGED = Outcome
NOTHING_NEW = exact(0)


def told(judgements):
    """Say what became of each criterion: its outcome, or why there is none."""
    return {j.criterion: j.reason or j.outcome for j in judgements}


def target(*sizes_mm, name="t1", organ="lung", error_mm=0.0, is_node=False):
    sizes = tuple(None if mm is None else give_or_take(mm, error_mm) for mm in sizes_mm)
    return recist.Target(name, organ, sizes, is_node)


def by_recist(*sizes_mm, error_mm=0.0, new=NOTHING_NEW):
    return told(recist.judge([target(*sizes_mm, error_mm=error_mm)], new))


@pytest.mark.parametrize(
    ("sizes_mm", "outcome"),
    [
        ((25, 30), MET),  # + 20 %, + 5 mm: both just reached
        ((25, 29.99), NOT_MET),  # + 19.96 %
        ((24, 28.9), NOT_MET),  # + 20.4 %, + 4.9 mm
        ((20, 24), NOT_MET),  # + 20 %, + 4 mm
        ((50, 59), NOT_MET),  # + 18 %, + 9 mm
        ((50, 25, 30), MET),  # over the smallest sum, not over the baseline
        ((25, 50, 30), MET),  # the baseline may be the smallest
        ((10.1, 15.1), MET),  # 5 mm, though 15.1 - 10.1 is 4.999999999999998 in floats
    ],
)
def test_recist_asks_for_a_fifth_and_five_millimetres_more_than_the_smallest_sum(sizes_mm, outcome):
    assert by_recist(*sizes_mm)["increase_over_smallest_sum"] == outcome


@pytest.mark.parametrize(
    ("sizes_mm", "outcome"),
    [
        ((100, 70), MET),
        ((100, 70.01), NOT_MET),
        ((100, 60, 80), NOT_MET),  # - 20 % from the baseline
        ((30, 20, 21), MET),  # from the baseline, not from the smallest sum
    ],
)
def test_recist_asks_for_three_tenths_less_than_the_baseline(sizes_mm, outcome):
    assert by_recist(*sizes_mm)["decrease_from_baseline"] == outcome


@pytest.mark.parametrize(("now_mm", "outcome"), [(0, MET), (0.1, NOT_MET)])
def test_recist_asks_whether_all_targets_have_gone(now_mm, outcome):
    assert by_recist(20, now_mm)["targets_gone"] == outcome


@pytest.mark.parametrize(
    ("sizes_mm", "outcome"),
    [((20, 0, 12), MET), ((20, 0, 0), NOT_MET), ((20, 10, 12), NOT_MET)],
)
def test_recist_asks_whether_targets_that_had_all_gone_are_back(sizes_mm, outcome):
    assert by_recist(*sizes_mm)["targets_back"] == outcome


def test_targets_that_may_never_have_gone_are_not_called_back():
    assert by_recist(20, 0, 12, error_mm=1.0)["targets_back"] == Obstacle.CROSSES


def test_diameters_are_summed_over_the_targets():
    two = [target(20, 26, name="t1"), target(30, 34, name="t2")]
    found = recist.judge(two, NOTHING_NEW)
    assert told(found)["increase_over_smallest_sum"] == MET  # 50 to 60 mm
    assert found[0].cites == ("t1", "t2")
    assert told(recist.judge(two[1:], NOTHING_NEW))["increase_over_smallest_sum"] == NOT_MET


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (exact(0), NOT_MET),
        (exact(1), MET),
        (Amount(("n1",), 1, 0, 1), Obstacle.CROSSES),
        (Amount(("n1", "n2"), 2, 1, 2), MET),
    ],
)
def test_a_new_lesion_counts_where_it_surely_is_one(new, said):
    assert by_recist(20, 20, new=new)["new_lesion"] == said


@pytest.mark.parametrize(
    ("error_mm", "said"), [(0.0, MET), (1.0, Obstacle.CROSSES), (0.1, MET), (0.5, MET)]
)
def test_a_sum_whose_bounds_cross_the_limit_is_not_judged(error_mm, said):
    assert by_recist(50, 62, error_mm=error_mm)["increase_over_smallest_sum"] == said


def test_one_condition_that_surely_fails_decides_whatever_the_other_does():
    sizes = by_recist(10, 13, error_mm=0.5)  # + 30 %, between 14 and 42; + 3 mm, between 2 and 4
    assert sizes["increase_over_smallest_sum"] == NOT_MET


def node(*axes_mm, name="n1", error_mm=0.0):
    return target(*axes_mm, name=name, organ="neck", error_mm=error_mm, is_node=True)


def test_a_node_adds_its_short_axis_to_the_sum():
    found = recist.judge([target(20, 20), node(15, 23)], NOTHING_NEW)  # 35 to 43: + 22.9 %, 8 mm
    assert told(found)["increase_over_smallest_sum"] == MET
    assert found[0].cites == ("t1", "n1")
    still = recist.judge([target(20, 20), node(15, 22)], NOTHING_NEW)  # 35 to 42: + 20 %
    assert told(still)["increase_over_smallest_sum"] == MET
    less = recist.judge([target(20, 20), node(15, 21.9)], NOTHING_NEW)  # + 19.7 %
    assert told(less)["increase_over_smallest_sum"] == NOT_MET


@pytest.mark.parametrize(
    ("others_mm", "axis_mm", "error_mm", "said"),
    [
        (0, 9.9, 0.0, MET),
        (0, 10, 0.0, NOT_MET),  # below 10 mm, and not at it
        (0.1, 9.9, 0.0, NOT_MET),
        (0, 0, 0.0, MET),
        (0, 9.8, 0.5, Obstacle.CROSSES),
    ],
)
def test_recist_asks_whether_targets_have_gone_and_nodes_are_below_ten_millimetres(
    others_mm, axis_mm, error_mm, said
):
    targets = [target(20, others_mm), node(18, axis_mm, error_mm=error_mm)]
    assert told(recist.judge(targets, NOTHING_NEW))["targets_gone"] == said


def test_nodes_alone_have_gone_where_every_one_is_small():
    both = [node(18, 9), node(16, 9.5, name="n2")]
    assert told(recist.judge(both, NOTHING_NEW))["targets_gone"] == MET
    both = [node(18, 9), node(16, 10.5, name="n2")]
    assert told(recist.judge(both, NOTHING_NEW))["targets_gone"] == NOT_MET


@pytest.mark.parametrize(
    ("size_mm", "slice_mm", "is_node", "is_allowed"),
    [
        (10, 5, False, True),
        (9.9, 5, False, False),
        (11.9, 6, False, False),  # twice the thickness of slices above 5 mm
        (12, 6, False, True),
        (10, 1, False, True),
        (15, 5, True, True),
        (14.9, 5, True, False),
    ],
)
def test_a_target_is_large_enough_to_be_measured_at_the_baseline(
    size_mm, slice_mm, is_node, is_allowed
):
    one = [target(size_mm, 20, is_node=is_node)]
    if is_allowed:
        assert recist.judge(one, NOTHING_NEW, slice_mm=slice_mm)
        return
    with pytest.raises(ValueError, match="at the baseline, found smaller ones: t1"):
        recist.judge(one, NOTHING_NEW, slice_mm=slice_mm)


@pytest.mark.parametrize(("count", "is_allowed"), [(5, True), (6, False)])
def test_five_targets_are_the_most(count, is_allowed):
    targets = [target(20, 20, name=f"t{n}", organ=str(n)) for n in range(count)]
    if is_allowed:
        assert recist.judge(targets, NOTHING_NEW)
        return
    with pytest.raises(ValueError, match="at most 5 targets"):
        recist.judge(targets, NOTHING_NEW)


@pytest.mark.parametrize("sizes_mm", [(20, -3), (20, -3, 20), (-20, 20)])
def test_a_diameter_below_nothing_is_refused(sizes_mm):
    one = recist.Target("t1", "liver", tuple(exact(size) for size in sizes_mm))
    said = f"t1: expected diameters of 0 mm or more, found {min(sizes_mm)} mm"
    with pytest.raises(ValueError, match=said):
        recist.judge([one], NOTHING_NEW)
    with pytest.raises(ValueError, match="expected a size and an error of 0 or more, found -3"):
        give_or_take(-3, 1)


def test_nodes_of_any_region_are_one_organ():
    three = [replace(node(18, 18, name=f"n{n}"), organ=f"region {n}") for n in range(3)]
    assert recist.judge(three[:2], NOTHING_NEW)
    with pytest.raises(ValueError, match="2 of an organ"):
        recist.judge(three, NOTHING_NEW)


def test_a_target_that_was_not_measured_today_is_named_and_what_it_is_missing_for():
    found = recist.judge([target(20, 10), target(20, None, name="t2")], NOTHING_NEW)
    said = {judgement.criterion: judgement for judgement in found}
    assert said["new_lesion"].outcome == NOT_MET
    shrunk = said["decrease_from_baseline"]
    assert (shrunk.reason, shrunk.cites) == (Obstacle.MISSING, ("t2",))
    assert shrunk.missing == (recist.OF_BASELINE,)
    grown = said["increase_over_smallest_sum"].missing
    assert grown == (recist.OF_SMALLEST_RELATIVE, recist.OF_SMALLEST)
    assert said["targets_gone"].reason == Obstacle.MISSING


def test_an_examination_between_that_was_not_measured_leaves_the_baseline_to_go_by():
    said = told(recist.judge([target(100, None, 70)], NOTHING_NEW))
    assert said["decrease_from_baseline"] == MET
    assert said["increase_over_smallest_sum"] == Obstacle.MISSING


def test_new_lesions_that_nobody_looked_for_are_missing():
    said = {judgement.criterion: judgement for judgement in recist.judge([target(20, 20)], None)}
    assert said["new_lesion"].missing == ("new lesions",)
    assert said["decrease_from_baseline"].outcome == NOT_MET


def test_a_target_without_a_size_at_the_baseline_is_none():
    with pytest.raises(ValueError, match="smaller ones: t1"):
        recist.judge([target(None, 20)], NOTHING_NEW)


def test_no_percentage_is_made_of_nothing():
    assert by_recist(20, 0, 12)["increase_over_smallest_sum"] == Obstacle.NO_EARLIER_SIZE


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ([], "expected at least one target, found none; give each"),
        ([target(20, 20, organ=str(n)) for n in range(6)], "found 6"),
        ([target(20, 20)] * 3, "2 of an organ"),
        ([target(9.9, 20)], "smaller ones: t1"),
        ([target(20)], "two or more examinations"),
        ([target(20, 20), target(20, 20, 20)], "two or more examinations"),
    ],
)
def test_targets_that_recist_does_not_allow_are_refused(targets, problem):
    with pytest.raises(ValueError, match=problem):
        recist.judge(targets, NOTHING_NEW)


def test_the_longest_diameter_of_a_lesion_comes_with_what_it_may_be_wrong_by():
    (lesion,) = lesions(line((0, 39))).found  # 40 voxels of 0.5 x 1 x 2 mm
    found = recist.diameter_mm(lesion, error_mm=0.5)
    assert found.value == pytest.approx(np.sqrt(20**2 + 1 + 2**2))
    assert (found.lower, found.upper) == pytest.approx((found.value - 0.5, found.value + 0.5))


def by_rano(*volumes_ml, error_ml=0.0):
    return told(rano.judge([give_or_take(ml, error_ml) for ml in volumes_ml]))


@pytest.mark.parametrize(
    ("volumes_ml", "increase", "decrease"),
    [
        ((10, 14), MET, NOT_MET),
        ((10, 13.99), NOT_MET, NOT_MET),
        ((10, 3.5), NOT_MET, MET),
        ((10, 3.51), NOT_MET, NOT_MET),
        ((10, 2, 2.8), MET, MET),  # + 40 % over the smallest, - 72 % from the baseline
    ],
)
def test_rano_asks_for_two_fifths_more_or_two_thirds_less_volume(volumes_ml, increase, decrease):
    said = by_rano(*volumes_ml)
    assert (said["increase_over_smallest_volume"], said["decrease_from_baseline"]) == (
        increase,
        decrease,
    )


def test_volumes_whose_bounds_cross_a_limit_are_not_judged():
    said = by_rano(10, 14.2, error_ml=0.5)
    assert said["increase_over_smallest_volume"] == Obstacle.CROSSES


@pytest.mark.parametrize(
    ("volumes_ml", "increase", "decrease"),
    [
        ((10, None), Obstacle.MISSING, Obstacle.MISSING),
        ((None, 10, 14), Obstacle.MISSING, Obstacle.MISSING),
        ((10, None, 3.5), Obstacle.MISSING, MET),
    ],
)
def test_volumes_that_were_not_measured_are_missing_for_what_needs_them(
    volumes_ml, increase, decrease
):
    sizes = [None if ml is None else give_or_take(ml, 0.0) for ml in volumes_ml]
    found = {judgement.criterion: judgement for judgement in rano.judge(sizes)}
    grown, shrunk = found["increase_over_smallest_volume"], found["decrease_from_baseline"]
    assert (grown.reason or grown.outcome, shrunk.reason or shrunk.outcome) == (increase, decrease)
    assert grown.missing == (SINCE_SMALLEST,)
    assert shrunk.missing == ((SINCE_BASELINE,) if decrease == Obstacle.MISSING else ())


def test_one_volume_alone_is_refused():
    with pytest.raises(ValueError, match="at least two examinations"):
        by_rano(10)


def test_the_volume_of_all_lesions_comes_with_a_share_of_itself():
    phantom = ball(grid(), 8.0)
    found = lesions_in_mask(phantom.mask, phantom.geometry)
    load = rano.load_ml(found, error_share=0.1, cite="today")
    assert load == Amount(("today",), found.load_ml, 0.9 * found.load_ml, 1.1 * found.load_ml)


def by_neda(changes, *, sure_mm=3.0, enhancing=None):
    return told(neda.judge(changes, sure_mm=sure_mm, enhancing=enhancing))


@pytest.mark.parametrize(
    ("before", "after", "new", "enlarging"),
    [
        ([(0, 9)], [(0, 9)], NOT_MET, NOT_MET),
        ([(0, 9)], [(0, 9), (20, 29)], MET, NOT_MET),
        ([(0, 9)], [(0, 9), (20, 21)], Obstacle.CROSSES, NOT_MET),  # 1 mm long: may be noise
        ([(0, 9)], [(0, 12)], NOT_MET, MET),
        ([(0, 9)], [(0, 10)], NOT_MET, NOT_MET),  # just the margin
        ([(0, 9)], [], NOT_MET, NOT_MET),
        ([(0, 3), (6, 9)], [(0, 9)], NOT_MET, Obstacle.CROSSES),  # merged: nobody knows which grew
        ([(0, 3), (6, 9), (30, 39)], [(0, 9), (30, 49)], NOT_MET, MET),
    ],
)
def test_neda_asks_for_one_new_or_enlarging_lesion(before, after, new, enlarging):
    said = by_neda(compared(before, after))
    assert (said["new_lesion"], said["enlarging_lesion"]) == (new, enlarging)


def sized(before, after, smallest_mm3):
    """Compare lines of which those below a size are left out."""
    masks = (lesions(line(*runs), float(smallest_mm3)) for runs in (before, after))
    return by_neda(compare_lesions(*masks, margin=0.1))


def test_a_lesion_left_out_for_its_size_before_leaves_it_open_whether_one_is_new():
    grown = [(0, 3)], [(0, 9)]  # 4 and 10 voxels of 1 mm3
    assert sized(*grown, 0)["new_lesion"] == NOT_MET
    assert sized(*grown, 5) == {
        "new_lesion": Obstacle.CROSSES,
        "enlarging_lesion": Obstacle.CROSSES,
        "enhancing_lesion": Obstacle.MISSING,
    }


def test_a_lesion_left_out_for_its_size_today_may_be_new():
    assert sized([(0, 9)], [(0, 9), (20, 23)], 5)["new_lesion"] == Obstacle.CROSSES
    assert sized([(0, 9)], [(0, 9)], 5)["new_lesion"] == NOT_MET


def test_enhancing_lesions_that_nobody_counted_are_missing():
    still = compared([(0, 9)], [(0, 9)])
    assert by_neda(still)["enhancing_lesion"] == Obstacle.MISSING
    assert by_neda(still, enhancing=exact(1))["enhancing_lesion"] == MET
    assert by_neda(still, enhancing=exact(0))["enhancing_lesion"] == NOT_MET
    *_, enhancing = neda.judge(still, sure_mm=3.0)
    assert enhancing.missing == ("enhancing lesions",)


def test_a_judgement_cites_the_lesions_that_it_counts():
    before, after = lesions(line((0, 9))), lesions(line((0, 9), (20, 49)))
    new, *_ = neda.judge(compare_lesions(before, after, margin=0.1), sure_mm=3.0)
    assert new.cites == ("lesion 1",)


def test_bounds_hold_whatever_any_error_within_them_makes():
    rng = np.random.default_rng(4)
    now, before = give_or_take(30, 3), give_or_take(20, 2)
    drawn = rng.uniform((now.lower, before.lower), (now.upper, before.upper), (500, 2)).T
    percent = amounts.percent_change(now, before)
    assert np.all(100 * (drawn[0] / drawn[1] - 1) >= percent.lower)
    assert np.all(100 * (drawn[0] / drawn[1] - 1) <= percent.upper)
    apart = amounts.difference(now, before)
    assert (apart.lower, apart.value, apart.upper) == (5, 10, 15)


def test_a_value_outside_its_own_bounds_is_refused():
    with pytest.raises(ValueError, match="between its bounds"):
        Amount((), 3, 4, 5)


def test_what_is_withheld_is_the_reason_of_a_criterion():
    gap = Gap(("m1",), Obstacle.WITHHELD)
    inputs = {"new lesions": gap, "enlarged lesions": exact(1)}
    assert told(judge_inputs("neda", inputs))["new_lesion"] == Obstacle.WITHHELD


def test_the_smallest_volume_may_be_any_whose_bounds_overlap():
    volumes = [
        Amount(("a",), 10.0, 9.9, 10.1),
        Amount(("b",), 10.2, 5.0, 15.0),
        Amount(("c",), 12.0, 11.9, 12.1),
    ]
    found = {one.criterion: one.outcome for one in rano.judge(volumes)}
    assert found["increase_over_smallest_volume"] is Outcome.NOT_JUDGED
