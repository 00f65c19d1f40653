"""A connection to a DICOMweb server, and what can be wrong with one. Knows nothing of studies.

Names and passwords are those of ``~/.netrc``. No message quotes the server's answer or address.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from requests.adapters import HTTPAdapter

from segment.errors import Refusal, ScanError

CONNECT_S, READ_S = 10.0, 120.0
PROBLEMS = {
    401: "expected to be let in, found that the server wants a password; put it into ~/.netrc",
    403: "expected to be let in, found that the server forbids it; ask who runs it",
    404: "expected the study or series that was named, found none; find it with dicomweb find",
    409: "expected the server to take every object, found that it refused some; nothing is sure",
}
SILENT = "expected a DICOMweb server that answers, found none; check its address and the network"
STRANGE = "expected the answer of a DICOMweb server, found another one; check the address"


class Patience(HTTPAdapter):
    """Gives up on a server that does not answer in time."""

    def send(self, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401
        """Send a request with limits on how long it may take to connect and between two bytes."""
        return super().send(*args, **{**options, "timeout": (CONNECT_S, READ_S)})


def connect(root: str) -> DICOMwebClient:
    """Make a client for a server's DICOMweb; nothing is sent yet."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Patience())
    client = DICOMwebClient(root, session=session)
    client.set_http_retry_params(retry=False)
    return client


@contextmanager
def explained() -> Iterator[None]:
    """Turn what goes wrong with a server into one sentence."""
    try:
        yield
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        failed = f"expected the server to do what was asked, found that it failed ({status})"
        raise ScanError(Refusal.SERVER, PROBLEMS.get(status, failed)) from None
    except requests.RequestException:
        raise ScanError(Refusal.SERVER, SILENT) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ScanError):
            raise
        raise ScanError(Refusal.SERVER, STRANGE) from None
