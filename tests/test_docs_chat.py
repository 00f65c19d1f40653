"""The example of docs/chat.md for Python runs as it stands, from a scan to a signed file."""

import re
from pathlib import Path

import pytest

CHAT = Path(__file__).parent.parent / "docs" / "chat.md"
EXAMPLE = re.compile(r"<!-- example:python -->\n```python\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_example_drafts_asks_overrides_signs_and_exports():
    made = {}
    exec(EXAMPLE.search(CHAT.read_text(encoding="utf-8"))[1], made)
    assert made["report"].status == "draft"
    assert "m7" in {cite for line in made["answer"].lines for cite in line.cites}
    text = made["written"].decode()
    assert "3.90 mL" in text
    assert "SIGNED by Dr Example" in text
    assert "DRAFT" not in text
