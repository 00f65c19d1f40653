"""A real server that takes no grammar, transformers' own: what it writes goes through one door."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import prompts
from assistant import exams
from assistant.finish import compose
from assistant.writers import Brief, drain
from assistant.writers.server.writer import ServerWriter
from assistant.writers.vlm.errors import ModelError
from tests.ledgers import plain_ledger
from tests.processes import free_port, wait_for
from tests.test_server_writer import report_of, stock_lines
from tests.toy_vlm import toy_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("openai") is None, reason="needs transformers[serving]"),
]

ROOT = Path(__file__).resolve().parents[1]
NAME = "medgemma-toy"
# As docs/server-writer.md has it: beside a torchvision for another torch it would not start.
SERVE = (
    "from assistant.vision_shim import ensure_torchvision; ensure_torchvision();"
    "from transformers.cli.transformers import main; main()"
)
TURNS = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>"
    "{{ 'model' if message['role'] == 'assistant' else 'user' }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}"
    "{% endif %}<end_of_turn>\n{% endfor %}<start_of_turn>model\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve the toy, called by a name and not by a path, which reports would show."""
    folder = tmp_path_factory.mktemp("served")
    (toy_checkpoint(folder / NAME) / "chat_template.jinja").write_text(TURNS)
    port = free_port()
    command = [sys.executable, "-c", SERVE, "serve", NAME, "--host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/v1/models", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def brief():
    return Brief(plain_ledger(), exams.load("hippocampus"), prompts.load("en"))


def test_what_a_model_that_learnt_nothing_writes_gives_way_to_stock_sentences(server):
    about = brief()
    composed = drain(compose(ServerWriter(server, NAME, most_tokens=96).write(about), about))
    facts = composed.draft.facts
    assert (facts["engine"], facts["grammar_sent"]) == ("other", "none")
    assert composed.draft.failures[-1].endswith("the server cut its text off")
    report = report_of(composed, about)
    assert set(report.lines) <= stock_lines(about)
    assert report.provenance["language_model"] == NAME


def test_a_model_that_it_does_not_serve_is_said_in_one_sentence(server):
    with pytest.raises(ModelError, match="expected a model called 'another', found 1 other"):
        drain(ServerWriter(server, "another").write(brief()))
