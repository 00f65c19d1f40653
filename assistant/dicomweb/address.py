"""Where a study or series lies on a DICOMweb server, as its address says. Opens no connection."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from segment.errors import Refusal, ScanError

SCHEMES = ("http://", "https://")
RESOURCE = re.compile(
    r"(?P<root>(?i:https?)://[^\s?#]+?)/?"
    r"(?:/studies/(?P<study>[0-9.]{1,64})(?:/series/(?P<series>[0-9.]{1,64}))?)?/?"
)


@dataclass(frozen=True)
class Address:
    """The root of a server's DICOMweb, and the study and series below it where one is named."""

    root: str
    study: str | None = None
    series: str | None = None

    @classmethod
    def of(cls, text: str) -> "Address":
        """Read ``https://server/dicom-web[/studies/UID[/series/UID]]``; raises ScanError."""
        found = RESOURCE.fullmatch(text)
        if found is None or "/studies" in found["root"] or not _has_host(found["root"]):
            msg = (
                "expected the address of a DICOMweb server, study or series, found another one;"
                " give it as https://SERVER/dicom-web/studies/UID"
            )
            raise ScanError(Refusal.BAD_OPTION, msg)
        if urlsplit(found["root"]).username is not None:
            msg = "expected an address without a password; put names and passwords into ~/.netrc"
            raise ScanError(Refusal.BAD_OPTION, msg)
        return cls(found["root"], found["study"], found["series"])


def _has_host(root: str) -> bool:
    """Tell whether an address names a host, and no port that cannot be."""
    try:
        parts = urlsplit(root)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def is_address(source: object) -> bool:
    """Tell whether something is an address and not a path."""
    return isinstance(source, str) and source.lower().startswith(SCHEMES)
