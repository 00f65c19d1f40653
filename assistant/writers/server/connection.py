"""A connection to a server that speaks JSON: tries again, waits, and gives up in one sentence.

Knows nothing of models or texts. No message quotes the server's answer, its address or the key.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any

import httpx

from assistant.writers.server.address import is_local
from assistant.writers.vlm.errors import Fault, ModelError

LONGEST_ANSWER = 4 * 2**20  # bytes; a report has some thousand
OK, TOO_MANY = 200, 429
TRIED_AGAIN = {TOO_MANY, 500, 502, 503, 504}
FORBIDDEN = {401, 403}
LOST = {Fault.UNREACHABLE, Fault.BROKEN_OFF}
SAID: Mapping[Fault, str] = {
    Fault.UNREACHABLE: "a server that answers, found none; check its address and the network",
    Fault.TOO_SLOW: "an answer in time, found none; try again, or give it shorter queues",
    Fault.BROKEN_OFF: "a whole answer, found one that broke off each time; look into its log",
    Fault.BUSY: "a server with time, found it too busy (429); try again later",
    Fault.SERVER_FAILED: "an answer, found that the server failed ({status}); look into its log",
    Fault.FORBIDDEN: "to be let in, found that it refuses ({status}); set VOXCITE_SERVER_KEY",
    Fault.ELSEWHERE: "the server itself, found one that sends elsewhere; give its own address",
    Fault.REFUSED: "the request to be taken, found it refused ({status}); look into its log",
    Fault.STRANGE: "the JSON of an OpenAI-compatible server, found another answer; check its"
    " address",
}


@dataclass(frozen=True)
class Patience:
    """How often and how long a server is asked; ``whole_s`` bounds all tries of one request."""

    tries: int = 4
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    connect_s: float = 10.0
    whole_s: float = 600.0
    at_once: int = 4

    def wait_s(self, tried: int, wanted: str) -> float:
        """Say how long to wait after some tries: twice as long each time, or as it was asked."""
        asked = float(wanted) if wanted.isdecimal() and len(wanted) < 6 else 0.0
        return min(max(self.first_wait_s * 2.0 ** (tried - 1), asked), self.longest_wait_s)


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str
    body: bytes


@dataclass(frozen=True, eq=False)
class Connection:
    """Asks one server, with so many requests at once as its patience allows."""

    root: str
    key: str | None = field(default=None, repr=False)
    patience: Patience = field(default_factory=Patience)
    wait: Callable[[float], None] = time.sleep
    _turns: BoundedSemaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", BoundedSemaphore(self.patience.at_once))

    def get(self, url: str) -> Any:  # noqa: ANN401  # JSON
        """Return what stands at an address; raises ModelError."""
        return self._ask("GET", url, None)

    def post(self, url: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        """Return what a server answers; raises ModelError."""
        return self._ask("POST", url, json.dumps(body).encode())

    def _ask(self, method: str, url: str, body: bytes | None) -> Any:  # noqa: ANN401  # JSON
        """Ask until there is an answer, until it makes no sense to, or until patience ends."""
        until = time.monotonic() + self.patience.whole_s
        tried = 0
        while True:
            tried += 1
            try:
                with self._turns:
                    answer = self._once(method, url, body, until)
            except ModelError as error:
                if error.code not in LOST or not self._rests(tried, "", until):
                    raise
                continue
            if answer.status not in TRIED_AGAIN or not self._rests(
                tried, answer.retry_after, until
            ):
                return _content(answer)

    def _rests(self, tried: int, wanted: str, until: float) -> bool:
        """Wait before the next try; tell whether there is one."""
        wait_s = self.patience.wait_s(tried, wanted)
        if tried >= self.patience.tries or time.monotonic() + wait_s > until:
            return False
        self.wait(wait_s)
        return True

    def _once(self, method: str, url: str, body: bytes | None, until: float) -> _Answer:
        """Send one request and read its answer, which may neither drip nor flood."""
        left_s = max(until - time.monotonic(), 0.001)
        timeout = httpx.Timeout(left_s, connect=min(self.patience.connect_s, left_s))
        trusts = not is_local(self.root)  # of this machine no proxy needs to know
        try:
            with (
                httpx.Client(timeout=timeout, trust_env=trusts) as client,
                client.stream(method, url, content=body, headers=self._headers()) as found,
            ):
                read = _read(found, until)
                retry_after = found.headers.get("retry-after", "")
        except httpx.TimeoutException as error:
            raise _error(Fault.TOO_SLOW) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise _error(Fault.STRANGE) from error
        except httpx.ConnectError as error:
            raise _error(Fault.UNREACHABLE) from error
        except httpx.HTTPError as error:
            raise _error(Fault.BROKEN_OFF) from error
        return _Answer(found.status_code, retry_after, read)

    def _headers(self) -> dict[str, str]:
        """Say what is sent and wanted; packed answers could grow without end."""
        key = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        json_only = {"Content-Type": "application/json", "Accept": "application/json"}
        return {**json_only, "Accept-Encoding": "identity", **key}


def _read(found: httpx.Response, until: float) -> bytes:
    """Read an answer as it was sent; raises ModelError for one that is too long or too slow."""
    read = bytearray()
    for chunk in found.iter_raw():
        read += chunk
        if len(read) > LONGEST_ANSWER:
            raise _error(Fault.STRANGE)
        if time.monotonic() > until:
            raise _error(Fault.TOO_SLOW)
    return bytes(read)


def _content(answer: _Answer) -> Any:  # noqa: ANN401  # JSON
    """Read the JSON of an answer; raises ModelError for anything else."""
    if answer.status != OK:
        raise _error(_fault_of(answer.status), answer.status)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise _error(Fault.STRANGE) from error


def _fault_of(status: int) -> Fault:
    """Say what a status other than 200 means."""
    if status == TOO_MANY:
        return Fault.BUSY
    if status in FORBIDDEN:
        return Fault.FORBIDDEN
    if status == 404 or status < 300:
        return Fault.STRANGE
    if status < 400:
        return Fault.ELSEWHERE
    return Fault.REFUSED if status < 500 else Fault.SERVER_FAILED


def _error(fault: Fault, status: int = 0) -> ModelError:
    return ModelError(fault, f"the writer's server: expected {SAID[fault].format(status=status)}")


def strange() -> ModelError:
    """Say that an answer is none of an OpenAI-compatible server."""
    return _error(Fault.STRANGE)
