"""Starting the page asks for what it needs, and importing it costs nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import app
from tests.test_imports import AT_HELP

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "assistant" / "page" / "static"


def test_importing_the_page_loads_nothing_heavy():
    code = "import json, sys, app; json.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded & {*AT_HELP, "fastapi", "sqlalchemy", "uvicorn"} == set()


def test_there_is_no_public_link_to_be_asked_for(capsys):
    assert app.parser().parse_args([]).share == "never"
    with pytest.raises(SystemExit):
        app.parser().parse_args(["--share", "always"])


def test_the_page_listens_on_this_machine_alone():
    assert app.parser().parse_args([]).host == "127.0.0.1"


@pytest.mark.slow
def test_serving_others_without_a_login_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")  # put back after the test
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("gradio", reason="the chat page needs voxcite[app]")
    assert app.main(["--host", "0.0.0.0", "--state", str(tmp_path)]) == 2
    assert "--auth" in capsys.readouterr().err


def test_the_viewer_is_shipped_with_its_licence():
    assert (STATIC / "niivue.umd.js").stat().st_size > 2_000_000
    assert "BSD 2-Clause" in (STATIC / "niivue.LICENSE").read_text(encoding="utf-8")
    assert "niivue.umd.js" in (ROOT / "NOTICE").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["page.js", "page.css"])
def test_the_pages_own_files_name_no_other_host(name):
    text = (STATIC / name).read_text(encoding="utf-8")
    assert "//" not in text.replace("// ", "").replace("//\n", "")
