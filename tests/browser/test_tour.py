"""Each state that the page can be in holds the rules of WCAG; ``tour.py`` goes there."""

from itertools import cycle
from pathlib import Path

import pytest

import prompts
from tests.browser.serving import locked

pytestmark = pytest.mark.slow
tour = pytest.importorskip("tests.browser.tour", reason="needs axe-playwright-python")
SHOTS = Path(__file__).resolve().parents[2] / "screenshots"
# Each state once, the languages in turn; ``tour.py`` goes through all states in each language.
TURNS = tuple(zip(tour.STAGES, cycle(prompts.languages()), strict=False))
STATES = {
    "opening": {"empty", "sending", "segmenting", "stopped", "growing", "drafted"},
    "changing": {"cited", "nameless", "editing", "contradiction", "overridden", "signed"},
    "asking": {"answering", "hushed", "answered"},
    "comparing": {"prior-refused", "prior", "change"},
    "refusing": {"series", "refused", "sessions", "no-webgl"},
}


@pytest.fixture
def eye(chromium):
    """What looks, and leaves pictures in a folder that git ignores; ``tour.py`` leaves all."""
    SHOTS.mkdir(exist_ok=True)
    return tour.Eye(chromium, SHOTS, tour.DIAGONAL)


@pytest.mark.parametrize(
    ("stage", "language"), TURNS, ids=lambda part: getattr(part, "__name__", part)
)
def test_every_state_holds_the_rules(eye, served, kept, tmp_path, language, stage):
    going = tour.Tour.of(language, tmp_path, kept)
    with eye.page(f"{served}/{language}/", f"{language:t<43}") as page:
        found = tour.round_of(eye, page, language, stage(going, page))
    assert {state: told for state, told in found.items() if told} == {}
    assert found.keys() == STATES[stage.__name__]


@pytest.fixture
def entrance(eye, tmp_path):
    """The page that asks for a login."""
    with (
        locked(tmp_path, tour.PASSWORDS) as address,
        eye.page(f"{address}/login", "n" * 43) as page,
    ):
        yield page


def test_the_form_that_asks_for_a_login_holds_the_rules(eye, entrance):
    assert eye.look(entrance, "login") == []
    form = entrance.locator("form[lang=en]")
    form.locator("input[name=name]").fill("ada")
    form.locator("input[name=password]").fill("something else")
    form.locator("button").click()
    entrance.wait_for_selector("[role=alert]")
    assert eye.look(entrance, "login-wrong") == []
