"""The API drafts, answers and exports for the owner of a study, also after it was killed."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies

import prompts
from assistant.page.guard import COOKIE
from assistant.page.login import Doorkeeper, hashed
from assistant.page.server import Options, Parts, open_parts
from assistant.page.store import Store, Wanted, owner_of
from assistant.page.work import MOST_WAITING, STATES, Workshop
from assistant.serve.api import api
from assistant.serve.metrics import metrics
from assistant.serve.resume import ENDED, MOST_TRIES, resume
from assistant.verify import verify_report
from tests.processes import free_port, wait_for
from tests.test_page_work import in_place, phantom_assistant, scan

__all__ = ["in_place", "scan"]  # fixtures
TOKEN, OTHER = "a" * 43, "b" * 43
MINE = {"cookie": f"{COOKIE}={TOKEN}", "host": "127.0.0.1:7861"}
BASE = "http://127.0.0.1:7861"
NOBODYS = "0" * 32
DOCS = Path(__file__).resolve().parents[1] / "docs" / "serve.md"
EXAMPLE = re.compile(r"<!-- example:client -->\n```python\n(.*?)```", re.DOTALL)
QUESTION = "How large is the left hippocampus?"
WITHOUT_INPUT = {"/healthz", "/metrics"}
PATHS = {"/upload", "/draft", "/draft/{study}", "/ask", "/export", *WITHOUT_INPUT}
METRIC = re.compile(r'(# (HELP|TYPE) voxcite_\w+ .+|voxcite_\w+\{\w+="[^"]*"\} \d+)')


@pytest.fixture
def parts(tmp_path, monkeypatch):
    monkeypatch.setattr(Parts, "assistant_of", lambda self, *named: phantom_assistant(*named))
    opened = open_parts(Options(tmp_path / "state", largest_upload=2**26))
    yield opened
    opened.close()


@pytest.fixture
def idle(monkeypatch):
    """Nothing is drafted: what is asked for waits."""
    monkeypatch.setattr("assistant.page.work.Workshop._run", lambda self, job: None)


def ask(parts, method, path, token=TOKEN, **options):
    """Send one request to the whole server, without its beginning and its end."""
    guard = api(parts)

    async def send():
        transport = httpx.ASGITransport(app=guard)
        headers = {"cookie": f"{COOKIE}={token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def sent(parts, path, token=TOKEN):
    """Upload a file; return its token."""
    answer = ask(parts, "POST", "/upload", token, files=[("files", (path.name, path.read_bytes()))])
    return answer.json()["upload"]


def draft(parts, study="sample", token=TOKEN, **more):
    return ask(parts, "POST", "/draft", token, json={"study": study, **more})


def ended(parts, study):
    """Wait for the end of a draft."""
    while (job := ask(parts, "GET", f"/draft/{study}").json())["state"] in ("waiting", "running"):
        time.sleep(0.05)
    return job


def test_a_scan_is_drafted_asked_about_and_exported(parts, scan, in_place):
    begun = draft(parts, sent(parts, scan), language="zh")
    job = ended(parts, begun.json()["study"])
    assert (begun.status_code, job["state"], job["refusal"]) == (202, "drafted", None)
    assert verify_report(job["report"]) == ()
    assert job["report"]["language"] == "zh"
    study = job["study"]
    answer = ask(parts, "POST", "/ask", json={"study": study, "question": QUESTION}).json()
    assert any("m1" in line["cites"] for line in answer["lines"])
    written = ask(parts, "POST", "/export", json={"study": study, "format": "markdown"})
    assert "report.md" in written.headers["content-disposition"]
    assert prompts.load("zh").marks["draft"] in written.text
    assert ask(parts, "DELETE", f"/draft/{study}").status_code == 204
    assert ask(parts, "GET", f"/draft/{study}").status_code == 404


def test_a_study_is_there_for_its_owner_alone(parts, idle):
    study = draft(parts).json()["study"]
    for method, path, body in (
        ("GET", f"/draft/{study}", None),
        ("DELETE", f"/draft/{study}", None),
        ("POST", "/ask", {"study": study, "question": QUESTION}),
        ("POST", "/export", {"study": study, "format": "json"}),
    ):
        assert ask(parts, method, path, OTHER, json=body).status_code == 404
    assert ask(parts, "GET", f"/draft/{study}").json()["state"] == "waiting"


def test_an_upload_is_claimed_by_who_sent_it(parts, scan, idle):
    upload = sent(parts, scan)
    assert draft(parts, upload, OTHER).status_code == 404
    assert draft(parts, upload).status_code == 202


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/draft", {"study": NOBODYS}, 404, "expected files that were sent before, found none"),
        ("/draft", {"study": "sample", "exam": "spleen"}, 422, "exam: expected one of"),
        ("/draft", {"study": "sample", "language": "xx"}, 422, "language: expected one of en, zh"),
        ("/draft", {"study": "/etc/passwd"}, 422, "expected a request as /openapi.json says"),
        ("/draft", {"study": "sample", "path": "x"}, 422, "expected a request as /openapi.json"),
        ("/ask", {"study": NOBODYS, "question": "x" * 1001}, 422, "expected a request as"),
        ("/export", {"study": NOBODYS, "format": "xls"}, 422, "format: expected one of"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(parts, path, body, status, sentence):
    answer = ask(parts, "POST", path, json=body)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)
    assert "passwd" not in answer.text
    assert "xxxx" not in answer.text


@pytest.mark.parametrize("path", ["/ask", "/export"])
def test_what_is_not_drafted_yet_is_a_conflict(parts, idle, path):
    body = {"study": draft(parts).json()["study"]}
    body |= {"question": QUESTION} if path == "/ask" else {"format": "json"}
    answer = ask(parts, "POST", path, json=body)
    assert answer.status_code == 409
    assert "expected a drafted study, found none yet" in answer.json()["detail"]


def test_a_queue_that_is_full_says_so_and_keeps_nothing(parts, idle):
    assert {draft(parts).status_code for _ in range(MOST_WAITING)} == {202}
    assert draft(parts).status_code == 429
    assert len(parts.store.list(owner_of(TOKEN))) == MOST_WAITING


def test_what_is_too_large_is_refused(tmp_path):
    parts = open_parts(Options(tmp_path, largest_upload=100))
    assert ask(parts, "POST", "/ask", content=b" " * (2**20 + 1)).status_code == 413
    assert ask(parts, "POST", "/upload", files={"files": b" " * 200}).status_code == 413
    parts.close()


def test_an_upload_that_cannot_be_read_as_a_form_leaves_nothing(parts):
    many = {f"field{number}": "x" for number in range(11)}
    answer = ask(parts, "POST", "/upload", data=many, files={"files": b"x"})
    assert (answer.status_code, answer.json()) == (400, {"code": "unreadable"})
    assert list((parts.options.folder / "uploads").iterdir()) == []


def test_a_refused_scan_keeps_its_reason_over_a_restart(parts, tmp_path):
    (tmp_path / "no.nii.gz").write_bytes(b"no scan")
    study = draft(parts, sent(parts, tmp_path / "no.nii.gz")).json()["study"]
    before = ended(parts, study)
    assert before["state"] == "failed"
    parts.close()
    again = open_parts(parts.options, keeps_unfinished=True)
    assert ask(again, "GET", f"/draft/{study}").json() == before
    assert before["refusal"]["code"] == "unreadable"
    again.close()


# after a stop


@pytest.mark.slow
def test_unfinished_drafts_are_taken_up_again_in_their_order(parts, scan, in_place, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("assistant.page.work.Workshop._run", lambda self, job: None)
        studies = [draft(parts, sent(parts, scan), series="2").json()["study"] for _ in range(2)]
    parts.store.change(studies[0], state="running")
    parts.store.close()  # as a kill does: nobody cleans up
    again = open_parts(parts.options, keeps_unfinished=True)
    assert [pending.study for pending in again.store.unfinished()] == studies
    assert {pending.wanted.series for pending in again.store.unfinished()} == {"2"}
    for study in studies:
        again.store.enqueue(study, Wanted())
    assert resume(again) == 2
    assert [ended(again, study)["state"] for study in studies] == ["drafted", "drafted"]
    assert again.store.unfinished() == ()
    again.close()


def test_a_study_that_ends_the_server_each_time_is_given_up(parts, idle):
    study = draft(parts).json()["study"]
    for _ in range(MOST_TRIES):
        parts.store.begun(study)
    assert resume(parts) == 0
    job = ask(parts, "GET", f"/draft/{study}").json()
    assert (job["state"], job["refusal"]["code"]) == ("failed", "worker-died")
    assert ENDED.endswith(job["refusal"]["sentence"])


def test_the_page_does_not_take_up_what_it_left(parts, idle):
    study = draft(parts).json()["study"]
    parts.store.close()
    opened = Store.open(parts.options.folder)
    assert opened.get(owner_of(TOKEN), study).state == "cancelled"
    opened.close()


@pytest.mark.parametrize(("leaves", "state"), [(True, "running"), (False, "cancelled")])
def test_a_server_that_stops_leaves_what_it_is_doing(parts, monkeypatch, leaves, state):
    def waits(workshop, job, request):
        while True:
            job.tell()
            time.sleep(0.01)

    monkeypatch.setattr(Workshop, "_draft", waits)
    study = draft(parts).json()["study"]
    while ask(parts, "GET", f"/draft/{study}").json()["state"] == "waiting":
        time.sleep(0.01)
    parts.workshop.close(leaves=leaves)
    assert parts.store.get(owner_of(TOKEN), study).state == state


# who asks, and who counts


def test_with_a_login_only_health_and_counts_are_open(tmp_path):
    keeper = Doorkeeper({"ada": hashed("correct horse battery")})
    parts = open_parts(Options(tmp_path, doorkeeper=keeper))
    status = {path: ask(parts, "GET", path, None).status_code for path in ("/healthz", "/metrics")}
    assert status == {"/healthz": 200, "/metrics": 200}
    assert ask(parts, "GET", "/openapi.json", None).status_code == 401
    assert draft(parts, token=None).status_code == 401
    form = {"name": "ada", "password": "correct horse battery"}
    cookie = ask(parts, "POST", "/login", None, data=form).headers["set-cookie"]
    token = re.search(rf"{COOKIE}=([^;]+)", cookie)[1]
    assert ask(parts, "GET", "/openapi.json", token).status_code == 200
    parts.close()


def test_serving_others_needs_a_login(tmp_path):
    with pytest.raises(ValueError, match="expected --auth FILE"):
        Options(tmp_path, host="0.0.0.0")


def test_counts_are_in_the_format_of_prometheus_and_name_nobody(parts, idle):
    draft(parts)
    answer = ask(parts, "GET", "/metrics", None)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'voxcite_studies{state="waiting"} 1' in answer.text
    assert all(METRIC.fullmatch(line) for line in answer.text.splitlines())
    assert metrics({}).count("voxcite_studies{") == len(STATES)


# against its own document


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the tester's own packages
def test_every_answer_is_one_that_the_document_names(parts, scan, in_place, monkeypatch):
    schemathesis = pytest.importorskip("schemathesis")
    study = ended(parts, draft(parts, sent(parts, scan)).json()["study"])["study"]
    told = set()
    with monkeypatch.context() as patched:
        patched.setattr("assistant.page.work.Workshop._run", lambda self, job: None)
        patched.setattr(Parts, "warm", lambda self: None)
        patched.setattr(Parts, "close", lambda self, **_: None)  # each request begins and ends it
        document = schemathesis.openapi.from_asgi("/openapi.json", api(parts), headers=MINE)
        operations = [found.ok() for found in document.get_all_operations()]
        for operation in operations:
            told |= answers(operation, schemathesis.GenerationMode.POSITIVE, study)
            if operation.path not in WITHOUT_INPUT:
                told |= answers(operation, schemathesis.GenerationMode.NEGATIVE, study)
    assert {operation.path for operation in operations} == PATHS
    assert {path for path, _ in told} == PATHS
    assert told >= {("/ask", 200), ("/export", 200), ("/draft/{study}", 200), ("/upload", 200)}
    assert told >= {("/ask", 422), ("/export", 422), ("/draft", 422), ("/upload", 400)}


def answers(operation, mode, study):
    """Send what hypothesis makes of one operation; return the statuses that were answered."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    told = set()
    expected = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
    ]

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(case=operation.as_strategy(generation_mode=mode), is_met=strategies.booleans())
    def send(case, is_met):
        if is_met and mode.is_positive:
            meet(case, study)
        answer = case.call_and_validate(base_url=BASE, headers=MINE, checks=expected)
        told.add((case.path, answer.status_code))

    send()
    return told


def meet(case, study):
    """Ask about a study that is drafted, in a request that leaves it there."""
    if case.method == "GET" and "study" in case.path_parameters:
        case.path_parameters["study"] = study
    if case.path in ("/ask", "/export"):
        case.body["study"] = study
    if case.path == "/export":
        case.body["format"] = "markdown"


# the command itself


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Start ``voxcite serve`` on a folder, as often as it is called; the last one is ended."""
    folder, begun = tmp_path_factory.mktemp("serve"), []
    port = free_port()
    root = f"http://127.0.0.1:{port}"

    def start():
        line = ["serve", "--state", str(folder), "--port", str(port)]
        begun.append(subprocess.Popen([sys.executable, "-m", "assistant.cli", *line]))
        wait_for(f"{root}/healthz", begun[-1])
        return root, begun[-1]

    yield start
    begun[-1].terminate()
    begun[-1].wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_draft_goes_on_after_a_kill_and_the_example_of_the_docs_runs(command):
    root, process = command()
    mine = {"base_url": root, "cookies": {COOKIE: TOKEN}, "timeout": 120.0, "trust_env": False}
    with httpx.Client(**mine) as client:
        study = client.post("/draft", json={"study": "sample"}).json()["study"]
        while client.get(f"/draft/{study}").json()["state"] == "waiting":
            time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    command()
    made = {}
    code = EXAMPLE.search(DOCS.read_text(encoding="utf-8"))[1]
    exec(code.replace("http://127.0.0.1:7861", root), made)
    made["client"].close()
    assert made["job"]["state"] == "drafted"
    assert any("m1" in line["cites"] for line in made["answer"]["lines"])
    assert "DRAFT" in made["written"].text
    with httpx.Client(**mine) as client:
        job = client.get(f"/draft/{study}").json()
    assert job["state"] == "drafted"
    assert verify_report(job["report"]) == ()
