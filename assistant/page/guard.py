"""Stands before every request: who asks, from where, for how much; and what the answer may load.

Pure ASGI, so that streams pass through. Knows nothing of studies or of the page.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from assistant.page.login import Doorkeeper
from assistant.page.store import owner_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "voxcite"
OWNER = "voxcite_owner"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")
LOCAL = {"127.0.0.1", "localhost", "::1"}
OPEN_PATHS = ("/healthz", "/login", "/metrics")  # none of them tells of a study
# What Gradio serves by default and this page never needs: its cache of files, which any visitor
# could read by path, uploads into it, its proxy and its monitoring.
CLOSED = re.compile(
    r"/(monitoring|gradio_api/(upload|upload_progress|file|file=.*|proxy=.*|stream/.*|runs)|"
    r"file=.*|proxy=.*|deep_link|mcp)(/.*)?$"
)
# Gradio tells a session's messages to whoever names it; its page names it from the first moment on.
BEATS = re.compile(r"/heartbeat/([^/]+)$")
MOST_SESSIONS = 10_000  # remembered; the oldest is forgotten first
LARGEST_MESSAGE = 2**20  # bytes of a request that is no upload
UPLOAD = "/upload"
POLICY = "; ".join(
    (
        "default-src 'self'",
        # Gradio compiles templates and starts inline
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'self'",
        "object-src 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Wraps an app; ``doorkeeper`` is None where no login is asked for."""

    app: App
    doorkeeper: Doorkeeper | None
    hosts: frozenset[str]
    _sessions: dict[str, str] = field(default_factory=dict, repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with its owner written down, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        request = _Request.of(scope)
        token = request.token
        fresh = None
        if self.doorkeeper is None and token is None:
            token = fresh = secrets.token_urlsafe(32)
        owner = self._owner(token)
        if (status := self._refusal(request, owner)) is not None:
            await _answer(send, status, _location(status))
            return
        scope[OWNER] = owner
        await self.app(scope, _limited(receive, request), _with_headers(send, request, fresh))

    def _owner(self, token: str | None) -> str | None:
        if token is None:
            return None
        return owner_of(token) if self.doorkeeper is None else self.doorkeeper.name_of(token)

    def _refusal(self, request: "_Request", owner: str | None) -> int | None:
        """Return the status of a request that goes no further, None for one that may."""
        if self.hosts and request.host not in self.hosts:
            return 400
        if len(request.sessions) > 1:
            return 400
        if request.is_writing and not request.is_of_this_page:
            return 403
        if CLOSED.search(request.path):
            return 404
        if owner is None and request.path not in OPEN_PATHS:
            return 303 if request.is_reading_a_page else 401
        if request.length > LARGEST_MESSAGE and request.path != UPLOAD:
            return 413
        return 404 if self._is_anothers(request.session, owner) else None

    def _is_anothers(self, session: str | None, owner: str | None) -> bool:
        """Whether somebody else was the first to name this session of Gradio's."""
        if session is None or owner is None:
            return False
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        return self._sessions.setdefault(session, owner) != owner


@dataclass(frozen=True)
class _Request:
    """What of a request is looked at."""

    path: str
    method: str
    headers: dict[str, str]
    query: str = ""

    @classmethod
    def of(cls, scope: Scope) -> "_Request":
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = scope.get("query_string", b"").decode("latin-1")
        return cls(scope["path"], scope["method"], headers, query)

    @property
    def host(self) -> str:
        return urlsplit(f"//{self.headers.get('host', '')}").hostname or ""

    @property
    def token(self) -> str | None:
        try:
            cookie = SimpleCookie(self.headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return cookie.value if cookie is not None and TOKEN.fullmatch(cookie.value) else None

    @property
    def session(self) -> str | None:
        """The session of Gradio's whose messages are asked for, None for another request."""
        found = BEATS.search(self.path)
        return found[1] if found else next(iter(self.sessions), None)

    @property
    def sessions(self) -> tuple[str, ...]:
        """Every session that the query names; more than one is somebody's trick."""
        return tuple(parse_qs(self.query, keep_blank_values=True).get("session_hash", ()))

    @property
    def is_writing(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def is_reading_a_page(self) -> bool:
        return self.method == "GET" and "text/html" in self.headers.get("accept", "")

    @property
    def is_of_this_page(self) -> bool:
        """Whether a browser says that this page, or no page at all, asks."""
        origin = self.headers.get("origin")
        return origin is None or urlsplit(origin).netloc == self.headers.get("host")

    @property
    def length(self) -> int:
        length = self.headers.get("content-length", "0")
        return int(length) if length.isdecimal() and len(length) < 16 else 2**62


def _limited(receive: Receive, request: _Request) -> Receive:
    """Cut off a request that sends more than it said or more than any message needs."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_MESSAGE and request.path != UPLOAD:
            return {"type": "http.disconnect"}
        return message

    return counted


def _with_headers(send: Send, request: _Request, fresh: str | None) -> Send:
    """Add what every answer carries, and the cookie of a new browser."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(k, v) for k, v in message["headers"] if k.decode().lower() not in HEADERS]
            kept += [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            if "/assets/" in request.path or request.path.startswith("/static/"):
                kept = [(k, v) for k, v in kept if k != b"cache-control"]
                kept.append((b"cache-control", b"private, max-age=86400"))
            if fresh is not None:
                kept.append((b"set-cookie", cookie_of(fresh).encode()))
            message["headers"] = kept
        await send(message)

    return guarded


def cookie_of(token: str, *, lasts_s: int = 400 * 86400) -> str:
    """Write the cookie that tells one browser from another."""
    return f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s}"


def _location(status: int) -> list[tuple[bytes, bytes]]:
    return [(b"location", b"/login")] if status == 303 else []


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Answer without a word."""
    safe = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *safe]})
    await send({"type": "http.response.body", "body": b""})
