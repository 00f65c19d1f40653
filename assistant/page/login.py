"""Names and hashed passwords, and who is logged in. Knows nothing of requests or pages."""

import hashlib
import hmac
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COST = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
MOST_FAILURES, WINDOW_S = 5, 300.0
LASTS_S = 12 * 3600.0
SHORTEST_PASSWORD = 10


class LoginError(ValueError):
    """A password file that is none, or a password that is too short."""


def hashed(password: str, salt: bytes | None = None) -> str:
    """Return what stands in the password file: scrypt (RFC 7914) with a salt of its own."""
    if len(password) < SHORTEST_PASSWORD:
        msg = f"expected a password of at least {SHORTEST_PASSWORD} characters, found fewer"
        raise LoginError(msg)
    salt = salt or secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_derived(password, salt).hex()}"


def read_passwords(path: Path) -> Mapping[str, str]:
    """Read lines of ``name:hash``; raises LoginError for anything else and for a readable file."""
    if path.stat().st_mode & 0o077:
        msg = f"{path.name}: expected a file that only its owner can read; run chmod 600"
        raise LoginError(msg)
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, kept = line.strip().partition(":")
        if not name or len(kept.split("$")) != 3 or not kept.startswith("scrypt$"):
            msg = f"{path.name}: expected lines of name:scrypt$..., found another; use --hash"
            raise LoginError(msg)
        found[name] = kept
    if not found:
        msg = f"{path.name}: expected at least one name, found none; use --hash"
        raise LoginError(msg)
    return found


def _derived(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, **COST)


@dataclass(eq=False)
class Doorkeeper:
    """Lets in who knows a password, and slows down who guesses."""

    passwords: Mapping[str, str]
    _failures: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _inside: dict[str, tuple[str, float]] = field(default_factory=dict)

    def is_blocked(self, name: str) -> bool:
        """Whether a name had too many wrong passwords a short while ago."""
        failures = self._failures[name[:80]]
        while failures and failures[0] < time.monotonic() - WINDOW_S:
            failures.popleft()
        return len(failures) >= MOST_FAILURES

    def enter(self, name: str, password: str) -> str | None:
        """Return a token for the right password, None for a wrong one or one too many.

        An unknown name takes as long as a known one.
        """
        if self.is_blocked(name):
            return None
        kept = self.passwords.get(name, "scrypt$" + "00" * 16 + "$" + "00" * 32)
        _, salt, expected = kept.split("$")
        found = _derived(password, bytes.fromhex(salt)).hex()
        if not hmac.compare_digest(found, expected):
            self._failures[name[:80]].append(time.monotonic())
            return None
        token = secrets.token_urlsafe(32)
        self._inside[token] = (name, time.monotonic() + LASTS_S)
        return token

    def name_of(self, token: str) -> str | None:
        """Return who a token belongs to; None once it is old or unknown."""
        name, until = self._inside.get(token, ("", 0.0))
        if time.monotonic() < until:
            return name
        self._inside.pop(token, None)
        return None

    def leave(self, token: str) -> None:
        """Forget a token."""
        self._inside.pop(token, None)
