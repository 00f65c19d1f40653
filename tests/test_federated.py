"""Sites' weights are combined as the plan says, and no bad update becomes everybody's weights."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import trim_mean

from segment.federated.combine import WAYS, combine
from segment.federated.greeting import Greeting
from segment.federated.rounds import FINAL, JOURNAL, StoppedError, write_weights
from segment.federated.server import federate
from segment.federated.site import Site
from segment.federated.updates import Update, clip, norm_of_change, sift
from tests.toy_federation import ToySites, add, toy_plan, write_plan, write_start

RNG = np.random.default_rng(0)
LEARNT = RNG.normal(size=(6, 4, 5)).astype(np.float32)
UPDATES = [
    Update(f"site-{n}", cases, {"kernel": LEARNT[n]})
    for n, cases in enumerate((10, 20, 5, 40, 8, 17))
]
BEFORE = {"kernel": np.zeros((4, 5), np.float32)}


@pytest.fixture
def files(tmp_path):
    """A plan, a start and a folder to write to."""
    plan, start = write_plan(tmp_path / "plan.toml"), write_start(tmp_path / "start.safetensors")
    return plan, start, tmp_path / "out"


def run(files, learners, cases=4):
    """Run a federation of toy sites to its end."""
    sites = ToySites(files[0], learners, cases)
    return list(federate(*files, sites)), sites


def journal(folder):
    with (folder / JOURNAL).open(newline="") as file:
        return list(csv.DictReader(file))


def told_of(path):
    return {name: tensor.tolist() for name, tensor in load_file(path).items()}


def nan(weights):
    return {name: w * np.float32(np.nan) for name, w in weights.items()}


def test_a_mean_weighs_sites_by_their_cases():
    found = combine("mean", UPDATES, 0.0)["kernel"]
    cases = [update.cases for update in UPDATES]
    np.testing.assert_allclose(found, np.average(LEARNT, axis=0, weights=cases), rtol=1e-5)


def test_a_median_is_that_of_each_number():
    np.testing.assert_array_equal(combine("median", UPDATES, 0.0)["kernel"], np.median(LEARNT, 0))


def test_a_trimmed_mean_is_the_one_of_scipy():
    found = combine("trimmed mean", UPDATES, 0.2)["kernel"]
    np.testing.assert_allclose(found, trim_mean(LEARNT, 0.2, axis=0), rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_weights_stay_in_single_precision(way):
    assert combine(way, UPDATES, 0.2)["kernel"].dtype == np.float32


@pytest.mark.parametrize("way", ["median", "trimmed mean"])
def test_one_poisoned_site_of_six_moves_a_robust_combination_no_further_than_honest_ones(way):
    poisoned = [*UPDATES[:5], replace(UPDATES[5], weights={"kernel": LEARNT[5] * -1e6})]
    found = combine(way, poisoned, 0.2)["kernel"]
    assert (found >= LEARNT[:5].min(axis=0)).all()
    assert (found <= LEARNT[:5].max(axis=0)).all()


def test_a_scaled_up_change_is_drawn_back_to_a_multiple_of_the_median_norm():
    scaled = [*UPDATES[:5], replace(UPDATES[5], weights={"kernel": LEARNT[5] * 1e3})]
    norms = [norm_of_change(update.weights, BEFORE) for update in scaled]
    kept, shares = clip(scaled, BEFORE, 2.0)
    assert shares[:5] == (1.0,) * 5
    assert norm_of_change(kept[5].weights, BEFORE) == pytest.approx(2 * np.median(norms), rel=1e-5)


def test_the_largest_numbers_are_drawn_back_to_numbers():
    before = {"kernel": np.full((4, 5), -1.0, np.float32)}
    largest = {"kernel": np.full((4, 5), np.finfo(np.float32).max, np.float32)}
    (*_, last), _ = clip([*UPDATES[:5], replace(UPDATES[5], weights=largest)], before, 2.0)
    assert np.isfinite(last.weights["kernel"]).all()
    assert norm_of_change(last.weights, before) < 100


def test_a_change_keeps_its_direction_when_it_is_drawn_back():
    scaled = [*UPDATES[:5], replace(UPDATES[5], weights={"kernel": LEARNT[5] * 1e3})]
    (*_, last), _ = clip(scaled, BEFORE, 2.0)
    kept, whole = last.weights["kernel"].ravel(), LEARNT[5].ravel()
    cosine = kept @ whole / np.linalg.norm(kept) / np.linalg.norm(whole)
    assert cosine == pytest.approx(1.0, abs=1e-6)


def test_of_two_changes_none_is_called_the_odd_one():
    pair = [UPDATES[0], replace(UPDATES[1], weights={"kernel": LEARNT[1] * 1e3})]
    assert clip(pair, BEFORE, 2.0) == (tuple(pair), (1.0, 1.0))


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"kernel": LEARNT[0] * np.float32(np.nan)}, "expected finite numbers"),
        ({"kernel": LEARNT[0] + np.float32(np.inf)}, "expected finite numbers"),
        ({"kernel": LEARNT[0][:3]}, "expected the shape (4, 5), found (3, 5)"),
        ({"other": LEARNT[0]}, "expected the tensors that were sent"),
        ({}, "expected the tensors that were sent"),
    ],
)
def test_an_update_that_cannot_be_used_is_left_out_with_its_reason(weights, reason):
    kept, left = sift([UPDATES[0], Update("bad", 9, weights)], BEFORE)
    assert kept == (UPDATES[0],)
    assert left[0].site == "bad"
    assert reason in left[0].reason


def test_rounds_go_on_from_what_the_sites_learnt(files):
    done, _ = run(files, {1: add(1), 2: add(3)})
    assert [each.number for each in done] == [1, 2]
    np.testing.assert_array_equal(load_file(files[2] / FINAL)["bias"], np.full(3, 4, np.float32))


@pytest.mark.parametrize("bad", [nan, lambda _: None, lambda _: {"bias": np.zeros(9, np.float32)}])
def test_a_round_goes_on_without_a_site_that_sends_nothing_of_use(files, bad):
    run(files, {1: add(1), 2: add(1), 3: bad})
    np.testing.assert_array_equal(load_file(files[2] / FINAL)["bias"], np.full(3, 2, np.float32))
    left = [line for line in journal(files[2]) if line["is_used"] == "False"]
    assert [(line["round"], line["site"]) for line in left] == [("1", "site-3"), ("2", "site-3")]
    assert all(line["reason"] for line in left)


def test_a_site_that_is_slow_is_told_apart_from_one_that_sends_nonsense(files):
    run(files, {1: add(1), 2: add(1), 3: lambda _: None})
    assert "no answer within 60 s" in {line["reason"] for line in journal(files[2])}


def test_a_round_stops_with_its_reasons_where_too_few_sites_are_left(files):
    with pytest.raises(StoppedError, match=r"round 1: expected 2 .*found 1 .*site-2: bias"):
        run(files, {1: add(1), 2: nan})
    assert not list(files[2].glob("*.safetensors"))


def test_a_scaled_up_site_is_named_in_the_journal(files):
    run(files, {1: add(1), 2: add(1), 3: add(1000)})
    (line, *_) = [line for line in journal(files[2]) if line["site"] == "site-3"]
    assert line["reason"] == "its change was drawn back to 0.003 of itself"
    assert float(line["kept_share"]) == pytest.approx(0.003)


def test_an_interrupted_federation_goes_on_to_the_same_weights(files, tmp_path):
    whole, _ = run(files, {1: add(1), 2: add(3)})
    again = (*files[:2], tmp_path / "again")
    next(federate(*again, ToySites(files[0], {1: add(1), 2: add(3)})))
    rest, sites = run(again, {1: add(1), 2: add(3)})
    assert [each.number for each in rest] == [2]
    assert sites.asked == [(2, (1, 2))]
    assert told_of(again[2] / FINAL) == told_of(files[2] / FINAL)
    assert journal(again[2]) == journal(files[2])
    assert len(whole) == 2


def test_the_lines_of_a_round_that_was_interrupted_are_written_once(files):
    run(files, {1: add(1), 2: add(3)})
    before = journal(files[2])
    (files[2] / "round-0002.safetensors").unlink()
    run(files, {1: add(1), 2: add(3)})
    assert journal(files[2]) == before


def test_weights_are_read_as_they_were_whatever_their_order_in_memory(tmp_path):
    turned = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    write_weights(tmp_path / "weights.safetensors", turned, {})
    found = load_file(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(found["kernel"], turned["kernel"])


def test_rounds_of_another_plan_are_not_gone_on_with(files):
    run(files, {1: add(1), 2: add(3)})
    write_plan(files[0], rounds=3)
    with pytest.raises(ValueError, match="expected a round of this plan and this start"):
        run(files, {1: add(1), 2: add(3)})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"code_sha256": "0" * 64}, r"expected voxcite .* found 0\.1\.0 \(sources 00000000\)"),
        ({"version": "0.0.9"}, r"found 0\.0\.9 .*install the same version"),
        ({"plan_sha256": "1" * 64}, "found 11111111; give every site the same file"),
        ({"cases": 1}, "expected at least 2 training cases, found 1"),
        ({"site": "site-1"}, "expected another name, found it twice"),
    ],
)
def test_a_site_that_may_not_take_part_is_refused_in_one_sentence(files, said, reason):
    sites = ToySites(files[0], {1: add(1), 2: add(1)})
    sites.change(2, **said)
    with pytest.raises(StoppedError, match=f"expected 2 sites or more, found 1 .*{reason}"):
        list(federate(*files, sites))
    assert sites.asked == []


@pytest.mark.parametrize(
    "said",
    [
        {"site": "=1+1"},
        {"site": "a\nb"},
        {"cases": -1},
        {"cases": "many"},
        {"version": "1" * 100},
        {"plan_sha256": 7},
        {"more": 1},
    ],
)
def test_a_greeting_that_is_none_is_refused_before_it_is_believed(said):
    table = Greeting.of("site-a", "0" * 64, 3).table()
    assert Greeting.from_table(table).cases == 3
    with pytest.raises(ValueError, match="greeting"):
        Greeting.from_table(table | said)


def test_the_others_go_on_without_a_site_that_is_refused(files):
    sites = ToySites(files[0], {1: add(1), 2: add(1), 3: add(9)})
    sites.change(3, cases=1)
    list(federate(*files, sites))
    assert sites.asked == [(1, (1, 2)), (2, (1, 2))]


def test_a_site_counts_as_much_as_it_said_when_it_joined(files):
    sites = ToySites(files[0], {1: add(0), 2: add(4)})
    sites.change(2, cases=12)
    first = next(federate(*files, sites))
    np.testing.assert_array_equal(first.weights["bias"], np.full(3, 3, np.float32))


def test_a_federation_waits_for_its_sites_and_begins_without_those_that_do_not_come(tmp_path):
    plan = write_plan(tmp_path / "plan.toml", sites=3)
    start = write_start(tmp_path / "start.safetensors")
    sites = ToySites(plan, {1: add(1), 2: add(1)})
    list(federate(plan, start, tmp_path / "out", sites))
    assert sites.looks > 2
    assert sites.asked == [(1, (1, 2)), (2, (1, 2))]


def test_a_site_that_comes_later_takes_part_from_then_on(files):
    sites = ToySites(files[0], {1: add(1), 2: add(1)})
    late = ToySites(files[0], {3: add(1)})
    rounds = federate(*files, sites)
    next(rounds)
    sites.learners |= late.learners
    sites.greetings |= late.greetings
    list(rounds)
    assert sites.asked == [(1, (1, 2)), (2, (1, 2, 3))]


def test_a_site_that_has_gone_is_named_until_it_is_back(files):
    sites = ToySites(files[0], {1: add(1), 2: add(1), 3: add(1)})
    rounds = federate(*files, sites)
    next(rounds)
    del sites.learners[3]
    (second,) = rounds
    assert [(line.site, line.reason) for line in second.lines if not line.is_used] == [
        ("site-3", "it has gone; start its SuperNode again")
    ]


def test_a_site_that_was_restarted_is_not_missed_under_its_old_number(files):
    sites = ToySites(files[0], {1: add(1), 2: add(1), 3: add(1)})
    rounds = federate(*files, sites)
    next(rounds)
    sites.learners[4], sites.greetings[4] = sites.learners.pop(3), sites.greetings[3]
    (second,) = rounds
    assert all(line.is_used for line in second.lines)
    assert sites.asked[1] == (2, (1, 2, 4))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"combine": "mode"}, "expected one of mean, median, trimmed mean, found 'mode'"),
        ({"trimmed_share": 0.5}, "trimmed_share: expected a share below 0.5"),
        ({"rounds": 0}, "rounds: expected 1 or more, found 0"),
        ({"sites": 1}, "sites: expected 2 or more, as least_sites, found 1"),
        ({"most_change": 0.5}, "most_change: expected 1 or more, found 0.5"),
        ({"proximal": -1.0}, "proximal: expected 0 or more, found -1.0"),
        ({"epoch": 3}, r"the keys \['epoch'\] are missing or unknown"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(tmp_path, changes, reason):
    with pytest.raises(ValueError, match=reason):
        toy_plan(tmp_path, **changes)


def test_a_site_is_named_without_anything_that_could_be_a_path(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('name = "../a"\nplan = "p"\ndata = "d"\nwork = "w"\ncommand = ["voxcite"]\n')
    with pytest.raises(ValueError, match="name: expected 1 to 40 letters, digits and hyphens"):
        Site.read(file)


def test_what_a_site_names_lies_beside_its_settings(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('name = "a"\nplan = "p"\ndata = "d"\nwork = "/w"\ncommand = ["voxcite"]\n')
    site = Site.read(file)
    assert (site.data, str(site.work)) == (tmp_path / "d", "/w")


def test_nothing_is_learnt_of_updates_that_are_not_there():
    with pytest.raises(ValueError, match="expected updates to combine, found none"):
        combine("mean", [], 0.0)
