"""The server without the page: the routes of the API behind the page's own guard and login.

Every route that tells of a study asks first whose it is. Knows nothing of how a draft is made.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

import prompts
from assistant import exams, exports
from assistant.page import asking
from assistant.page.desk import Desk
from assistant.page.guard import OWNER, Guard
from assistant.page.opening import Opening
from assistant.page.server import Parts, add_login, add_uploads, desk_of, guarded
from assistant.page.work import FullError
from assistant.referral import Referral
from assistant.serve.messages import (
    Answer,
    Cited,
    Export,
    Fault,
    Health,
    Job,
    NotTaken,
    Question,
    Refusal,
    Study,
    Uploaded,
    Wanted,
)
from assistant.serve.metrics import MEDIA_TYPE, metrics
from assistant.serve.resume import resume
from assistant.sign import SignError
from assistant.study import SAMPLE
from segment.errors import ScanError

ABOUT = (
    "Drafts of radiology reports in which every number is a citation. Research software; not a"
    " medical device. Where it asks for a login, /login and /logout take and leave the cookie as"
    " a browser's forms do, with pages and redirections, and are not described here."
)
UNREADABLE = "expected a drafted study, found none yet; wait until its state is drafted"
Known = dict[int | str, dict[str, Any]]
GONE: Known = {404: {"model": Fault}, 422: {"model": Fault}}
NOT_YET: Known = {**GONE, 400: {"model": Fault}, 409: {"model": Fault}}
FILES = {
    "type": "object",
    "required": ["files"],
    "properties": {
        "files": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
        }
    },
}
UPLOAD: Mapping[str, Any] = {
    "responses": {200: {"model": Uploaded}, 400: {"model": NotTaken}, 413: {"model": NotTaken}},
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FILES}}}
    },
}


def api(parts: Parts) -> Guard:
    """Build the whole server; drafts that a stop left unfinished begin again with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.warm()
        resume(parts)
        async with parts.uploads.swept():
            yield
        parts.close(leaves=True)

    app = FastAPI(
        title="voxcite",
        version=version("voxcite"),
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    _add_health(app, parts)
    _add_draft(app, parts)
    _add_job(app, parts)
    _add_ask(app, parts)
    _add_export(app, parts)
    add_uploads(app, parts, UPLOAD)
    if parts.options.doorkeeper is not None:
        add_login(app, parts.options.doorkeeper)
    return guarded(app, parts.options)


def _invalid(_: Request, error: Exception) -> Response:
    """Say that a request is none, without a word of what was sent: it may be a patient's."""
    assert isinstance(error, RequestValidationError)
    why = error.errors()[0]["msg"]
    msg = f"expected a request as /openapi.json says, found another one ({why}); correct it"
    return JSONResponse({"detail": msg}, 422)


def _add_health(app: FastAPI, parts: Parts) -> None:
    """Tell that the server answers, and what it counts."""

    @app.get("/healthz")
    def healthz() -> Health:
        return Health()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def counted() -> Response:
        return Response(metrics(parts.store.counts()), media_type=MEDIA_TYPE)


def _add_draft(app: FastAPI, parts: Parts) -> None:
    """Take a study that is to be drafted."""

    @app.post("/draft", status_code=202, responses={**NOT_YET, 429: {"model": Fault}})
    def draft(request: Request, wanted: Wanted) -> Job:
        settings = parts.options.settings
        exam = _one_of("exam", wanted.exam or settings.exam, exams.drawn())
        language = _one_of("language", wanted.language or settings.language, prompts.languages())
        opening = Opening(parts, request.scope[OWNER], language)
        referral = Referral(wanted.indication, wanted.clinical_question)
        try:
            if wanted.study == SAMPLE:
                desk = opening.sample(exam, referral)
            else:
                desk = opening.upload(wanted.study, exam, wanted.series, referral)
        except FullError as error:
            raise HTTPException(429, str(error)) from error
        except ValueError as error:
            raise HTTPException(404, str(error)) from error
        return _job(parts, desk)


def _add_job(app: FastAPI, parts: Parts) -> None:
    """Tell how far a draft is, and give it up."""

    @app.get("/draft/{study}", responses=GONE)
    def state(request: Request, study: Study) -> Job:
        return _job(parts, desk_of(parts, request, study))

    @app.delete("/draft/{study}", status_code=204, responses=GONE)
    def forget(request: Request, study: Study) -> None:
        desk = desk_of(parts, request, study)
        parts.workshop.forget(desk.study)
        parts.store.delete(desk.owner, desk.study)


def _add_ask(app: FastAPI, parts: Parts) -> None:
    """Answer questions about a drafted study."""

    @app.post("/ask", responses=NOT_YET)
    def ask(request: Request, asked: Question) -> Answer:
        desk = _drafted(parts, request, asked.study)
        with _refusing():
            *_, lines = asking.answering(desk, asked.question, parts.assistant_of)
        return Answer(lines=tuple(Cited(text=line.text, cites=line.cites) for line in lines))


def _add_export(app: FastAPI, parts: Parts) -> None:
    """Write a drafted study as a file."""
    file: Known = {200: {"content": {"application/octet-stream": {}}}}

    @app.post("/export", response_class=Response, responses={**NOT_YET, **file})
    def export(request: Request, wanted: Export) -> Response:
        _one_of("format", wanted.format, exports.available())
        desk = _drafted(parts, request, wanted.study)
        with _refusing():
            filename, data = desk.export(wanted.format)
        headers = {"content-disposition": f'attachment; filename="{filename}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)


@contextmanager
def _refusing() -> Iterator[None]:
    """Answer what the library refuses with its sentence."""
    try:
        yield
    except (SignError, ScanError, ValueError) as error:
        raise HTTPException(409, str(error)) from error
    except ModuleNotFoundError as error:
        msg = f"expected the package {error.name} on the server, found none; ask who runs it"
        raise HTTPException(409, msg) from error


def _one_of(name: str, found: str, known: tuple[str, ...]) -> str:
    """Return a name that there is; a request with another one is refused."""
    if found not in known:
        msg = f"{name}: expected one of {', '.join(known)}, found {found!r}; choose one of them"
        raise HTTPException(422, msg)
    return found


def _drafted(parts: Parts, request: Request, study: str) -> Desk:
    """Return the desk of a study with a report."""
    desk = desk_of(parts, request, study)
    if desk.kept.report is None:
        raise HTTPException(409, UNREADABLE)
    return desk


def _job(parts: Parts, desk: Desk) -> Job:
    """Say how far a draft is; why it failed stands in its trail, also after a restart."""
    kept = desk.kept
    job = parts.workshop.job(kept.id)
    is_running = kept.state == "running" and job is not None
    return Job.model_validate(
        {
            "study": kept.id,
            "state": kept.state,
            "step": job.step if is_running and job is not None else None,
            "before": parts.workshop.place(job) if job is not None else 0,
            "refusal": _refusal(desk) if kept.state == "failed" else None,
            "report": None if kept.report is None else desk.report().to_json(kept.created),
        }
    )


def _refusal(desk: Desk) -> Refusal | None:
    """Read the last failure from a study's trail."""
    events = reversed(desk.store.events(desk.study))
    told = next((event.refusal for event in events if event.what == "failed"), None)
    return None if told is None else Refusal(code=told[0], sentence=told[1])
