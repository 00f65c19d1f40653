"""The web server: own routes for studies and assets, and the page mounted in it.

Every route that serves a study asks first whose it is. Knows nothing of what the page shows.
"""

import json
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prompts
from assistant.folder import ENTROPY, LABELS, MUTUAL
from assistant.page import choosing, prior, scene
from assistant.page.desk import Desk
from assistant.page.guard import COOKIE, LOCAL, OWNER, Guard, cookie_of
from assistant.page.login import Doorkeeper
from assistant.page.markup import tag, text
from assistant.page.store import Store
from assistant.page.telling import Tellings
from assistant.page.told import told
from assistant.page.uploads import MOST_FILES, UploadError, Uploads
from assistant.page.windows import Windows
from assistant.page.work import Workshop
from assistant.pipeline import Assistant
from assistant.settings import Settings
from prompts import page as words_of
from segment.errors import Refusal

if TYPE_CHECKING:
    from fastapi import FastAPI

FILES = (
    scene.SCAN,
    LABELS,
    ENTROPY,
    MUTUAL,
    scene.SURFACE,
    prior.SCAN,
    "left.mz3",
    "right.mz3",
    "none.mz3",
)
STATIC = ("niivue.umd.js", "page.js", "page.css")
CHUNK = 2**20
STYLE = (
    ":root{color-scheme:light dark}label,input{display:block}"
    "body{font-family:sans-serif;max-width:24rem;margin:3rem auto}"
)
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How the page is served; ``largest_upload`` counts bytes of one delivery."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 7860
    settings: Settings = field(default_factory=Settings)
    doorkeeper: Doorkeeper | None = None
    largest_upload: int = 2**31

    def __post_init__(self) -> None:
        if self.host not in LOCAL and self.doorkeeper is None:
            msg = f"expected --auth FILE to serve others on {self.host}, found none; give one"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class Parts:
    """What the page and the routes share; ``warmed`` is set once the networks are read, or not."""

    options: Options
    store: Store
    uploads: Uploads
    warmed: threading.Event = field(default_factory=threading.Event)
    tellings: Tellings = field(default_factory=Tellings)
    windows: Windows = field(default_factory=Windows)

    @cached_property
    def workshop(self) -> Workshop:
        """The queue of studies being drafted."""
        return Workshop(self.store, self.assistant_of)

    @cached_property
    def _made(self) -> dict[tuple[str, str], Assistant]:
        return {}

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    def assistant_of(self, exam: str, language: str) -> Assistant:
        """Return the assistant of an exam and a language; those of one exam share a segmenter."""
        with self._lock:
            if (exam, language) not in self._made:
                settings = replace(self.options.settings, exam=exam, language=language)
                made = Assistant.from_settings(settings)
                for (other, _), before in self._made.items():
                    if other == exam:
                        made = replace(made, loading=before.loading, writer=before.writer)
                self._made[exam, language] = made
        return self._made[exam, language]

    def warm(self) -> None:
        """Begin to read the networks in the background."""
        threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def _warm(self) -> None:
        try:
            assistant = self.assistant_of(self.options.settings.exam, "en")
            assistant.loading.start()
            for _ in assistant.preparing():
                pass
        except Exception:  # told again, in words, to whoever drafts
            LOG.exception("the networks could not be read ahead")
        finally:
            self.warmed.set()

    def close(self, *, leaves: bool = False) -> None:
        """Stop the work and let files go; drafts that are left can be taken up again."""
        self.workshop.close(leaves=leaves)
        self.uploads.sweep()
        self.store.close()


def open_parts(options: Options, *, keeps_unfinished: bool = False) -> Parts:
    """Open the store and the folder of uploads."""
    store = Store.open(options.folder, keeps_unfinished=keeps_unfinished)
    return Parts(options, store, Uploads(options.folder / "uploads"))


def application(parts: Parts, mount: Callable[[Any, Parts, str], Any]) -> Guard:
    """Build the whole server; ``mount`` puts the page of one language at its path."""
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.warm()
        async with parts.uploads.swept():
            yield
        parts.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _add_common(app, parts)
    _add_files(app, parts)
    _add_pictures(app, parts)
    _add_export(app, parts)
    add_uploads(app, parts)
    if parts.options.doorkeeper is not None:
        add_login(app, parts.options.doorkeeper)
    for language in prompts.languages():
        mount(app, parts, language)
    return guarded(app, parts.options)


def guarded(app: "FastAPI", options: Options) -> Guard:
    """Put the guard before an app; one for this machine alone answers to no other name."""
    hosts = frozenset(LOCAL) if options.host in LOCAL else frozenset[str]()
    return Guard(app, options.doorkeeper, hosts)


def _add_common(app: "FastAPI", parts: Parts) -> None:
    """Serve health, the way to the page, and the page's own assets."""
    from fastapi import HTTPException, Response
    from fastapi.responses import FileResponse, RedirectResponse

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/")
    def root() -> RedirectResponse:
        return RedirectResponse(f"/{parts.options.settings.language}/", status_code=303)

    @app.get("/static/{name}")
    def asset(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        return FileResponse(str(files("assistant.page").joinpath("static", name)))


def _add_files(app: "FastAPI", parts: Parts) -> None:
    """Serve the files of a study to its owner; to everybody else there is none."""
    from fastapi import HTTPException, Request, Response
    from fastapi.responses import FileResponse

    @app.get("/study/{study}/file/{name}")
    def file(request: Request, study: str, name: str) -> Response:
        path = desk_of(parts, request, study).folder / name
        if name not in FILES or not path.is_file():
            raise HTTPException(404)
        return FileResponse(str(path), media_type="application/octet-stream")


def _add_pictures(app: "FastAPI", parts: Parts) -> None:
    """Draw slices and series for the owner of a study."""
    from fastapi import HTTPException, Request, Response
    from fastapi.responses import FileResponse

    @app.get("/study/{study}/series/{number}.png")
    def series(request: Request, study: str, number: int) -> Response:
        path = desk_of(parts, request, study).folder / choosing.FOLDER / f"{number}.png"
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(str(path), media_type="image/png")

    @app.get("/study/{study}/slices")
    def slices(request: Request, study: str) -> dict[str, Any]:
        folder = desk_of(parts, request, study).folder
        if not (folder / scene.SCAN).is_file():
            raise HTTPException(404)
        return scene.describe(folder)

    @app.get("/study/{study}/slice/{plane}/{number}.png")
    def one_slice(request: Request, study: str, plane: scene.Plane, number: int) -> Response:
        folder = desk_of(parts, request, study).folder
        if not (folder / scene.SCAN).is_file():
            raise HTTPException(404)
        png = scene.slice_png(scene.read_stack(folder), plane, number)
        return Response(png, media_type="image/png")


def _add_export(app: "FastAPI", parts: Parts) -> None:
    """Write a study as a file for its owner; why not, in the language of the page."""
    from fastapi import HTTPException, Request, Response
    from starlette.concurrency import run_in_threadpool

    @app.get("/study/{study}/export/{name}")
    async def export(request: Request, study: str, name: str, language: str = "en") -> Response:
        desk = desk_of(parts, request, study)
        if language not in prompts.languages():
            raise HTTPException(404)
        try:
            filename, data = await run_in_threadpool(desk.write, name)
        except ValueError as error:
            return Response(
                told(error, language), status_code=409, media_type="text/plain; charset=utf-8"
            )
        if await request.is_disconnected():  # stopped on the page: nobody has the file
            return Response(status_code=499)
        await run_in_threadpool(desk.taken, name)
        headers = {"content-disposition": f'attachment; filename="{filename}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)


def desk_of(parts: Parts, request: Any, study: str) -> Desk:  # noqa: ANN401
    """Return the desk of whoever asks; to everybody else there is no such study."""
    from fastapi import HTTPException

    desk = Desk(parts.store, request.scope[OWNER], study)
    try:
        _ = desk.kept
    except KeyError as error:
        raise HTTPException(404) from error
    return desk


def add_uploads(app: "FastAPI", parts: Parts, documented: Mapping[str, Any] | None = None) -> None:
    """Take files from a browser, up to the limit, into a folder of their owner.

    ``documented`` is what an OpenAPI document says of it, None for nothing.
    """
    from fastapi import Request, Response
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    def refused(status: int, code: Refusal) -> Response:
        return Response(json.dumps({"code": code}), status, media_type="application/json")

    @app.post("/upload", **(documented or {"include_in_schema": False}))
    async def upload(request: Request) -> Response:
        length = request.headers.get("content-length", "")
        limit = parts.options.largest_upload
        if not length.isdecimal() or int(length) > limit:
            return refused(413, Refusal.TOO_LARGE)
        token = parts.uploads.begin(request.scope[OWNER])
        try:
            async with request.form(max_files=MOST_FILES + 1, max_fields=10) as form:
                sent = [item for item in form.getlist("files") if not isinstance(item, str)]
                for number, item in enumerate(sent):
                    target = parts.uploads.place(token, item.filename or "file", number)
                    with target.open("wb") as stream:
                        shutil.copyfileobj(item.file, stream, CHUNK)
        except UploadError:
            parts.uploads.drop(token)
            return refused(413, Refusal.TOO_LARGE)
        except (HTTPException, OSError, ClientDisconnect):  # the first: no form that can be read
            parts.uploads.drop(token)
            return refused(400, Refusal.UNREADABLE)
        if not sent:
            parts.uploads.drop(token)
            return refused(400, Refusal.EMPTY_FOLDER)
        return Response(json.dumps({"upload": token}), media_type="application/json")


def add_login(app: "FastAPI", doorkeeper: Doorkeeper) -> None:
    """Serve the form that asks for a name and a password, and the way out again."""
    from fastapi import Request, Response
    from fastapi.responses import HTMLResponse, RedirectResponse

    @app.get("/login", include_in_schema=False)
    def form() -> HTMLResponse:
        return HTMLResponse(_form(is_wrong=False))

    @app.post("/login", include_in_schema=False)
    async def enter(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        given = await request.form(max_files=0, max_fields=4)
        name, password = str(given.get("name", "")), str(given.get("password", ""))
        token = await run_in_threadpool(doorkeeper.enter, name[:200], password[:1000])
        if token is None:
            status = 429 if doorkeeper.is_blocked(name) else 401
            return HTMLResponse(_form(is_wrong=True), status_code=status)
        answer = RedirectResponse("/", status_code=303)
        answer.headers["set-cookie"] = cookie_of(token, lasts_s=12 * 3600)
        return answer

    @app.post("/logout", include_in_schema=False)
    def leave(request: Request) -> Response:
        doorkeeper.leave(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.headers["set-cookie"] = cookie_of("", lasts_s=0)
        return answer


def _form(*, is_wrong: bool) -> str:
    """Write the page that asks who is there, in every language."""
    blocks = []
    for language in prompts.languages():
        say = words_of.load(language)
        told = tag("p", text(say["login.wrong"]), role="alert") if is_wrong else ""
        fields = "".join(
            tag(
                "label",
                text(say[f"login.{name}"])
                + f'<input name="{name}" type="{kind}" required autocomplete="{complete}">',
            )
            for name, kind, complete in (
                ("name", "text", "username"),
                ("password", "password", "current-password"),
            )
        )
        button = tag("button", text(say["login.enter"]), type="submit")
        inner = tag("h2", text(say["login.title"])) + told + fields + button
        blocks.append(tag("form", inner, method="post", action="/login", lang=language))
    head = '<meta charset="utf-8"><title>voxcite</title>'
    style = tag("style", STYLE)
    body = tag("main", tag("h1", "voxcite") + "".join(blocks))
    return f'<!doctype html><html lang="en"><head>{head}{style}</head><body>{body}</body></html>'
