"""A round through every state of the page: pictures to look at, and what axe-core finds in each.

Each stage begins with a page and yields the name of a state once it is reached. Knows nothing of
what a picture should show.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

import prompts
from prompts import page as words
from tests.browser.rounds import coarse_sample
from tests.browser.serving import FLAGS, browser_path, held, locked, serving
from tests.hostile.make import dicom_slices

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Colour schemes and widths of the window; the diagonal has each of them once.
DIAGONAL = (("light", 1280), ("dark", 800))
LOOKS = (*DIAGONAL, ("light", 800), ("dark", 1280))
HEIGHT, PATIENCE_MS, SETTLED_MS = 900, 120_000, 200
SIZE = {"width": 1280, "height": HEIGHT}
MOVED_MM = (12.0, -8.0, 5.0)
# A narrow window may scroll a table sideways; a wide one has room for it.
CUT = """[...document.querySelectorAll('.vx-scroll')].some(
    place => place.scrollWidth > place.clientWidth)"""
FILES = "#vx-upload input[type=file] >> nth=0"
PRIOR = "#vx-input input[type=file] >> nth=0"
BOT = '[data-testid="bot"]'
DRAFTED = ".vx-report [data-act]"
READY = "window.voxcite && window.voxcite.ready === true"
QUESTIONS = ("How large is the left hippocampus?", "左侧海马有多大？")
BROKEN = {"name": "scan.nii", "mimeType": "x/y", "buffer": b"no scan"}
PASSWORDS = {"ada": "nobody ever enters"}


@dataclass(frozen=True)
class Tour:
    """What a round needs: the words of the page, the scans that are sent, and a hold on it."""

    say: dict[str, str]
    current: Path
    prior: Path
    series: tuple[Path, ...]
    hold: Callable[[str], AbstractContextManager[None]]

    @classmethod
    def of(cls, language: str, folder: Path, state: Path) -> "Tour":
        """Make the files in a folder, of a page that is served from ``state``."""
        study = dicom_slices(folder / "study", series=2)
        dicom_slices(study, series=5, count=4)
        return cls(
            words.load(language),
            coarse_sample(folder / "current.nii.gz"),
            coarse_sample(folder / "prior.nii.gz", MOVED_MM),
            tuple(sorted(study.iterdir())),
            partial(held, state),
        )

    def opening(self, page: Page) -> Iterator[str]:
        """Take a page from empty to a draft, through all that is seen on the way."""
        yield "empty"
        unfold(page, self.say["referral"])
        page.route("**/upload", lambda route: None)  # it never arrives
        page.set_input_files(FILES, files=[BROKEN])
        page.wait_for_selector("#vx-upload .vx-abort")
        yield "sending"
        press(page, self.say["upload.stop"])
        page.unroute("**/upload")
        unfold(page, self.say["referral"])
        with self.hold("segmenting"):
            page.set_input_files(FILES, self.current)
            page.wait_for_function(READY)
            yield "segmenting"
            press(page, self.say["stop"])
            page.wait_for_selector(f"text={self.say['step.cancelled']}")
            yield "stopped"
        with self.hold("growing"):
            page.set_input_files(FILES, self.current)
            page.locator(".vx-report[aria-busy] .vx-line").nth(2).wait_for()
            page.wait_for_function(f"{READY} && window.voxcite.feed.stage === 'found'")
            yield "growing"
            other = page.context.new_page()
            other.goto(page.url)
            other.set_input_files(FILES, self.current)
            other.wait_for_selector(f"text={self.say['step.waiting'].format(place=1)}")
            other.close()
        self._settled(page)
        yield "drafted"

    def changing(self, page: Page) -> Iterator[str]:
        """Correct, override, sign and export a draft."""
        self._drafted(page)
        page.locator('.vx-line a[data-record="m4"]').first.click()
        yield "cited"
        press(page, self.say["sign"])
        page.get_by_text(self.say["who.missing"]).first.wait_for()
        yield "nameless"
        page.get_by_label(self.say["who"]).fill("Dr Test")
        self._edit(page, "{m1.name}: 9.99 mL.")
        yield "editing"
        press(page, self.say["edit.save"])
        page.wait_for_selector(".vx-contradiction")
        unfold(page, self.say["export"])
        page.locator(".vx-exports a").first.click()
        page.wait_for_selector("#vx-export-status:not(:empty)")
        yield "contradiction"
        press(page, self.say["undo"])
        page.wait_for_selector(".vx-contradiction", state="detached")
        page.wait_for_selector("#vx-export-status:empty", state="attached")
        page.locator('.vx-line [data-act="accept"]').first.click()
        page.wait_for_selector(".vx-accepted")
        self._override(page)
        yield "overridden"
        press(page, self.say["sign"])
        page.wait_for_selector(".vx-signed")
        unfold(page, self.say["trail"])
        page.wait_for_selector(".vx-trail")
        yield "signed"

    def asking(self, page: Page) -> Iterator[str]:
        """Ask in both languages, and stop an answer in its middle."""
        self._drafted(page)
        with self.hold("answering"):
            page.locator("#vx-suggested button").nth(1).click()
            page.locator(BOT).last.locator("a").first.wait_for()
            yield "answering"
            page.locator("#vx-hush").click()
            page.get_by_text(self.say["chat.broken_off"]).first.wait_for()
            yield "hushed"
        for question in QUESTIONS:
            before = page.locator(BOT).count()
            self._ask(page, question)
            page.locator(BOT).nth(before).locator("a").first.wait_for()
        yield "answered"

    def comparing(self, page: Page) -> Iterator[str]:
        """Lay a prior scan beside the current one, and draft again."""
        self._drafted(page)
        unfold(page, self.say["prior"])
        page.set_input_files(PRIOR, files=[BROKEN])
        page.wait_for_selector("#vx-beside .vx-refusal")
        yield "prior-refused"
        page.set_input_files(PRIOR, self.prior)
        page.wait_for_selector("#vx-beside .vx-said")
        page.wait_for_function("window.voxcite.prior && window.voxcite.prior.volumes.length === 1")
        yield "prior"
        before = page.evaluate("window.voxcite.feed.study")
        press(page, self.say["prior.compare"])
        page.wait_for_function("before => window.voxcite.feed.study !== before", arg=before)
        self._settled(page)
        page.wait_for_selector("#vx-change .vx-changes")
        yield "change"
        self._delete(page)

    def refusing(self, page: Page) -> Iterator[str]:
        """Send what is refused; look at what is open; look without WebGL."""
        self._drafted(page)
        page.set_input_files(FILES, self.series)
        page.locator(".vx-choice").nth(1).wait_for()
        yield "series"
        self._delete(page)
        page.set_input_files(FILES, files=[BROKEN])
        page.wait_for_selector("#vx-status .vx-refusal")
        yield "refused"
        page.get_by_label(self.say["study.open"]).click()
        page.wait_for_selector("[role=option]")
        yield "sessions"
        page.keyboard.press("Escape")
        self._delete(page)
        page.goto(f"{page.url}?no-webgl=1")
        self._settled(page)
        yield "no-webgl"

    def _drafted(self, page: Page) -> None:
        """Draft the scan unless a stage before has."""
        page.wait_for_selector("#vx-draft .vx-empty, .vx-report")
        if page.locator(DRAFTED).count() == 0:
            page.set_input_files(FILES, self.current)
        self._settled(page)

    def _settled(self, page: Page) -> None:
        page.wait_for_selector(DRAFTED)
        page.wait_for_function(READY)

    def _edit(self, page: Page, sentence: str) -> None:
        line = page.locator(".vx-line:has([data-record=m1])").first
        line.locator('[data-act="edit"]').click()
        field = "#vx-sentence textarea"
        page.wait_for_function(f"document.querySelector('{field}')?.value.includes('{{m1')")
        page.fill(field, sentence)
        page.wait_for_selector(".vx-preview >> text=9.99")

    def _override(self, page: Page) -> None:
        unfold(page, self.say["override"])
        page.get_by_label(self.say["override.record"], exact=True).click()
        page.get_by_role("option", name="m4").click()
        for name, value in (("value", "3.9"), ("lower", "3.6"), ("upper", "4.2")):
            page.get_by_label(self.say[f"override.{name}"], exact=True).fill(value)
        press(page, self.say["override.save"])
        page.wait_for_selector(".vx-report >> text=3.90")

    def _ask(self, page: Page, question: str) -> None:
        page.fill("#vx-question textarea", question)
        press(page, self.say["chat.send"])

    def _delete(self, page: Page) -> None:
        """Delete what is open; what was open before is shown again."""
        if not page.get_by_role("button", name=self.say["study.delete_sure"]).is_visible():
            unfold(page, self.say["study.delete"])
        press(page, self.say["study.delete_sure"])
        self._settled(page)


STAGES = (Tour.opening, Tour.changing, Tour.asking, Tour.comparing, Tour.refusing)


def press(page: Page, name: str) -> None:
    """Press the first button of this name."""
    page.get_by_role("button", name=name, exact=True).first.click()


def unfold(page: Page, name: str) -> None:
    """Open or close what is folded away below this name."""
    page.locator("button.label-wrap", has_text=name).first.click()


@dataclass(frozen=True)
class Eye:
    """Looks at pages and keeps pictures of them in a folder."""

    browser: Browser
    folder: Path
    looks: tuple[tuple[str, int], ...] = LOOKS

    @contextmanager
    def page(self, address: str, token: str) -> Iterator[Page]:
        """Open a page as a browser of its own."""
        with closing(self.browser.new_context(viewport=SIZE)) as context:
            context.add_cookies([{"name": "voxcite", "value": token, "url": address}])
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.goto(address)
            page.wait_for_selector("#vx-status .vx-said, #vx-status .vx-refusal, form[lang]")
            yield page

    def look(self, page: Page, state: str) -> list[str]:
        """Keep a picture of each scheme and width; list rules that are broken, what is too wide.

        The rules are tried where a scheme or a width comes for the first time.
        """
        told, seen = [], set[object]()
        for scheme, width in self.looks:
            name = f"{state}-{scheme}-{width}"
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": HEIGHT})
            page.wait_for_timeout(SETTLED_MS)
            page.screenshot(path=self.folder / f"{name}.png", full_page=True)
            if not {scheme, width} <= seen:
                told += [f"{name}: {broken}" for broken in _broken(page)]
            seen |= {scheme, width}
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(SIZE)
        return told


def _broken(page: Page) -> Iterator[str]:
    """Name each rule that is broken, with where, and say what is wider than the window."""
    for rule in Axe().run(page, options={"runOnly": RULES}).response["violations"]:
        yield from (f"{rule['id']}: {node['html'][:160]}" for node in rule["nodes"])
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        yield "wider than the window"
    if page.viewport_size == SIZE and page.evaluate(CUT):
        yield "a table is wider than its place"


def round_of(eye: Eye, page: Page, name: str, states: Iterator[str]) -> dict[str, list[str]]:
    """Go through the states of one stage; return what was found in each."""
    return {state: eye.look(page, f"{name}-{state}") for state in states}


def main(arguments: Sequence[str] | None = None) -> int:
    """Go round in each language; print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--languages", nargs="*", default=list(prompts.languages()))
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        place = Path(scratch)
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        eye = Eye(browser, chosen.folder)
        with locked(place, PASSWORDS) as address, eye.page(f"{address}/login", "n" * 43) as page:
            found += eye.look(page, "login")
        with serving(place) as address:
            for language in chosen.languages:
                tour = Tour.of(language, place / language, place)
                for stage in STAGES:
                    with eye.page(f"{address}/{language}/", f"{language:t<43}") as page:
                        told = round_of(eye, page, language, stage(tour, page))
                        found += [line for lines in told.values() for line in lines]
        browser.close()
    sys.stdout.write("".join(f"{told}\n" for told in found) + f"{len(found)} found\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
