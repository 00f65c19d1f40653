"""Where a server is, as its address says. Opens no connection and knows no passwords."""

from urllib.parse import SplitResult, urlsplit

SCHEMES = ("http", "https")
API = "/v1"
LOCAL = {"127.0.0.1", "localhost", "::1"}
EXPECTED = "expected the address of an OpenAI-compatible server, such as http://localhost:8000/v1"


class AddressError(ValueError):
    """No address that may stand in a report; the sentence never quotes it."""


def root_of(text: str) -> str:
    """Return the root of a server's API without a slash at its end; raises AddressError.

    Whether ``/v1`` was written or left out, it is part of the root.
    """
    parts = _split(text)
    if parts.username is not None or parts.password is not None:
        msg = "expected an address without a password, found one; put the key into"
        raise AddressError(f"{msg} VOXCITE_SERVER_KEY")
    if parts.query or parts.fragment:
        msg = "expected an address without ? and #, found one; a key belongs into"
        raise AddressError(f"{msg} VOXCITE_SERVER_KEY")
    path = parts.path.rstrip("/")
    path = path if path.endswith(API) else path + API
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_local(root: str) -> bool:
    """Tell whether a server runs on this machine."""
    return urlsplit(root).hostname in LOCAL


def _split(text: str) -> SplitResult:
    """Cut an address into its parts; raises AddressError where it is none."""
    try:
        parts = urlsplit(text.strip())
        is_address = parts.scheme in SCHEMES and bool(parts.hostname)
        is_address = is_address and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address or any(c.isspace() or not c.isprintable() for c in text.strip()):
        msg = f"{EXPECTED}, found something else; give it with --server"
        raise AddressError(msg)
    return parts
