"""A browser that really has no WebGL finds that out by itself."""

import pytest

from tests.browser.conftest import visits
from tests.browser.rounds import crosshair, opened
from tests.browser.serving import FLAGS, browser_path

pytestmark = pytest.mark.slow
CONTEXT = "document.createElement('canvas').getContext('{}')"
DRAWN = "document.querySelector('#vx-slices img[data-plane=coronal]').naturalWidth > 50"


@pytest.fixture
def blind(chromium):
    """A browser of its own in which nothing can be drawn in three dimensions."""
    browser = chromium.browser_type.launch(
        executable_path=browser_path(), args=[*FLAGS, "--disable-3d-apis"], timeout=120_000
    )
    yield browser
    browser.close()


def test_a_browser_without_webgl_is_shown_the_servers_slices(blind, served):
    with visits(blind, served) as visit:
        page = opened(visit, "/en/")
        found = [page.evaluate(CONTEXT.format(kind)) for kind in ("webgl", "webgl2")]
        assert found == [None, None]
        page.wait_for_function(DRAWN)
        assert page.locator("#vx-slices >> text=This browser has no WebGL").is_visible()
        assert not page.locator("#vx-canvas").is_visible()
        page.locator('.vx-line a[data-record="m4"]').first.click()
        assert crosshair(page)[0] > 15
