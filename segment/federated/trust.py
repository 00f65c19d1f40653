"""Whether a server is the one that its authority vouches for. Knows nothing of Flower."""

import socket
import ssl
from pathlib import Path

WITHIN_S = 10.0


def check_server(address: str, authority: Path) -> None:
    """Shake hands with a server as a SuperNode would.

    Raises ValueError where its certificate does not match the authority or the name, and OSError
    where nobody answers.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        msg = f"expected HOST:PORT, found {address!r}; give the server's address"
        raise ValueError(msg)
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
