"""How quickly the chat page paints, measures, scrolls and serves several, and what it keeps.

    python -m tests.benchmarks.page [--writer vlm] [--visits 5] [--drops 3] [--sessions 5]
        [--requests 2880] [--minutes 15]

Chromium draws in software. All is measured on the sample, an average head; the 256^3 study is the
same, padded. The last figure is eight hours of one request every ten seconds, sent in a quarter
of an hour: memory and temporary files after a tenth of the requests are compared with the end's.
With ``--only NAME`` one part runs alone; ``--requests 60 --minutes 1`` is a short form.
"""

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nibabel
import numpy as np
from gradio_client import Client
from playwright.sync_api import Browser, Page, sync_playwright

from assistant.study import read_sample
from tests.browser.serving import FLAGS, browser_path, started

LONGEST_MS = 900_000
SIDE = 256
# In the page: the moment, in its own clock, at which each thing is first there.
WATCH = """
window.moments = {};
const seen = {
  interactive: () => window.voxcite && window.voxcite.send && document.querySelector(
    '#vx-status .vx-said, #vx-status .vx-progress'),
  overlay: () => window.voxcite && window.voxcite.ready && window.voxcite.feed.stage === 'found',
  measured: () => document.querySelector('.vx-record'),
  statement: () => document.querySelector('#vx-draft .vx-line'),
  drafted: () => document.querySelector('#vx-draft [data-act]'),
};
const look = () => {
  for (const [name, is] of Object.entries(seen))
    if (!(name in window.moments) && is()) window.moments[name] = performance.now();
};
setInterval(look, 20);
"""
SCROLL = """
async () => {
  const nv = window.voxcite.viewer, began = performance.now();
  let frames = 0;
  while (performance.now() - began < 5000) {
    nv.moveCrosshairInVox(0, 0, frames % 40 < 20 ? 1 : -1); // which draws
    nv.gl.finish();
    await new Promise((drawn) => requestAnimationFrame(drawn));
    frames++;
  }
  return 1000 * frames / (performance.now() - began);
}
"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@dataclass(frozen=True)
class Figure:
    """What was measured, what was wanted, and every value."""

    name: str
    wanted: str
    values: tuple[float, ...]
    unit: str

    def row(self) -> str:
        """Write one row of the table."""
        if not self.values:
            return f"| {self.name} | {self.wanted} | – | 0 |"
        middle = statistics.median(self.values)
        ends = f"{min(self.values):.2f} to {max(self.values):.2f}"
        told = f"{middle:.2f} {self.unit} ({ends})"
        return f"| {self.name} | {self.wanted} | {told} | {len(self.values)} |"


@dataclass(frozen=True)
class Bench:
    """A served page, the process that serves it, a browser, and how often to look."""

    address: str
    process: subprocess.Popen[bytes]
    scratch: Path
    browser: Browser
    asked: argparse.Namespace

    @contextmanager
    def visit(self, query: str = "") -> Iterator[Page]:
        """Open the page as a browser of its own."""
        with self.browser.new_context(viewport={"width": 1280, "height": 900}) as context:
            page = context.new_page()
            page.set_default_timeout(LONGEST_MS)
            page.add_init_script(WATCH)
            page.goto(f"{self.address}/en/{query}")
            page.wait_for_function("'interactive' in window.moments")
            yield page


def importing(bench: Bench) -> Iterator[Figure]:
    """Time ``import app`` in processes of their own."""
    code = "import time; t = time.perf_counter(); import app; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    took = [float(subprocess.check_output(command)) for _ in range(bench.asked.visits)]
    yield Figure("import app", "< 1 s", tuple(took), "s")


def painting(bench: Bench) -> Iterator[Figure]:
    """Time first paint and the first moment at which every control answers, on a warm server."""
    paints, answers = [], []
    for _ in range(1 + bench.asked.visits):
        with bench.visit() as page:
            paints.append(page.evaluate(PAINT) / 1000)
            answers.append(page.evaluate("window.moments.interactive") / 1000)
    yield Figure("first paint", "< 2 s", tuple(paints[1:]), "s")  # the first visit warms
    yield Figure("interactive", "< 4 s", tuple(answers[1:]), "s")


def measuring(bench: Bench) -> Iterator[Figure]:
    """Drop a 256^3 study; time its overlay, and its first statement.

    The statement is timed in a browser without WebGL: drawing in software keeps one from showing
    anything else meanwhile.
    """
    overlays, waits = [], []
    for _ in range(bench.asked.drops):
        with bench.visit() as page:
            overlays.append(_drop(page, bench.scratch)["overlay"])
        with bench.visit("?no-webgl") as page:
            moments = _drop(page, bench.scratch)
            waits.append(moments["statement"] - moments["measured"])
    yield Figure("256^3 from drop to overlay", "< 25 s", tuple(overlays), "s")
    yield Figure("first statement after the measurements", "< 3 s", tuple(waits), "s")


def scrolling(bench: Bench) -> Iterator[Figure]:
    """Scroll through a 256^3 study, in three planes at once and in one; count the frames."""
    with bench.visit() as page:
        _drop(page, bench.scratch)
        rates = [page.evaluate(SCROLL) for _ in range(3)]
        yield Figure("scrolling three planes, software WebGL", ">= 20 /s", tuple(rates), "/s")
        page.locator('button[data-value="Axial"]').click()
        rates = [page.evaluate(SCROLL) for _ in range(3)]
        yield Figure("scrolling one plane, software WebGL", ">= 20 /s", tuple(rates), "/s")


def _drop(page: Page, folder: Path) -> dict[str, float]:
    """Drop the study and wait for its draft; return after how many seconds each thing was there."""
    path = folder / "padded.nii.gz"
    if not path.exists():
        _write_padded(path)
    dropped = page.evaluate("performance.now()")
    page.set_input_files("#vx-upload input[type=file] >> nth=0", files=[path])
    page.wait_for_function("'drafted' in window.moments && 'overlay' in window.moments")
    moments = page.evaluate("window.moments")
    return {name: (moment - dropped) / 1000 for name, moment in moments.items()}


def together(bench: Bench) -> Iterator[Figure]:
    """Begin several sessions at once; count failures and those that waited without a place."""
    with ExitStack() as visits:
        pages = [visits.enter_context(bench.visit()) for _ in range(bench.asked.sessions)]
        for page in pages:
            page.get_by_role("button", name="Open the built-in sample").click()
        placed = set()
        began = time.monotonic()
        while time.monotonic() - began < LONGEST_MS / 1000:
            ended = [page.evaluate("'drafted' in window.moments") for page in pages]
            refused = [page.locator(".vx-refusal").count() > 0 for page in pages]
            said = [page.inner_text("#vx-status") for page in pages]
            placed |= {number for number, told in enumerate(said) if "studies before" in told}
            if all(one or other for one, other in zip(ended, refused, strict=True)):
                break
            time.sleep(0.1)
        failed = sum(not one for one in ended)
    yield Figure("sessions at once that failed", "0", (float(failed),), "")
    unplaced = len(pages) - 1 - len(placed)  # the first one waits for nobody
    yield Figure("sessions that waited without a place", "0", (float(max(unplaced, 0)),), "")


def lasting(bench: Bench) -> Iterator[Figure]:
    """Send the requests of a working day; compare memory and temporary files with an early look."""
    token = secrets.token_urlsafe(32)
    cookie = {"cookie": f"voxcite={token}"}
    client = Client(f"{bench.address}/en/", headers=cookie, verbose=False)
    study = client.predict("sample", "hippocampus", api_name="/draft")["study"]
    count, pause = bench.asked.requests, bench.asked.minutes * 60 / bench.asked.requests
    early = max(count // 10, 1)
    failed = 0
    with httpx.Client(base_url=bench.address, headers=cookie, timeout=120) as web:
        for number in range(count):
            began = time.monotonic()
            failed += not _request(web, client, study, number)
            if number + 1 == early:
                before = _memory_mb(bench.process.pid), _files_mb(bench.scratch)
            time.sleep(max(pause - (time.monotonic() - began), 0))
    memory, files = _memory_mb(bench.process.pid), _files_mb(bench.scratch)
    yield Figure(f"requests that failed, of {count}", "0", (float(failed),), "")
    yield Figure("memory at the end", "", (memory,), "MB")
    yield Figure("growth of memory", "<= 5 %", (100 * (memory / before[0] - 1),), "%")
    yield Figure("growth of temporary files", "0 MB", (files - before[1],), "MB")


def _request(web: httpx.Client, client: Client, study: str, number: int) -> bool:
    """Do the next thing that somebody does all day; tell whether it went well."""
    kind = number % 5
    if kind == 0:
        asked = ("How large is the left hippocampus?", "左右两侧有差别吗？")[number // 5 % 2]
        return bool(client.predict(study, asked, api_name="/ask")["lines"])
    if kind == 4 and number % 50 == 4:
        sent = web.post("/upload", files={"files": ("scan.nii", b"no scan")})
        token = sent.json()["upload"]
        try:
            client.predict(token, "hippocampus", api_name="/draft")
        except Exception as error:  # gradio_client's own; a refusal is what is wanted
            return "unreadable" in str(error)
        return False
    paths = {
        1: f"/study/{study}/slice/axial/{number % 150}.png",
        2: f"/study/{study}/export/{('json', 'markdown')[number // 5 % 2]}",
        3: "/en/",
        4: f"/study/{study}/file/segmentation.nii.gz",
    }
    return web.get(paths[kind]).status_code == 200


def _memory_mb(pid: int) -> float:
    """Read the resident memory of the server."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _files_mb(folder: Path) -> float:
    """Add up the server's temporary files and uploads.

    Studies and their history, which are kept on purpose, are neither.
    """
    kept = {folder / "log.txt", folder / "kept" / "studies", *folder.glob("kept/voxcite.sqlite*")}
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(p.stat().st_size for p in files if kept.isdisjoint((p, *p.parents))) / 2**20


def _write_padded(path: Path) -> None:
    """Write the sample in the middle of a 256^3 grid of 1 mm."""
    volume = read_sample().volume
    before = [(SIDE - length) // 2 for length in volume.geometry.shape]
    after = [SIDE - length - b for length, b in zip(volume.geometry.shape, before, strict=True)]
    affine = np.array(volume.geometry.affine)
    affine[:3, 3] -= affine[:3, :3] @ np.array(before, dtype=np.float64)
    array = np.pad(volume.array, list(zip(before, after, strict=True)))
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "importing": importing,
    "painting": painting,
    "measuring": measuring,
    "scrolling": scrolling,
    "together": together,
    "lasting": lasting,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--drops", type=int, default=3)
    parser.add_argument("--writer", choices=("template", "vlm"), default="vlm")
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2880)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS), default=list(PARTS))
    asked = parser.parse_args(arguments)
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    print(f"{os.cpu_count()} cores, {load}; the {asked.writer} writer\n")
    print("| figure | wanted | median (range) | n |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        scratch = Path(folder)
        (scratch / "tmp").mkdir()
        environment = {"TMPDIR": str(scratch / "tmp")}
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        arguments = ("--writer", asked.writer)
        with started(scratch, environment=environment, arguments=arguments) as (address, process):
            bench = Bench(address, process, scratch, browser, asked)
            for name in asked.only:
                for figure in PARTS[name](bench):
                    print(figure.row(), flush=True)
        browser.close()
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
