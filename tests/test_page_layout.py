"""What Gradio would show or open by default is closed, and programs find three endpoints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import prompts
from assistant.page.guard import HEADERS
from prompts import page

pytest.importorskip("sqlalchemy", reason="the chat page needs voxcite[app]")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
languages = pytest.mark.parametrize("language", prompts.languages())
# Gradio leaves event loops open, which the tests' own process would take for a fault of ours.
PROBE = """
import asyncio, json, sys
from pathlib import Path
import httpx
import prompts
from assistant.page.layout import blocks, mount
from assistant.page.server import Options, application, open_parts

parts = open_parts(Options(Path(sys.argv[1])))
guard = application(parts, mount)

async def ask(path):
    transport = httpx.ASGITransport(app=guard)
    cookies = {"cookie": "voxcite=" + "a" * 43}
    base = "http://127.0.0.1:7860"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=cookies) as client:
        answer = await client.get(path)
        return answer.status_code, dict(answer.headers)

found = {}
for language in prompts.languages():
    made = blocks(parts, language)
    kinds = [(b.get_block_name(), b) for b in made.blocks.values()]
    found[language] = {
        "endpoints": sorted(made.get_api_info()["named_endpoints"]),
        "chat": [[b.buttons, b.sanitize_html] for kind, b in kinds if kind == "chatbot"],
        "labels": [b.label for kind, b in kinds if kind in ("textbox", "dropdown")],
        "page": asyncio.run(ask(f"/{language}/")),
        "closed": [
            asyncio.run(ask(f"/{language}/{path}"))[0]
            for path in ("gradio_api/file=/etc/passwd", "monitoring", "gradio_api/runs")
        ],
    }
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """What the page of each language is made of, and what the server answers."""
    state = tmp_path_factory.mktemp("state")
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", PROBE, str(state)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@languages
def test_programs_find_three_endpoints_and_no_other(pages, language):
    assert pages[language]["endpoints"] == ["/ask", "/draft", "/export"]


@languages
def test_an_answer_can_be_copied_and_not_shared(pages, language):
    assert pages[language]["chat"] == [[["copy", "copy_all"], True]]


@languages
def test_every_control_has_a_label_in_the_language_of_the_page(pages, language):
    assert set(pages[language]["labels"]) <= set(page.load(language).values())


@languages
def test_the_page_is_served_behind_the_guard(pages, language):
    status, headers = pages[language]["page"]
    assert status == 200
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert pages[language]["closed"] == [404, 404, 404]
