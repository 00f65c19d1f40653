"""What is known about each organ: data, one folder each. Knows nothing of any scan."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from segment.measurement import Reference
from segment.segmentation import Side


@dataclass(frozen=True)
class Structure:
    """A part of an organ: which labels make it up and what it is expected to measure."""

    name: str
    labels: tuple[str, ...]
    modifier: str | None
    plausible_ml: tuple[float, float]
    volume_reference: Reference | None
    asymmetry_reference: Reference | None


@dataclass(frozen=True)
class Organ:
    """One organ, coded in SNOMED CT, with its structures in reporting order."""

    name: str
    code: str
    sides: tuple[Side, ...]
    centre_mni_mm: Mapping[Side, tuple[float, float, float]]
    structures: tuple[Structure, ...]

    def structure(self, name: str) -> Structure:
        """Return one structure by its name; raises KeyError for an unknown one."""
        return {structure.name: structure for structure in self.structures}[name]


def available() -> tuple[str, ...]:
    """Name the organs that have a folder here."""
    here = files(__package__)
    return tuple(sorted(d.name for d in here.iterdir() if d.joinpath("organ.toml").is_file()))


def load(name: str) -> Organ:
    """Read one organ; raises ValueError for an unknown name or an unknown key."""
    if name not in available():
        msg = f"unknown organ {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(name, "organ.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    known = {"name", "sides", "code", "centre_mni_mm", "structures", "reference"}
    if unknown := sorted(table.keys() ^ known):
        msg = f"organ {name}: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    return Organ(
        name=table["name"],
        code=table["code"],
        sides=tuple(table["sides"]),
        centre_mni_mm={side: (x, y, z) for side, (x, y, z) in table["centre_mni_mm"].items()},
        structures=tuple(_structure(n, s, table) for n, s in table["structures"].items()),
    )


def _structure(name: str, entry: Mapping[str, Any], table: Mapping[str, Any]) -> Structure:
    """Read one structure with its references."""
    least, most = entry["plausible_ml"]
    return Structure(
        name=name,
        labels=tuple(entry["labels"]),
        modifier=entry.get("modifier"),
        plausible_ml=(least, most),
        volume_reference=_reference(table["reference"], "volume_ml", name),
        asymmetry_reference=_reference(table["reference"], "asymmetry_percent", name),
    )


def _reference(reference: Mapping[str, Any], quantity: str, structure: str) -> Reference | None:
    """Read the reference distribution of one quantity of one structure, if there is one."""
    entry = reference.get(quantity, {}).get(structure)
    if entry is None:
        return None
    return Reference(
        lower=entry["lower"],
        upper=entry["upper"],
        coverage=reference["coverage"],
        n=entry["n"],
        source=reference["source"],
        scope=reference["scope"],
    )
