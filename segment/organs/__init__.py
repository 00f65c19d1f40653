"""What is known about each organ: data, one folder each. Knows nothing of any scan."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segment.measurement import Reference
from segment.organs.snomed import check_code
from segment.segmentation import Side
from segment.shelf import ORGAN, folder, known
from segment.table import shelved


@dataclass(frozen=True)
class Structure:
    """A part of an organ: which labels make it up and what it is expected to measure.

    ``volume_percentiles_ml`` are evenly spaced from the lower to the upper end of the reference.
    ``is_one_piece`` is known of few: another may lie in several pieces in everybody.
    """

    name: str
    labels: tuple[str, ...]
    modifier: str | None
    plausible_ml: tuple[float, float] | None
    volume_reference: Reference | None
    asymmetry_reference: Reference | None
    volume_percentiles_ml: tuple[float, ...] = ()
    is_one_piece: bool = False

    def is_plausible(self, volume_ml: float) -> bool:
        """Whether a volume lies in the plausible range; any does where none is known."""
        if self.plausible_ml is None:
            return True
        least, most = self.plausible_ml
        return least <= volume_ml <= most


@dataclass(frozen=True)
class Organ:
    """One organ, coded in SNOMED CT, with its structures in reporting order.

    ``centre_mni_mm`` is empty for an organ that no registration looks for.
    """

    name: str
    code: str
    sides: tuple[Side, ...]
    centre_mni_mm: Mapping[Side, tuple[float, float, float]]
    structures: tuple[Structure, ...]

    def structure(self, name: str) -> Structure:
        """Return one structure by its name; raises KeyError for an unknown one."""
        return {structure.name: structure for structure in self.structures}[name]


NEEDED = {"name", "sides", "code", "structures"}
UNSAID_CODE = "91723000"  # SNOMED CT, Anatomical structure: of an organ whose own nobody looked up
OPTIONAL = {"centre_mni_mm", "reference"}


def owner(organs: Iterable[Organ], structure: str) -> Organ:
    """Return the organ that a structure belongs to; raises KeyError for an unknown one."""
    return {s.name: organ for organ in organs for s in organ.structures}[structure]


def label_numbers(organ: Organ, sides: Sequence[Side]) -> Mapping[tuple[Side, str], int]:
    """Number the labels as ``segment.infer.paint`` writes them: the first side's, the second's."""
    names = dict.fromkeys(label for structure in organ.structures for label in structure.labels)
    pairs = [(side, name) for side in sides for name in names]
    return {pair: number for number, pair in enumerate(pairs, start=1)}


def available() -> tuple[str, ...]:
    """Name the organs that have a folder here or on the user's shelves."""
    return known(__package__, ORGAN)


def shipped() -> tuple[str, ...]:
    """Name the organs that have a folder here."""
    return shelved(__package__, ORGAN)


def load(name: str) -> Organ:
    """Read one organ; raises ValueError for an unknown name or an unknown key."""
    if name not in available():
        msg = f"unknown organ {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = folder(__package__, name, ORGAN).joinpath(ORGAN).read_text(encoding="utf-8")
    return read(text, name)


def read(text: str, name: str) -> Organ:
    """Read an organ from its TOML; raises ValueError for other keys and for codes that are none."""
    table = tomllib.loads(text)
    if unknown := sorted((table.keys() - OPTIONAL) ^ NEEDED):
        msg = f"organ {name}: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    modifiers = [s["modifier"] for s in table["structures"].values() if "modifier" in s]
    for code in (table["code"], *modifiers):
        try:
            check_code(code)
        except ValueError as error:
            msg = f"organ {name}: {error}"
            raise ValueError(msg) from error
    places = table.get("centre_mni_mm", {})
    return Organ(
        name=table["name"],
        code=table["code"],
        sides=tuple(table["sides"]),
        centre_mni_mm={side: (x, y, z) for side, (x, y, z) in places.items()},
        structures=tuple(_structure(n, s, table) for n, s in table["structures"].items()),
    )


def _structure(name: str, entry: Mapping[str, Any], table: Mapping[str, Any]) -> Structure:
    """Read one structure with its references."""
    least, most = entry.get("plausible_ml", (None, None))
    reference = table.get("reference", {})
    return Structure(
        name=name,
        labels=tuple(entry["labels"]),
        modifier=entry.get("modifier"),
        plausible_ml=None if least is None else (least, most),
        volume_reference=_reference(reference, "volume_ml", name),
        asymmetry_reference=_reference(reference, "asymmetry_percent", name),
        is_one_piece=entry.get("one_piece", False),
        volume_percentiles_ml=tuple(reference.get("volume_percentiles_ml", {}).get(name, ())),
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
