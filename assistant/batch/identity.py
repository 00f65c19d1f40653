"""What a run is, so that another one is told from it. Holds hashes alone: a path names patients."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.batch.item import Plan
from segment.errors import Refusal, ScanError
from segment.resume import replacing

LAYOUT = 1  # of the files in a run's folder


@dataclass(frozen=True)
class Identity:
    """The settings of a run and its studies, by hashes that can be compared and not read."""

    settings: Mapping[str, str]
    studies: Mapping[str, str]
    layout: int = LAYOUT

    def difference(self, other: "Identity") -> str | None:
        """Say in words what another run does otherwise; None where it is the same."""
        if self.layout != other.layout:
            return "the files of another version of voxcite"
        names = sorted(self.settings.keys() | other.settings.keys())
        changed = [n for n in names if self.settings.get(n) != other.settings.get(n)]
        if changed:
            return f"a run with another {' and '.join(changed)}"
        new = len(other.studies.keys() - self.studies.keys())
        gone = len(self.studies.keys() - other.studies.keys())
        moved = [key for key, digest in self.studies.items() if other.studies.get(key) != digest]
        if not (new or moved):
            return None
        return f"a run of other studies ({new} new, {gone} gone, {len(moved) - gone} changed)"


def identity_of(plan: Plan) -> Identity:
    """Return what tells this run from others."""
    settings = {name: _hashed(value) for name, value in asdict(plan.settings).items()}
    return Identity(settings, {item.id: item.digest(plan.root) for item in plan.items})


def write_identity(path: Path, identity: Identity) -> None:
    """Write it, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(identity)) + "\n", encoding="utf-8")


def read_identity(path: Path) -> Identity:
    """Read it back; raises ScanError where the file holds something else."""
    try:
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        msg = f"{path.name}: expected the identity of a run, found something else; give another"
        raise ScanError(Refusal.OUTPUT, msg) from error


def _hashed(value: Any) -> str:  # noqa: ANN401  any setting
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
