"""Whether a server is the one that its authority vouches for. Knows nothing of Flower."""

import socket
import ssl
from pathlib import Path

WITHIN_S = 10.0
MOST_PORT = 65_535


def check_server(address: str, authority: Path) -> None:
    """Shake hands with a server as a SuperNode would.

    Raises ValueError where nobody answers, and where the certificate does not match the authority
    or the name; OSError where the authority's file cannot be read.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MOST_PORT:
        msg = f"expected HOST:PORT with a port of 1 to {MOST_PORT}, found {address!r}; give the"
        raise ValueError(f"{msg} server's address")
    authority.read_bytes()  # what ssl says of a file that is missing does not name it
    try:
        context = ssl.create_default_context(cafile=str(authority))
    except ssl.SSLError as error:
        msg = f"{authority.name}: expected certificates in PEM, found something else"
        raise ValueError(f"{msg}; ask the server for its authority's") from error
    try:
        with (
            socket.create_connection((host, int(port)), timeout=WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")),
        ):
            return
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        msg = f"expected a certificate of {host} that {authority.name} signed, found: {reason}"
        raise ValueError(f"{msg}; ask the server for its authority's certificate") from error
    except (OSError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        msg = f"expected a server at {address}, found none that answers ({reason})"
        raise ValueError(f"{msg}; start it, or correct the address") from error
