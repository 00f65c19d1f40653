"""A served page and a real browser; skipped, with the reason, where there is no Chromium."""

from contextlib import contextmanager
from functools import partial

import pytest

from tests.browser.rounds import coarse_sample, opened, viewing
from tests.browser.serving import FLAGS, browser_path, held, serving

ANSWERS_WITHIN_MS = 180_000


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """Where the served page keeps what it keeps, and is told where to wait."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def served(kept):
    """Run the page in a process of its own; return its address."""
    pytest.importorskip("gradio", reason="the chat page needs voxcite[app]")
    with serving(kept) as address:
        yield address


@pytest.fixture
def hold(kept, served):
    """Let the served page wait at a point of ``paced`` for as long as a test asks."""
    return partial(held, kept)


@pytest.fixture(scope="session")
def chromium():
    """Return a headless Chromium, Debian's own."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = browser_path()
    if path is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=120_000)
        yield browser
        browser.close()


@contextmanager
def visits(chromium, served):
    """Yield what opens the page, each time as a browser of its own that gathers whom it asks."""
    contexts = []

    def visit(path="/en/", *, token=None, width=1280, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        if token is not None:
            context.add_cookies([{"name": "voxcite", "value": token, "url": served}])
        page = context.new_page()
        page.set_default_timeout(ANSWERS_WITHIN_MS)
        page.set_default_navigation_timeout(ANSWERS_WITHIN_MS)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(served + path)
        page.wait_for_selector("#vx-status .vx-said, #vx-status .vx-progress")
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def visit(chromium, served):
    """Open the page as a browser of its own; gather which hosts it asks."""
    with visits(chromium, served) as visit:
        yield visit


@pytest.fixture
def drafted(visit):
    """The page with slices from the server: drawing in software takes most of a browser's time."""
    return opened(visit, "/en/?no-webgl=1")


@pytest.fixture(scope="module")
def asking(chromium, served):
    """One such page for all tests of a file that leave it as they found it."""
    with visits(chromium, served) as visit:
        yield opened(visit, "/en/?no-webgl=1")


@pytest.fixture(scope="module")
def viewed(chromium, served, tmp_path_factory):
    """One page with its viewer, ready, for all tests of a file."""
    scan = coarse_sample(tmp_path_factory.mktemp("scan") / "coarse.nii.gz")
    with visits(chromium, served) as visit:
        yield viewing(visit, scan)
