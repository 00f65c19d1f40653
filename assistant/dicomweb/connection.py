"""A connection to a DICOMweb server, and what can be wrong with one. Knows nothing of studies.

Names and passwords are those of ``~/.netrc``. No message quotes the server's answer or address.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter

from assistant.dicomweb import COSTLY
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
ELSEWHERE = "expected the server itself, found one that sends elsewhere; give its own address"
NO_DICOM = "expected DICOM files, found another; export a report with --to dicom_sr,dicom_seg"
UNWRITTEN = "expected room and the right to write files, found one of them missing; free some"
# What is caught, the first that fits: requests' errors are OSErrors too.
KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Refusal, str], ...] = (
    (requests.TooManyRedirects, Refusal.SERVER, ELSEWHERE),
    (
        (
            requests.JSONDecodeError,
            requests.exceptions.ContentDecodingError,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
        ),
        Refusal.SERVER,
        STRANGE,
    ),
    (requests.RequestException, Refusal.SERVER, SILENT),
    (InvalidDicomError, Refusal.UNREADABLE, NO_DICOM),
    (MemoryError, Refusal.TOO_COSTLY, COSTLY),
    (OSError, Refusal.OUTPUT, UNWRITTEN),
    (Exception, Refusal.SERVER, STRANGE),  # an answer can be anything
)


class Patience(HTTPAdapter):
    """Gives up on a server that does not answer in time, and calls it by its whole name."""

    def send(
        self,
        request: requests.PreparedRequest,
        *args: Any,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Send a request with limits on how long it may take to connect and between two bytes.

        dicomweb-client names the host without its port, which RFC 9110 7.2 asks for; without its
        header the name is that of the address.
        """
        request.headers.pop("Host", None)
        return super().send(request, *args, **{**options, "timeout": (CONNECT_S, READ_S)})


def session() -> requests.Session:
    """Make a session that waits some time, follows nobody elsewhere and wants nothing packed."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, Patience())
    made.max_redirects = 0  # a password would follow
    made.headers["Accept-Encoding"] = "identity"
    return made


@contextmanager
def explained() -> Iterator[None]:
    """Turn what goes wrong with a server into one sentence."""
    try:
        yield
    except ScanError:
        raise
    except Exception as error:
        raise _problem(error) from None


def _problem(error: Exception) -> ScanError:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        failed = f"expected the server to do what was asked, found that it failed ({status})"
        return ScanError(Refusal.SERVER, PROBLEMS.get(status, failed))
    code, sentence = next((code, said) for kind, code, said in KINDS if isinstance(error, kind))
    return ScanError(code, sentence)
