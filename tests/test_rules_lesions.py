"""Rules about lesions give what a person computes by hand, at and beside each limit."""

import numpy as np
import pytest

from assistant.judgement import Amount, Gap, Obstacle, Outcome
from assistant.rules import amounts, judge_inputs, neda, rano, recist
from assistant.rules.amounts import exact, give_or_take
from segment.lesion_change import compare_lesions
from segment.objects import lesions_in_mask
from tests.phantoms import ball, grid
from tests.test_lesion_change import compared, lesions, line

MET, NOT_MET, NOT_JUDGED = Outcome
NOTHING_NEW = exact(0)


def told(judgements):
    """Say what became of each criterion: its outcome, or why there is none."""
    return {j.criterion: j.reason or j.outcome for j in judgements}


def target(*sizes_mm, name="t1", organ="lung", error_mm=0.0, is_node=False):
    sizes = tuple(give_or_take(mm, error_mm) for mm in sizes_mm)
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


def test_lymph_nodes_are_said_to_be_unsupported():
    node = target(18, 30, name="t2", organ="nodes", is_node=True)
    said = told(recist.judge([target(25, 30), node], exact(1)))
    assert said.pop("new_lesion") == MET
    assert {*said.values()} == {Obstacle.NODES}


def test_no_percentage_is_made_of_nothing():
    assert by_recist(20, 0, 12)["increase_over_smallest_sum"] == Obstacle.NO_EARLIER_SIZE


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ([], "at most 5 targets"),
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
