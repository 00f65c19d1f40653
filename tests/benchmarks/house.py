"""A made hospital: a folder of scans, masks and reports whose wordings are none of the generator's.

Each study is put together from the crops of one subject of the hippocampus data, on one side or on
both, with the experts' outlines as masks; the numbers in its report are measured in these. Knows
nothing of models.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from jaxtyping import Shaped

import prompts
from assistant.ledger import Ledger
from assistant.writers import assess
from assistant.writers.phrasings import Part
from assistant.writers.phrasings import load as wordings_of
from assistant.writers.template import ASYMMETRY
from assistant.writers.vlm.author import exam, whole
from assistant.writers.vlm.ledgers import HELD_OUT_EVERY
from assistant.writers.vlm.own import IMAGES, MASKS, REPORTS, Measured, measure_by_masks
from assistant.writers.vlm.sights import SIDES, crop_name
from segment.measurement import Measurement

LANGUAGE = "en"
GAP = 20  # voxels between both sides, about as far as they are apart in a head
NUMBER = re.compile(r"[-−]?\d+\.\d+ (?:mL|%)")
MASK = "#"  # what stands for a number where wordings are compared
DECIMALS = {"mL": 2, "%": 1}
UNMEASURED = 0.5  # of the reports, with a sentence about what was not measured


@dataclass(frozen=True)
class Study:
    """A name, and the crop behind each side; every crop of the data shows a left hippocampus."""

    name: str
    cases: Mapping[str, int]


def studies(data: Path, part: Part, seed: int = 0) -> tuple[Study, ...]:
    """List two studies a subject: first one of each, in an order drawn by seed, then the others.

    Of a subject with two crops the second study has them on the other sides; of one with a single
    crop it has it on the other side. The held-out subjects are those of the shipped adapter.
    """
    found: dict[int, list[int]] = {}
    for path in sorted((data / "hippocampus" / "images").glob("hippocampus_*.nii.gz")):
        case = int(path.name.split("_")[1].split(".")[0])
        found.setdefault((case + 1) // 2, []).append(case)
    ours = [s for s in sorted(found) if (s % HELD_OUT_EVERY == 0) == (part == "held out")]
    order = np.random.default_rng(seed).permutation(ours).tolist()
    return tuple(
        Study(f"s{subject:03d}{'ab'[turn]}", _placed(found[subject], turn))
        for turn in range(len(SIDES))
        for subject in order
    )


def _placed(cases: Sequence[int], turn: int) -> dict[str, int]:
    sides = SIDES if turn == 0 else SIDES[::-1]
    return dict(zip(sides, cases, strict=False))


def write_folder(chosen: Sequence[Study], data: Path, folder: Path, seed: int = 0) -> None:
    """Write images/, masks/ and reports/ of studies; those that are there are left alone.

    What a report says depends on its study's name and the seed, not on the other studies.
    """
    for kind in (IMAGES, MASKS, REPORTS):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for study in chosen:
        path = folder / REPORTS / f"{study.name}.txt"
        if not path.exists():
            _write_scan(study, data / "hippocampus", folder)
            rng = np.random.default_rng([seed, *study.name.encode()])
            path.write_text(report_of(measured(folder, study.name).ledger, rng), encoding="utf-8")


def share_folder(chosen: Sequence[Study], pool: Path, folder: Path) -> None:
    """Make a folder of some studies of a larger one, with its scans and masks."""
    (folder / REPORTS).mkdir(parents=True, exist_ok=True)
    for kind in (IMAGES, MASKS):
        if not (folder / kind).exists():
            (folder / kind).symlink_to((pool / kind).resolve(), target_is_directory=True)
    for study in chosen:
        name = f"{study.name}.txt"
        text = (pool / REPORTS / name).read_text(encoding="utf-8")
        (folder / REPORTS / name).write_text(text, encoding="utf-8")


def measured(folder: Path, name: str) -> Measured:
    """Measure a study of a folder by its masks, as the product does."""
    masks = {side: folder / MASKS / f"{name}.{side}.nii.gz" for side in SIDES}
    there = {side: path for side, path in masks.items() if path.is_file()}
    return measure_by_masks(folder / IMAGES / f"{name}.nii.gz", there, exam())


def _write_scan(study: Study, data: Path, folder: Path) -> None:
    """Put the crops of a study side by side, the right one mirrored, and their outlines."""
    whole_scan = _joined({side: _crop(data, "images", study, side) for side in study.cases})
    _write(folder / IMAGES / f"{study.name}.nii.gz", whole_scan.astype(np.float32))
    for side in study.cases:
        only = {s: _crop(data, "labels", study, s) * (s == side) for s in study.cases}
        _write(folder / MASKS / f"{study.name}.{side}.nii.gz", _joined(only).astype(np.uint8))


def _crop(data: Path, kind: str, study: Study, side: str) -> Shaped[np.ndarray, "x y z"]:
    image: Any = nibabel.load(data / kind / crop_name(study.cases[side]))
    array = np.asarray(image.dataobj)
    return array if side == "left" else array[::-1]


def _joined(crops: Mapping[str, Shaped[np.ndarray, "_ _ _"]]) -> Shaped[np.ndarray, "x y z"]:
    """Lay crops along the first axis, left first, on a floor of zeros."""
    ordered = [crops[side] for side in SIDES if side in crops]
    _, height, depth = np.max([crop.shape for crop in ordered], axis=0)
    room = sum(len(crop) for crop in ordered) + GAP * (len(ordered) - 1)
    found = np.zeros((room, height, depth), ordered[0].dtype)
    start = 0
    for crop in ordered:
        found[start : start + len(crop), : crop.shape[1], : crop.shape[2]] = crop
        start += len(crop) + GAP
    return found


def _write(path: Path, array: Shaped[np.ndarray, "x y z"]) -> None:
    image: Any = nibabel.Nifti1Image(array, np.eye(4))
    image.set_sform(np.eye(4), code=1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


# what a report says


@cache
def style() -> Mapping[str, Any]:
    """Read how the hospital words its reports."""
    text = files(__package__).joinpath("house.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def report_of(ledger: Ledger, rng: np.random.Generator) -> str:
    """Write what may be stated of a study: every volume, and in the impression the wholes."""
    stated = [record for record in ledger.records if record.reason is None]
    findings = [_said(record, _kind(record), rng) for record in stated]
    if rng.random() < UNMEASURED:
        findings.append(_one_of(style()["unmeasured"], rng))
    short = [record for record in stated if whole(record)]
    impression = [
        _said(r, "short_index" if r.quantity == ASYMMETRY else "short", rng) for r in short
    ]
    return "\n".join(["Findings:", *findings, "Impression:", *impression]) + "\n"


def _kind(record: Measurement) -> str:
    if record.quantity == ASYMMETRY:
        return "index"
    return "whole" if whole(record) else "part"


def _said(record: Measurement, kind: str, rng: np.random.Generator) -> str:
    """Word one record; whether its reference range is spoken of is drawn."""
    placed = style()["placed"].get(assess(record) or "", [])
    tail = _one_of(placed, rng) if placed and rng.random() < 0.5 else ""
    return worded(_one_of(style()[kind], rng), record, tail)


def worded(wording: str, record: Measurement, placed: str = "") -> str:
    """Fill the names and the number of a record into a wording."""
    words = prompts.load(LANGUAGE)
    name = words.structure(record.structure, record.side)
    shorts = wordings_of(LANGUAGE).short
    short = shorts[f"{record.structure}|{record.side}"]
    if kind := record.structure.removeprefix("hippocampus").strip():
        name = f"{record.side} {kind} hippocampus"  # a part, as the hospital calls it
    number = f"{record.value:.{DECIMALS[record.unit]}f} {record.unit}"
    filled = wording.format(
        name=name,
        Name=_capital(name),
        short=short,
        Short=_capital(short),
        number=number,
        placed=placed,
    )
    return f"{filled}."


def masked(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """List the sentences with a number of the reports of studies, each number masked."""
    return tuple(dict.fromkeys(line for name in names for line in _masked(folder, name)))


def _masked(folder: Path, name: str) -> Iterator[str]:
    text = (folder / REPORTS / f"{name}.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        found = NUMBER.sub(MASK, line)
        if MASK in found:
            yield found


def _one_of(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
