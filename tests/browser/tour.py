"""A round through every state of the page: pictures to look at, and what axe-core finds in each.

A page of its own is served; knows nothing of what a picture should show.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from prompts import page as words
from tests.browser.serving import FLAGS, browser_path, serving

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
WIDTHS = (1280, 800)
QUESTIONS = ("How large is the left hippocampus?", "左侧海马有多大？")
HEIGHT, PATIENCE_MS = 900, 600_000


def tour(page: Page, say: dict[str, str]) -> Iterator[str]:
    """Take a page from empty to exported, yielding the name of each state as it is reached."""
    yield "empty"
    page.get_by_role("button", name=say["study.sample"]).click()
    page.wait_for_selector("#vx-status .vx-progress")
    page.wait_for_function("window.voxcite.ready === true")
    yield "measuring"
    page.wait_for_selector(".vx-report [data-act]")
    page.wait_for_function("window.voxcite.ready === true")
    yield "drafted"
    page.locator('.vx-line a[data-record="m4"]').first.click()
    yield "cited"
    yield from _changing(page, say)
    yield from _asking(page, say)
    yield from _refusing(page, say)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).first.click()


def _changing(page: Page, say: dict[str, str]) -> Iterator[str]:
    page.get_by_label(say["who"]).fill("Dr Test")
    line = page.locator(".vx-line:has([data-record=m1])").first
    line.locator('[data-act="edit"]').click()
    field = page.locator("#vx-sentence textarea")
    page.wait_for_function("document.querySelector('#vx-sentence textarea')?.value.includes('{m1')")
    yield "editing"
    field.fill("{m1.name}: 9.99 mL.")
    press(page, say["edit.save"])
    page.wait_for_selector(".vx-contradiction")
    yield "edited"
    press(page, say["undo"])
    page.wait_for_selector(".vx-contradiction", state="detached")
    press(page, say["override"])
    page.get_by_label(say["override.record"], exact=True).click()
    page.get_by_role("option", name="m4").click()
    for name, value in (("value", "3.9"), ("lower", "3.6"), ("upper", "4.2")):
        page.get_by_label(say[f"override.{name}"], exact=True).fill(value)
    press(page, say["override.save"])
    page.wait_for_selector(".vx-report >> text=3.90")
    yield "overridden"
    press(page, say["sign"])
    page.wait_for_selector(".vx-signed")
    yield "signed"
    press(page, say["export"])
    page.wait_for_selector(".vx-exports a")
    press(page, say["trail"])
    page.wait_for_selector(".vx-trail")
    yield "exported"


def _asking(page: Page, say: dict[str, str]) -> Iterator[str]:
    for question in QUESTIONS:
        before = page.locator('[data-testid="bot"]').count()
        page.fill("#vx-question textarea", question)
        page.get_by_role("button", name=say["chat.send"], exact=True).click()
        page.locator('[data-testid="bot"]').nth(before).locator("a").first.wait_for()
    yield "chat"


def _refusing(page: Page, say: dict[str, str]) -> Iterator[str]:
    file = {"name": "scan.nii", "mimeType": "x/y", "buffer": b"no scan"}
    page.set_input_files("#vx-upload input[type=file] >> nth=0", files=[file])
    page.wait_for_selector(".vx-refusal")
    yield "refused"
    page.get_by_label(say["study.open"]).click()
    page.wait_for_selector("[role=option]")
    yield "sessions"


def look(browser: Browser, address: str, folder: Path, language: str, scheme: str) -> list[str]:
    """Go round once; keep a picture of each state and width, and return what axe-core found."""
    context = browser.new_context(
        viewport={"width": WIDTHS[0], "height": HEIGHT}, color_scheme=scheme
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}/{language}/")
    page.wait_for_selector("#vx-status .vx-said")
    found = []
    for number, state in enumerate(tour(page, words.load(language))):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            page.wait_for_timeout(400)
            name = f"{language}-{scheme}-{width}-{number:02d}-{state}"
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            rules = Axe().run(page, options={"runOnly": RULES}).response["violations"]
            found += [f"{name}: {r['id']}: {n['html'][:160]}" for r in rules for n in r["nodes"]]
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                found.append(f"{name}: wider than the window")
        page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})
    context.close()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Go round in each language and scheme; print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--languages", nargs="*", default=["en", "zh"])
    parser.add_argument("--schemes", nargs="*", default=["light", "dark"])
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    found = []
    with (
        tempfile.TemporaryDirectory() as state,
        serving(Path(state)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        for language in chosen.languages:
            for scheme in chosen.schemes:
                found += look(browser, address, chosen.folder, language, scheme)
        browser.close()
    sys.stdout.write("".join(f"{told}\n" for told in found) + f"{len(found)} found\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
