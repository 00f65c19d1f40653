"""The cost of privacy is an upper bound that an integral and the exact curve confirm."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from segment.federated.budget import SPENT, spend, spent
from segment.privacy import Private, Steps, epsilon_of, renyi, told

PRIVATE = Private(clip=1.0, noise=1.0, share=0.2, steps=10, delta=1e-3, most_epsilon=8.0)


@pytest.mark.parametrize("noise", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.2, 1.0])
@pytest.mark.parametrize("order", [2, 5, 9])
def test_the_divergence_is_the_integral_that_defines_it(noise, share, order):
    def ratio(x):
        mixed = (1 - share) + share * math.exp((2 * x - 1) / (2 * noise**2))
        return norm.pdf(x, scale=noise) * mixed**order

    centre = order * noise**-2 * noise**2  # where the last term of the power is largest
    mean = quad(ratio, -40 * noise, 40 * noise + centre, points=[0, centre], limit=500)[0]
    assert renyi(noise, share, order) == pytest.approx(math.log(mean) / (order - 1), rel=1e-5)


@pytest.mark.parametrize("noise", [1.0, 2.0, 8.0])
def test_epsilon_without_a_draw_bounds_the_exact_one_from_above_and_closely(noise):
    def exact(epsilon):  # Balle and Wang 2018, theorem 8
        a, b = 1 / (2 * noise), epsilon * noise
        return norm.cdf(a - b) - math.exp(epsilon) * norm.cdf(-a - b) - 1e-5

    wanted = brentq(exact, 1e-6, 50)
    assert wanted < epsilon_of([Steps(noise, 1.0, 1)], 1e-5) < 1.2 * wanted


def test_more_steps_less_noise_and_larger_draws_cost_more():
    usual = epsilon_of([Steps(1.0, 0.1, 100)], 1e-3)
    assert epsilon_of([Steps(1.0, 0.1, 101)], 1e-3) > usual
    assert epsilon_of([Steps(0.9, 0.1, 100)], 1e-3) > usual
    assert epsilon_of([Steps(1.0, 0.2, 100)], 1e-3) > usual
    assert epsilon_of([Steps(1.0, 0.1, 100)], 1e-5) > usual
    assert epsilon_of([], 1e-3) == 0


def test_steps_that_were_taken_otherwise_add_up():
    halves = [Steps(1.0, 0.1, 50), Steps(1.0, 0.1, 50)]
    assert epsilon_of(halves, 1e-3) == pytest.approx(epsilon_of([Steps(1.0, 0.1, 100)], 1e-3))


def test_a_plan_states_what_all_its_rounds_cost():
    epsilon = epsilon_of([Steps(1.0, 0.2, 30)], 1e-3)
    wanted = f"epsilon {epsilon:.2f} at delta 0.001, for each subject of a site"
    assert told(PRIVATE, 3) == wanted


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_plan_says_from_which_round_on_sites_refuse(first, tmp_path):
    within = epsilon_of([Steps(1.0, 0.2, 10 * (first - 1))], 1e-3) + 0.01
    private = replace(PRIVATE, most_epsilon=within)
    wanted = f"warning: round {first} of 3 passes most_epsilon {within:g}: sites refuse"
    assert wanted in told(private, 3)
    for _ in range(first - 1):
        spend(tmp_path, private)
    with pytest.raises(ValueError, match="take part in no more rounds"):
        spend(tmp_path, private)


@pytest.mark.parametrize(
    "wrong",
    [{"share": 1.5}, {"delta": 0.0}, {"delta": 1.0}, {"noise": 0.0}, {"clip": -1.0}, {"steps": 0}],
)
def test_a_plan_that_hides_nothing_is_refused(wrong):
    (key,) = wrong
    with pytest.raises(ValueError, match=f"^{key}: expected .*, found .*; change it"):
        Private(**{**vars(PRIVATE), **wrong})


def test_a_site_spends_until_it_may_spend_no_more(tmp_path):
    wanted = [epsilon_of([Steps(1.0, 0.2, 10 * n)], 1e-3) for n in range(1, 100)]
    within = [epsilon for epsilon in wanted if epsilon <= PRIVATE.most_epsilon]
    np.testing.assert_allclose([spend(tmp_path, PRIVATE) for _ in within], within)
    with pytest.raises(ValueError, match=r"expected epsilon 8 at the most, found 8\.\d\d"):
        spend(tmp_path, PRIVATE)
    assert spent(tmp_path) == [Steps(1.0, 0.2, 10)] * len(within)


def test_a_file_of_what_was_spent_that_says_something_else_is_refused(tmp_path):
    (tmp_path / SPENT).write_text("1.0,0.2\n")
    with pytest.raises(ValueError, match="expected lines of noise, share and steps"):
        spend(tmp_path, PRIVATE)
