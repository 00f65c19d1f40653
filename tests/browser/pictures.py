"""The README's pictures of the page, taken anew: ``python -m tests.browser.pictures [FOLDER]``.

All show the built-in sample, an average of 152 heads without a face; never a person's scan.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.serving import FLAGS, ROOT, browser_path, serving

PLACE = ROOT / "docs" / "pictures"
LARGEST_BYTES = 150_000
WIDTH, HEIGHT, PATIENCE_MS = 1280, 1240, 1_800_000
SHOWN_WIDTH = 1024
QUESTIONS = ("Is the left hippocampus small?", "左右两侧有差别吗？")


def shots(page: Page) -> Iterator[tuple[str, bytes]]:
    """Draft the sample and yield each picture with its name."""
    page.get_by_role("button", name="Open the built-in sample").click()
    page.wait_for_selector(".vx-report [data-act]")
    page.wait_for_function("window.voxcite.ready && window.voxcite.feed.stage === 'found'")
    page.locator('.vx-line a[data-record="m4"]').first.click()
    page.evaluate("document.querySelector('.vx-report').scrollTop = 0; window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    yield "page", page.screenshot()
    evidence = page.locator(".vx-evidence").first
    evidence.scroll_into_view_if_needed()
    yield "evidence", evidence.screenshot()
    for question in QUESTIONS:
        before = page.locator('[data-testid="bot"]').count()
        page.fill("#vx-question textarea", question)
        page.get_by_role("button", name="Ask", exact=True).click()
        page.locator('[data-testid="bot"]').nth(before).locator("a").first.wait_for()
    page.wait_for_timeout(1500)
    page.locator("#vx-chat").evaluate("(chat) => { chat.style.height = '640px'; }")
    yield "questions", page.locator("#vx-chat").screenshot()


def small(data: bytes) -> bytes:
    """Write a picture with as many colours as its size allows; raises ValueError for none."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.thumbnail((SHOWN_WIDTH, HEIGHT))
    for colours in (256, 128, 64, 32):
        stream = io.BytesIO()
        picture.quantize(colours).save(stream, "PNG", optimize=True)
        if len(stream.getvalue()) < LARGEST_BYTES:
            return stream.getvalue()
    msg = f"expected a picture below {LARGEST_BYTES} bytes, found a larger one; show less of it"
    raise ValueError(msg)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a page, take the pictures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=PLACE)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as state,
        serving(Path(state)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}/en/", timeout=PATIENCE_MS)
        page.wait_for_selector("#vx-status .vx-said")
        for name, data in shots(page):
            (folder / f"{name}.png").write_bytes(small(data))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
