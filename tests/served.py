"""A small server on loopback that answers as it is told, well or badly, and keeps what it got.

It is the fake one; the real one is llama.cpp's own, in the same tests.
"""

import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "toy"


@dataclass(frozen=True)
class Reply:
    """One answer: a status, bytes, and how it is brought."""

    body: bytes = b""
    status: int = 200
    headers: tuple = ()
    wait_s: float = 0.0
    longer_s: float = 0.0  # between two bytes
    claims: int | None = None  # a length that is not true


def reply(content, **options):
    return Reply(json.dumps(content).encode(), **options)


def listing(engine="llamacpp", name=MODEL, **entry):
    return reply({"object": "list", "data": [{"id": name, "owned_by": engine, **entry}]})


def said(text, ended="stop"):
    message = {"role": "assistant", "content": text}
    return reply({"choices": [{"index": 0, "message": message, "finish_reason": ended}]})


@dataclass
class Fake:
    """Where the server is, and what it was asked: method, path, headers, JSON."""

    root: str
    asked: list = field(default_factory=list)
    pending: list = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0

    def answers(self, *answers):
        """Answer so from now on."""
        self.pending[:] = answers

    def bodies(self):
        return [body for method, _, _, body in self.asked if method == "POST"]


class Handler(BaseHTTPRequestHandler):
    """Answers one request as the server's script says."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._bring(self.server.script.told(self.path, dict(self.headers)))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        chosen = self.server.script.answered(self.path, dict(self.headers), body)
        self._bring(chosen)

    def _bring(self, chosen):
        stop = self.server.script.stop
        stop.wait(chosen.wait_s)
        self.server.script.found.at_once -= self.command == "POST"
        self.send_response(chosen.status)
        for name, value in chosen.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(chosen.claims or len(chosen.body)))
        self.end_headers()
        pieces = [chosen.body] if not chosen.longer_s else [bytes([b]) for b in chosen.body]
        with suppress(OSError):  # who asked may have left
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                if stop.wait(chosen.longer_s):
                    return


@dataclass
class Script:
    """What is to be answered; of the answers that wait the last one for ever."""

    found: Fake
    pages: dict
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def told(self, path, headers):
        self.found.asked.append(("GET", path, headers, None))
        return self.pages.get(path, Reply(status=404))

    def answered(self, path, headers, body):
        with self.lock:
            self.found.asked.append(("POST", path, headers, body))
            self.found.at_once += 1
            self.found.most_at_once = max(self.found.most_at_once, self.found.at_once)
            pending = self.found.pending
            return pending.pop(0) if len(pending) > 1 else pending[0]


@contextmanager
def fake(*answers, models=None, version="0.15.0"):
    """Serve a list of models, and to each question the next answer."""
    pages = {"/v1/models": models or listing(), "/version": reply({"version": version})}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pending = list(answers) or [said("nothing")]
        found = Fake(f"http://127.0.0.1:{server.server_port}", pending=pending)
        server.script = Script(found, pages)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            server.script.stop.set()
            server.shutdown()
            thread.join()
