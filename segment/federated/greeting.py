"""What a site says before it may take part, and whether that will do.

Knows nothing of networks or of Flower. Two versions of the project would train two different
networks under one name, so that the sources themselves are compared.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from segment.federated.plan import SEGMENTER, WRITER
from segment.federated.site import NAME
from segment.table import filled

LONGEST = 64  # of a text: a hash
PACKAGES: Mapping[str, tuple[str, ...]] = {
    SEGMENTER: ("segment",),
    WRITER: ("segment", "prompts", "assistant"),
}


@dataclass(frozen=True)
class Greeting:
    """A site's name, what it runs, the plan it agreed to, and how many cases it trains on.

    It comes over the network: raises ValueError for anything that is not of its kind.
    """

    site: str
    version: str
    code_sha256: str
    plan_sha256: str
    cases: int

    def __post_init__(self) -> None:
        texts = (self.site, self.version, self.code_sha256, self.plan_sha256)
        are_texts = all(isinstance(text, str) and len(text) <= LONGEST for text in texts)
        is_count = isinstance(self.cases, int) and self.cases >= 0
        if not (are_texts and is_count and NAME.fullmatch(self.site)):
            msg = "expected a greeting of a name, hashes and a count, found another"
            raise ValueError(f"{msg}; install the same version")

    @classmethod
    def of(cls, site: str, plan_sha256: str, cases: int, part: str = SEGMENTER) -> "Greeting":
        """Greet with the sources that run where this part is trained."""
        return cls(site, version("voxcite"), code_sha256(part), plan_sha256, cases)

    @classmethod
    def from_table(cls, table: Mapping[str, str | int]) -> "Greeting":
        """Read what ``table`` made; raises ValueError for anything else."""
        return filled(cls, table, "greeting")

    def table(self) -> dict[str, str | int]:
        """Write it as pairs."""
        return asdict(self)


def why_refused(found: Greeting, wanted: Greeting, least_cases: int) -> str | None:
    """Say why a site may not take part, in one sentence; ``wanted`` is the server's own."""
    if (found.version, found.code_sha256) != (wanted.version, wanted.code_sha256):
        return (
            f"expected voxcite {_told(wanted)} at every site, found {_told(found)};"
            " install the same version"
        )
    if found.plan_sha256 != wanted.plan_sha256:
        return (
            f"expected the plan {wanted.plan_sha256[:8]}, found {found.plan_sha256[:8]};"
            " give every site the same file"
        )
    if found.cases < least_cases:
        return (
            f"expected at least {least_cases} training cases, found {found.cases};"
            " add cases or take no part"
        )
    return None


def _told(greeting: Greeting) -> str:
    return f"{greeting.version} (sources {greeting.code_sha256[:8]})"


@cache
def code_sha256(part: str) -> str:
    """Hash the sources and tables that decide what is learnt of a part."""
    digest = hashlib.sha256()
    for package in PACKAGES[part]:
        found = find_spec(package)
        assert found is not None
        assert found.origin is not None
        root = Path(found.origin).parent
        for path in sorted(p for p in root.rglob("*") if p.suffix in {".py", ".toml"}):
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0")
            digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()
