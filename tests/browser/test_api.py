"""The example of docs/chat.md runs as it stands, and a server ends when it is told to."""

import base64
import re
from pathlib import Path

import pytest

from tests.browser.conftest import visits
from tests.browser.serving import started

pytestmark = pytest.mark.slow
CHAT = Path(__file__).resolve().parents[2] / "docs" / "chat.md"
EXAMPLE = re.compile(r"<!-- example:client -->\n```python\n(.*?)```", re.DOTALL)


@pytest.mark.filterwarnings("default")  # of the client's own packages
def test_the_example_for_programs_drafts_asks_and_exports(served):
    code = EXAMPLE.search(CHAT.read_text(encoding="utf-8"))[1]
    made = {}
    exec(code.replace("http://127.0.0.1:7860", served), made)
    assert made["drafted"]["report"]["exam"] == "hippocampus"
    assert any("m1" in line["cites"] for line in made["answer"]["lines"])
    assert made["written"]["name"] == "report.md"
    assert "DRAFT" in base64.b64decode(made["written"]["base64"]).decode()


def test_a_server_ends_while_somebody_has_its_page_open(chromium, tmp_path):
    with started(tmp_path) as (address, process), visits(chromium, address) as visit:
        visit()
        process.terminate()
        process.wait(timeout=30)
