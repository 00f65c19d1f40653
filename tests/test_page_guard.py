"""Every default of Gradio that leaks is closed, and nobody reads what belongs to another."""

import asyncio
import re

import httpx
import pytest

from assistant.page.guard import CLOSED, COOKIE, HEADERS, Guard
from assistant.page.login import Doorkeeper, LoginError, hashed, read_passwords
from assistant.page.markup import markdown, tag, text
from assistant.page.server import Options, application, open_parts
from assistant.page.store import owner_of

TOKEN, OTHER = "a" * 43, "b" * 43
PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:7860"


def no_page(app, parts, language):
    """Stand for the page where only the routes are looked at."""


@pytest.fixture
def parts(tmp_path):
    opened = open_parts(Options(tmp_path / "state", largest_upload=5000))
    yield opened
    opened.close()


def ask(parts, method, path, token=TOKEN, **options):
    """Send one request to the whole server."""
    guard = application(parts, no_page)

    async def send():
        transport = httpx.ASGITransport(app=guard)
        headers = {"cookie": f"{COOKIE}={token}"} if token else {}
        headers |= options.pop("headers", {})
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def test_health_needs_no_browser(parts):
    answer = ask(parts, "GET", "/healthz", token=None)
    assert answer.json() == {"status": "ok"}


def test_every_answer_carries_the_security_headers(parts):
    answer = ask(parts, "GET", "/healthz")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_a_new_browser_gets_a_cookie_that_scripts_and_other_sites_cannot_use(parts):
    cookie = ask(parts, "GET", "/healthz", token=None).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "set-cookie" not in ask(parts, "GET", "/healthz").headers


def test_a_study_is_served_to_its_owner_and_to_nobody_else(parts):
    kept = parts.store.add(owner_of(TOKEN), "scan", "hippocampus", "en")
    (parts.store.files(kept.id) / "scan.nii.gz").write_bytes(b"voxels")
    path = f"/study/{kept.id}/file/scan.nii.gz"
    assert ask(parts, "GET", path).content == b"voxels"
    assert ask(parts, "GET", path, token=OTHER).status_code == 404
    assert ask(parts, "GET", f"/study/{kept.id}/export/json", token=OTHER).status_code == 404
    assert ask(parts, "GET", f"/study/{kept.id}/slices", token=OTHER).status_code == 404


@pytest.mark.parametrize("name", ["../../voxcite.sqlite", "..%2f..%2fvoxcite.sqlite", "source/a"])
def test_only_the_files_of_the_viewer_are_served(parts, name):
    kept = parts.store.add(owner_of(TOKEN), "scan", "hippocampus", "en")
    assert ask(parts, "GET", f"/study/{kept.id}/file/{name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/en/gradio_api/file=/etc/passwd",
        "/en/gradio_api/file/etc/passwd",
        "/en/file=/etc/passwd",
        "/en/gradio_api/upload",
        "/en/gradio_api/upload_progress",
        "/en/gradio_api/proxy=http://example.org/",
        "/en/gradio_api/runs",
        "/en/monitoring",
        "/en/monitoring/summary",
        "/en/gradio_api/deep_link",
    ],
)
def test_what_gradio_serves_to_everybody_is_closed(parts, path):
    assert CLOSED.search(path)
    assert ask(parts, "GET", path).status_code == 404
    assert ask(parts, "POST", path).status_code == 404


@pytest.mark.parametrize("path", ["gradio_api/queue/data?session_hash=s", "gradio_api/heartbeat/s"])
def test_a_session_is_told_of_to_the_first_who_names_it_and_to_nobody_else(path):
    async def inside(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(inside, None, frozenset())

    async def asked(token):
        transport = httpx.ASGITransport(app=guard)
        headers = {"cookie": f"{COOKIE}={token}"}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            return (await client.get(f"/en/{path}")).status_code

    assert [asyncio.run(asked(token)) for token in (TOKEN, OTHER, TOKEN)] == [200, 404, 200]


def test_a_request_that_names_two_sessions_is_refused():
    async def inside(scope, receive, send):
        raise AssertionError

    async def asked(query):
        transport = httpx.ASGITransport(app=Guard(inside, None, frozenset()))
        headers = {"cookie": f"{COOKIE}={TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            return (await client.get(f"/en/gradio_api/queue/data?{query}")).status_code

    for query in ("session_hash=mine&session_hash=others", "session_hash=&session_hash=others"):
        assert asyncio.run(asked(query)) == 400


def test_another_site_cannot_write(parts):
    answer = ask(parts, "POST", "/upload", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


def test_another_name_for_this_machine_is_refused(parts):
    answer = ask(parts, "GET", "/healthz", headers={"host": "evil.example"})
    assert answer.status_code == 400


def test_files_are_taken_up_to_the_limit(parts):
    small = ask(parts, "POST", "/upload", files=[("files", ("a.nii", b"x" * 100))])
    assert re.fullmatch("[0-9a-f]{32}", small.json()["upload"])
    large = ask(parts, "POST", "/upload", files=[("files", ("a.nii", b"x" * 9000))])
    assert (large.status_code, large.json()) == (413, {"code": "too-large"})


def test_an_upload_of_no_files_or_too_many_is_refused_with_its_code(parts, monkeypatch):
    none = ask(parts, "POST", "/upload", files=[("other", ("a.nii", b"x"))])
    assert (none.status_code, none.json()) == (400, {"code": "empty-folder"})
    monkeypatch.setattr("assistant.page.uploads.MOST_FILES", 2)
    many = ask(parts, "POST", "/upload", files=[("files", ("a.nii", b"x"))] * 3)
    assert (many.status_code, many.json()) == (413, {"code": "too-large"})
    assert list(parts.uploads.folder.iterdir()) == []


def test_a_message_that_is_no_upload_is_small(parts):
    answer = ask(parts, "POST", "/healthz", content=b"x" * (2**20 + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..\\evil", ".evil", "a/b/../../evil"])
def test_an_uploaded_name_leads_nowhere(parts, name):
    token = ask(parts, "POST", "/upload", files=[("files", (name, b"x"))]).json()["upload"]
    inside = parts.uploads.folder / token
    assert [path.name for path in inside.rglob("*")] == ["evil"]


def test_an_upload_is_claimed_by_who_sent_it(parts, tmp_path):
    token = ask(parts, "POST", "/upload", files=[("files", ("a.nii", b"x"))]).json()["upload"]
    with pytest.raises(ValueError, match="send them again"):
        parts.uploads.claim(token, owner_of(OTHER), tmp_path / "there")
    assert parts.uploads.claim(token, owner_of(TOKEN), tmp_path / "there").name == "a.nii"
    assert list(parts.uploads.folder.iterdir()) == []


def test_serving_others_needs_a_login(tmp_path):
    with pytest.raises(ValueError, match="--auth"):
        Options(tmp_path, host="0.0.0.0")


@pytest.fixture
def doorkeeper():
    return Doorkeeper({"ada": hashed(PASSWORD)})


def test_without_a_login_there_is_only_the_form(tmp_path, doorkeeper):
    parts = open_parts(Options(tmp_path / "state", doorkeeper=doorkeeper))
    assert ask(parts, "GET", "/static/page.js").status_code == 401
    answer = ask(parts, "GET", "/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert ask(parts, "GET", "/login").status_code == 200
    parts.close()


def test_a_login_opens_the_page_under_its_own_name(tmp_path, doorkeeper):
    parts = open_parts(Options(tmp_path / "state", doorkeeper=doorkeeper))
    answer = ask(parts, "POST", "/login", data={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 303
    token = re.search(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])[1]
    kept = parts.store.add("ada", "scan", "hippocampus", "en")
    (parts.store.files(kept.id) / "scan.nii.gz").write_bytes(b"voxels")
    path = f"/study/{kept.id}/file/scan.nii.gz"
    assert ask(parts, "GET", path, token=token).content == b"voxels"
    assert ask(parts, "GET", path, token=OTHER).status_code == 401
    parts.close()


def test_who_logs_out_is_asked_again_and_the_token_is_worth_nothing(tmp_path, doorkeeper):
    parts = open_parts(Options(tmp_path / "state", doorkeeper=doorkeeper))
    token = doorkeeper.enter("ada", PASSWORD)
    assert ask(parts, "GET", "/static/page.js", token=token).status_code == 200
    answer = ask(parts, "POST", "/logout", token=token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert ask(parts, "GET", "/static/page.js", token=token).status_code == 401
    parts.close()


def test_guessing_is_slowed_down(doorkeeper):
    assert all(doorkeeper.enter("ada", "wrong") is None for _ in range(5))
    assert doorkeeper.is_blocked("ada")
    assert doorkeeper.enter("ada", PASSWORD) is None


def test_a_token_is_forgotten_when_its_owner_leaves(doorkeeper):
    token = doorkeeper.enter("ada", PASSWORD)
    assert doorkeeper.name_of(token) == "ada"
    doorkeeper.leave(token)
    assert doorkeeper.name_of(token) is None


def test_a_password_is_long_and_its_hash_never_the_same():
    with pytest.raises(LoginError, match="at least"):
        hashed("short")
    assert hashed(PASSWORD) != hashed(PASSWORD)


def test_a_password_file_is_private_and_hashed(tmp_path):
    path = tmp_path / "passwords"
    path.write_text(f"ada:{hashed(PASSWORD)}\n")
    path.chmod(0o644)
    with pytest.raises(LoginError, match="chmod 600"):
        read_passwords(path)
    path.chmod(0o600)
    assert set(read_passwords(path)) == {"ada"}
    path.write_text("ada:plain-password\n")
    with pytest.raises(LoginError, match="scrypt"):
        read_passwords(path)


def test_a_markup_character_is_text_in_html_and_in_markdown():
    name = '<img src=x onerror="alert(1)">'
    assert "<img" not in text(name)
    assert '"' not in text(name)
    assert tag("a", "x", title=name).count("<") == 2
    shown = markdown(f"![x](http://evil.example) {name} [m1](#cite-m9)")
    assert not re.search(r"(?<!\\)[<\[\]()!]", shown)


def test_a_guard_lets_nothing_but_http_through():
    reached = []

    async def inside(scope, receive, send):
        reached.append(scope["type"])

    async def quiet(*message):
        return {}

    guard = Guard(inside, None, frozenset())
    asyncio.run(guard({"type": "websocket"}, quiet, quiet))
    assert reached == []
    asyncio.run(guard({"type": "lifespan"}, quiet, quiet))
    assert reached == ["lifespan"]
