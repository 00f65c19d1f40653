"""The command ``voxcite mesh``: writes surfaces and says what they enclose. Decides nothing."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.check import read_table
from assistant.cli.terminal import DISCLAIMER, DOES_NOT_HOLD, NOTHING_MEASURED, OK, bar_of
from assistant.folder import ENTROPY, PROBABILITY, REPORT

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from assistant.surfaces import Drawing, Surfaces
    from segment.surface_file import Format

UNSAFE = re.compile(r"[^\w.-]+")


def add_mesh(commands: "Commands") -> None:
    """Describe the command."""
    mesh = commands.add_parser("mesh", help="write the surface of each structure for a 3-D viewer")
    mesh.add_argument(
        "source",
        type=Path,
        help="the folder of a draft, or a file of labels (NIfTI or DICOM SEG)",
    )
    mesh.add_argument("--to", default="glb", metavar="FORMAT[,FORMAT]", help="of glb, stl, obj")
    mesh.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: with the source")
    mesh.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="what the labels of a file mean (CSV: value,name,structure,side)",
    )
    mesh.set_defaults(run=run_mesh)


def run_mesh(chosen: argparse.Namespace) -> int:
    """Write each surface in each format asked for, and print the volumes inside."""
    from assistant.report import report_from_json
    from assistant.surfaces import draft_surfaces, label_surfaces
    from assistant.verify import verify_report
    from assistant.written import written_whole
    from segment.surface_file import surface_bytes

    formats = _formats(chosen)
    if chosen.source.is_dir():
        table = read_table(chosen.source / REPORT)
        if problems := verify_report(table):
            print(f"{REPORT}: {len(problems)} problems; no surface is drawn", file=sys.stderr)
            return DOES_NOT_HOLD
        found = draft_surfaces(chosen.source, report_from_json(table))
    else:
        found = label_surfaces(chosen.source, chosen.labels)
    folder = chosen.output or (chosen.source if chosen.source.is_dir() else chosen.source.parent)
    told: list[str] = []
    names: list[str] = []
    with written_whole(folder) as temporary, bar_of(len(found), "mesh") as bar:
        for drawing in found:
            told.append(_one_line(drawing))
            stem = _stem(drawing.subject.name, names)
            for kind in formats if len(drawing.surface.faces) else ():
                names.append(f"{stem}.{kind}")
                (temporary / names[-1]).write_bytes(surface_bytes([drawing.surface], kind))
            bar.update()
    print("\n".join(["DRAFT. " + DISCLAIMER, *_origin(found), *told]))
    print("\n".join(f"wrote {name}" for name in names))
    return OK if names else NOTHING_MEASURED


def _formats(chosen: argparse.Namespace) -> "tuple[Format, ...]":
    """Return the formats asked for; raises ScanError for options that do not go together."""
    from segment.errors import Refusal, ScanError
    from segment.surface_file import FORMATS

    if chosen.labels is not None and chosen.source.is_dir():
        msg = "--labels says what a file of labels means, and a draft says it itself; leave it out"
        raise ScanError(Refusal.BAD_OPTION, msg)
    wanted = tuple(dict.fromkeys(chosen.to.split(",")))
    if unknown := [kind for kind in wanted if kind not in FORMATS]:
        msg = f"expected {', '.join(FORMATS)} after --to, found {unknown[0]!r}; give one of them"
        raise ScanError(Refusal.BAD_OPTION, msg)
    return tuple(kind for kind in FORMATS if kind in wanted)


def _stem(name: str, taken: Sequence[str]) -> str:
    """Name a file after a structure, apart from those that are there."""
    stem = UNSAFE.sub("_", name)
    while any(other.startswith(f"{stem}.") for other in taken):
        stem += "_"
    return stem


def _origin(found: "Surfaces") -> Iterator[str]:
    """Say what shape and colour come from."""
    if found.probability is None:
        yield f"shape: the voxels of {found.shape}, smoothed; no {PROBABILITY} was there"
    else:
        yield f"shape: {found.shape}, where a structure is more probable than any other; smoothed"
    if found.entropy is None:
        yield f"colour: grey; no {ENTROPY} was there to say how sure the surface is"
    else:
        yield f"colour: {ENTROPY}, from 0 (violet, sure) to 1 (yellow)"


def _one_line(drawing: "Drawing") -> str:
    """Write one surface for the terminal: what it encloses beside what was counted."""
    record = drawing.subject.record
    label = drawing.subject.name if record is None else f"{record.id} {drawing.subject.name}"
    if not len(drawing.surface.faces):
        found = "fills its grid" if drawing.voxels_ml else "no voxel"
        return f"{label}: {found}, so no surface"
    shape = "watertight" if drawing.surface.is_watertight else "open"
    told = [_volumes(drawing), shape, *_entropy(drawing)]
    return f"{label}: {'; '.join(told)}"


def _volumes(drawing: "Drawing") -> str:
    """State the volume inside and that of the voxels, unless the record's is withheld."""
    record, inside_ml = drawing.subject.record, drawing.surface.volume_ml
    if record is not None and record.is_withheld:
        return f"{record.reliability} ({record.reason}), so no volume is stated"
    counted = f"{drawing.voxels_ml:.2f} mL of voxels"
    if inside_ml is None:
        return f"{counted}, no volume inside"
    percent = 100 * (inside_ml / drawing.voxels_ml - 1)
    return f"{inside_ml:.2f} mL inside, {counted} ({percent:+.1f} %)"


def _entropy(drawing: "Drawing") -> Iterator[str]:
    """Say how sure a surface is, where that is known."""
    values = drawing.surface.uncertainty
    if values is not None:
        yield f"entropy {values.mean():.2f} on average, {values.min():.2f} to {values.max():.2f}"
