"""Which pictures show what became of a study since an earlier one. Draws none itself.

Each structure that was segmented has one, and so has each of the largest lesions that changed.
Nothing is drawn where the examinations cannot be compared: a difference would show that alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float64

from assistant import lesions
from assistant.compared import Dated, Outline, in_current, side_by_side
from assistant.followup import Placed, visit_of
from assistant.steps import Segmented
from assistant.study import Study
from assistant.views import COLOURS, Colour, Convention, View, centre_of
from segment.change import RELATIVE, why_apart
from segment.geometry import Geometry
from segment.infer import Found
from segment.lesion_change import Fate, LesionChange, LesionChanges
from segment.lesion_records import listed
from segment.measurement import Measurement
from segment.objects import Lesion, Lesions
from segment.segmentation import Segmentation
from segment.surface import lead

LESION_FIELD_MM = 50.0  # around a lesion of the brain this shows no face
MOST_LESIONS = 6
# At least 24 apart in Lab for every kind of colour vision (tests/test_compared.py); each lesion has
# its letter as well, and new and gone ones are drawn on one date alone.
REGROUPED: Colour = (0, 150, 110)
FATES: Mapping[Fate, Colour] = MappingProxyType(
    {
        Fate.NEW: (225, 70, 20),
        Fate.ENLARGED: (255, 210, 40),
        Fate.STABLE: (255, 255, 255),
        Fate.SHRUNK: (110, 195, 255),
        Fate.RESOLVED: (40, 85, 255),
        Fate.MERGED: REGROUPED,
        Fate.SPLIT: REGROUPED,
        Fate.MERGED_AND_SPLIT: REGROUPED,
    }
)


def change_views(
    study: Study,
    placed: Sequence[Placed],
    segmented: Segmented,
    *,
    convention: Convention = "radiological",
    labels: Mapping[str, str] = MappingProxyType({}),
    records: Sequence[Measurement] = (),
) -> tuple[View, ...]:
    """Draw what changed since the latest earlier study, as the pipeline placed it.

    ``placed`` and ``segmented`` are its steps, the oldest study first. Of lesions, the masks of
    both studies are matched again; the letters are those of the report. A structure whose change
    ``records`` withhold is not drawn.
    """
    if not placed or placed[-1].alignment is None:
        return ()
    latest = placed[-1]
    now, before = visit_of(study, ()), visit_of(latest.study, (), latest.doubt)
    if why_apart(now, before) is not None:
        return ()
    if study.mask is not None and latest.study.mask is not None:
        return tuple(_of_lesions(study, latest, convention, labels))
    left_out = [r for r in records if r.quantity == RELATIVE and r.is_withheld]
    drawn = [
        side.segmentation
        for side in segmented.sides
        if isinstance(side, Found) and not any(_is_of(side.segmentation, r) for r in left_out)
    ]
    return tuple(_of_structures(study, latest, drawn, convention, labels))


def _whole(drawn: Segmentation) -> str:
    """Name the structure whose parts were segmented."""
    return drawn.structures[1].partition(" ")[0]


def _is_of(drawn: Segmentation, record: Measurement) -> bool:
    return (record.structure, record.side) == (_whole(drawn), drawn.side)


def _of_structures(
    study: Study,
    latest: Placed,
    segmented: Sequence[Segmentation],
    convention: Convention,
    labels: Mapping[str, str],
) -> Iterator[View]:
    """Draw each side around what was segmented today, whose outline stands on today alone."""
    for drawn in segmented:
        whole = _whole(drawn)
        yield side_by_side(
            _now(study, tuple(_outlines(drawn, labels))),
            _before(latest),
            centre_of(drawn),
            name=f"change_{whole}_{drawn.side}",
            title=f"{labels.get(drawn.side, drawn.side)} {labels.get(whole, whole)}",
            convention=convention,
            labels=labels,
        )


def _outlines(drawn: Segmentation, labels: Mapping[str, str]) -> Iterator[Outline]:
    """Outline each part as the pictures of one date do: where it leads every other one."""
    for number, (colour, part) in enumerate(
        zip(COLOURS, drawn.structures[1:], strict=False), start=1
    ):
        field = np.asarray(lead(drawn.mean, [number]), dtype=np.float32)
        yield Outline(field, drawn.geometry, colour, labels.get(part, part))


def _of_lesions(
    study: Study, latest: Placed, convention: Convention, labels: Mapping[str, str]
) -> Iterator[View]:
    """Draw around each of the largest lesions that changed, with all others that are near it."""
    here, there = lesions.marked(study, [latest.study])
    changes = lesions.changes(
        lesions.seen(study, here), lesions.seen(latest.study, there, latest), latest
    )
    if changes is None:
        return
    letters = {id(one.change): one.letter for one in listed(changes)}
    now = _now(study, tuple(_marked(changes, here, letters, labels)))
    matrix = latest.alignment.matrix if latest.alignment else np.eye(4)
    before = _before(latest, tuple(_marked(changes, there, letters, labels, matrix)))
    back = np.linalg.inv(matrix)
    largest = sorted(listed(changes), key=lambda one: -_size_ml(one.change))[:MOST_LESIONS]
    for one in sorted(largest, key=lambda one: one.letter):
        found = one.change.after or one.change.before
        centre = np.append(_largest(found).centre_mm, 1.0)
        is_today = bool(one.change.after)
        yield side_by_side(
            now,
            before,
            centre[:3] if is_today else (back @ centre)[:3],
            name=f"change_lesion_{one.letter}",
            title=f"{labels.get(one.change.fate, str(one.change.fate))} lesion {one.letter}",
            convention=convention,
            labels=labels,
            field_mm=LESION_FIELD_MM,
        )


def _marked(
    changes: LesionChanges,
    found: Lesions,
    letters: Mapping[int, str],
    labels: Mapping[str, str],
    to_own: Float64[np.ndarray, "4 4"] | None = None,
) -> Iterator[Outline]:
    """Outline the lesions of one date by what became of each, on where their grid lies."""
    for change in changes.changes:
        there = change.after if to_own is None else change.before
        if there:
            mask, grid = _cut(found, there)
            grid = grid if to_own is None else in_current(grid, to_own)
            legend = labels.get(change.fate, str(change.fate))
            letter = letters.get(id(change), "")
            yield Outline.of_mask(mask, grid, FATES[change.fate], legend, letter)


def _cut(found: Lesions, some: Sequence[Lesion]) -> tuple[Bool[np.ndarray, "i j k"], Geometry]:
    """Cut the box around some lesions out of a scan, with a voxel of nothing on every side."""
    first = np.min([lesion.first for lesion in some], axis=0)
    last = np.max([lesion.last for lesion in some], axis=0)
    box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    mask = np.pad(np.isin(found.labels[box], [lesion.label for lesion in some]), 1)
    i, j, k = (int(n) - 1 for n in first)
    return mask, found.geometry.block((i, j, k), (mask.shape[0], mask.shape[1], mask.shape[2]))


def _size_ml(change: LesionChange) -> float:
    return max(change.before_ml, change.after_ml)


def _largest(found: Sequence[Lesion]) -> Lesion:
    return max(found, key=lambda lesion: lesion.voxels)


def _now(study: Study, outlines: tuple[Outline, ...]) -> Dated:
    return Dated(study.volume, np.eye(4), outlines)


def _before(latest: Placed, outlines: tuple[Outline, ...] = ()) -> Dated:
    assert latest.alignment is not None
    return Dated(latest.study.volume, latest.alignment.matrix, outlines)
