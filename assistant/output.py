"""Writes what a run made into a folder. Knows nothing of how it was made."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import prompts
from assistant import exams, views
from assistant.change_views import change_views
from assistant.entropy import write_maps
from assistant.folder import LABELS, PROBABILITY, REPORT
from assistant.followup import Placed
from assistant.ledger import Ledger
from assistant.maps import write_map
from assistant.probability import write_probability
from assistant.records import measurements_json
from assistant.report import Report, report_bytes
from assistant.steps import Segmented
from assistant.study import Study
from assistant.trend_views import trend_views
from segment.infer import Found, paint
from segment.masks.pieces import Piece, paint_pieces
from segment.volume import Volume

ROOM = 1.2  # of a picture around a structure
# From the middle of an organ of the trunk this reaches no farther than the neck: no face is drawn.
LARGEST_FIELD_MM = 240.0


def write_draft(
    folder: Path,
    study: Study,
    segmented: Segmented,
    report: Report,
    created: str,
    placed: Sequence[Placed] = (),
) -> None:
    """Write report.md, report.json, labels, probability, maps of uncertainty, one overlay a side.

    ``placed`` are earlier studies, the oldest first, for pictures of what changed since the latest;
    of three or more dates each trend has one.
    Of a supplied segmentation nobody knows the uncertainty, and what it does not hold has no
    picture.
    """
    (folder / REPORT).write_bytes(report_bytes(report, created))
    (folder / "report.md").write_text(report.markdown(), encoding="utf-8")
    write_labels(folder / LABELS, study.volume, segmented)
    changed = change_views(study, placed, segmented, records=report.measurements)
    for view in (*changed, *trend_views(report.ledger, prompts.load(report.language))):
        views.write_png(view, folder)
    if segmented.pieces:
        is_of_lesions = exams.load(report.exam).compares == "lesions"
        _write_pieces(folder, study.volume, segmented.pieces, "lesions of the " * is_of_lesions)
        return
    sides = [side for side in segmented.sides if isinstance(side, Found)]
    write_maps(folder, study.volume.geometry, sides)
    if sides:
        write_probability(folder / PROBABILITY, study.volume.geometry, segmented.sides)
    found = [side.segmentation for side in sides]
    note = "MNI152 template: an average of 152 heads, no person" if study.is_template else ""
    for view in views.overlays(study.volume, found, labels={"note": note}):
        views.write_png(view, folder)


def _write_pieces(folder: Path, volume: Volume, pieces: Sequence[Piece], what: str) -> None:
    """Draw each piece by itself, in a field that holds it as far as a field may reach.

    ``what`` says what of a structure is outlined, where that is not the structure.
    """
    for drawn in filter(None, (piece.drawn() for piece in pieces)):
        reach_mm = float(max(np.multiply(drawn.geometry.shape, volume.geometry.spacing_mm)))
        field_mm = min(max(reach_mm * ROOM, views.FIELD_MM), LARGEST_FIELD_MM)
        titles = {part: what + part for part in drawn.structures}
        for view in views.overlays(volume, [drawn], labels=titles, field_mm=field_mm):
            views.write_png(view, folder)


def write_labels(path: Path, volume: Volume, segmented: Segmented) -> None:
    """Write the labels on the scan's own grid as NIfTI."""
    if segmented.pieces:
        labels = paint_pieces(volume.geometry, segmented.pieces)
    else:
        labels = paint(volume.geometry, segmented.sides)
    write_map(path, labels, volume.geometry)


def write_measurements(
    path: Path,
    ledger: Ledger,
    provenance: Mapping[str, Any],
    certainty: Sequence[Mapping[str, Any]] = (),
    bounds: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write measurements.json."""
    table = measurements_json(ledger.records, provenance, certainty, bounds)
    text = json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
