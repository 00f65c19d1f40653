"""What ``app.main`` sets before it serves, in a process whose environment says otherwise."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import prompts
from assistant.page.guard import POLICY

ROOT = Path(__file__).resolve().parents[1]
NIIVUE = ROOT / "assistant" / "page" / "static" / "niivue.umd.js"
# Of NiiVue 0.69.0, as the npm package has it.
NIIVUE_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
SELF, NONE = ["'self'"], ["'none'"]
DIRECTIVES = {
    "default-src": SELF,
    "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:", "blob:"],
    "font-src": ["'self'", "data:"],
    "connect-src": ["'self'", "blob:", "data:"],
    "worker-src": ["'self'", "blob:"],
    "frame-ancestors": NONE,
    "form-action": SELF,
    "base-uri": SELF,
    "object-src": NONE,
}
OURS = ("GRADIO_", "HF_")
SECRET = "a sentence for the log alone"
# It stands where the server would listen, and asks the page itself what Gradio was told.
PROBE = """
import asyncio, json, os, sys
import httpx
import app

def asked(guard, options):
    import huggingface_hub
    from assistant.page.program import Program

    def fails(*_):
        raise RuntimeError(sys.argv[2])

    Program._desk = fails

    async def ask():
        transport = httpx.ASGITransport(app=guard)
        cookies = {"cookie": "voxcite=" + "a" * 43}
        base = "http://127.0.0.1:7860"
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=cookies) as client:
            for language in ("en", "zh"):
                config = (await client.get(f"/{language}/config")).json()
                run = f"/{language}/gradio_api/run/ask"
                failed = await client.post(run, json={"data": ["study", "question"]})
                yield language, config, failed.status_code, failed.text

    async def gather():
        return [found async for found in ask()]

    mounted = [getattr(route, "app", None) for route in guard.app.routes]
    made = [one.get_blocks() for one in mounted if hasattr(one, "get_blocks")]
    found = {
        "pages": asyncio.run(gather()),
        "shares": [[one.share, one.share_url] for one in made],
        "is_offline": huggingface_hub.constants.HF_HUB_OFFLINE,
        "environment": dict(os.environ),
    }
    print(json.dumps(found))

app.listen = asked
sys.exit(app.main(["--state", sys.argv[1], "--writer", "template"]))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the server that ``app.main`` is about to serve says of itself."""
    pytest.importorskip("gradio", reason="the chat page needs voxcite[app]")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    clean |= {"GRADIO_SHARE": "True", "GRADIO_ANALYTICS_ENABLED": "True"}
    state = tmp_path_factory.mktemp("state")
    command = [sys.executable, "-W", "ignore", "-c", PROBE, str(state), SECRET]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_nothing_is_looked_up_outside(told):
    assert told["environment"]["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert told["environment"]["HF_HUB_OFFLINE"] == "1"
    assert told["is_offline"] is True


@pytest.mark.slow
def test_gradio_counts_nobody_and_shares_no_page(told):
    said = {
        language: (config["analytics_enabled"], config["show_error"])
        for language, config, *_ in told["pages"]
    }
    assert said == dict.fromkeys(prompts.languages(), (False, False))
    assert told["shares"] == [[False, None]] * len(said)


@pytest.mark.slow
def test_a_fault_of_ours_is_not_told_in_its_own_words(told):
    for _, _, status, text in told["pages"]:
        assert status == 500
        assert SECRET not in text
        assert "RuntimeError" not in text


def test_the_policy_lets_the_page_load_from_itself_alone():
    parts = [directive.split() for directive in POLICY.split("; ")]
    assert {name: sources for name, *sources in parts} == DIRECTIVES


def test_the_viewer_is_the_bundle_that_the_notice_names():
    assert hashlib.sha256(NIIVUE.read_bytes()).hexdigest() == NIIVUE_SHA256
    assert "NiiVue 0.69.0," in (ROOT / "NOTICE").read_text(encoding="utf-8")
