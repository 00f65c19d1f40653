"""From pieces to measurements: what can be counted, and that nothing says how sure it is.

Knows nothing of how a structure was drawn, and makes no interval up.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from segment.geometry import MM3_PER_ML
from segment.infer import Found, Missing
from segment.masks.pieces import Piece
from segment.measure import COUNTED, VOLUME, count_mm3
from segment.measurement import Measurement, Reason, Reliability
from segment.segmentation import sha256_of
from segment.volume import Volume

ATTENUATION = "mean attenuation"
HOUNSFIELD = "[hnsf'U]"  # UCUM
AVERAGED = "mean of the scan's own voxels in the mask"


def measure_pieces(
    pieces: Sequence[Piece], volume: Volume, *, is_hounsfield: bool
) -> tuple[Measurement, ...]:
    """Measure the volume of every piece, then its mean attenuation; ids run m1, m2, ...

    ``is_hounsfield`` says that the grey values are Hounsfield units; else no attenuation is
    assessed. No record has an interval: nothing was calibrated on such segmentations.
    """
    volumes = [_volume(piece) for piece in pieces]
    means = [_attenuation(piece, volume, is_hounsfield=is_hounsfield) for piece in pieces]
    return tuple(
        replace(record, id=f"m{number}", date=volume.date)
        for number, record in enumerate((*volumes, *means), start=1)
    )


def _volume(piece: Piece) -> Measurement:
    """Count a piece; the count of nothing, or of a part, is not the structure's volume."""
    found, mask = piece.found, piece.mask()
    if isinstance(found, Missing) or mask is None:
        return _missing(piece, VOLUME)
    value = count_mm3(mask, found.segmentation.geometry.voxel_volume_mm3) / MM3_PER_ML
    return _record(piece, VOLUME, value, _doubt(found, mask))


def _attenuation(piece: Piece, volume: Volume, *, is_hounsfield: bool) -> Measurement:
    """Average the Hounsfield units of a piece; of nothing there is no mean."""
    found, mask = piece.found, piece.mask()
    if isinstance(found, Missing) or mask is None:
        return _missing(piece, ATTENUATION)
    reason = _doubt(found, mask)
    if reason is Reason.NO_VOXELS or not is_hounsfield:
        unmeasured = reason if reason is Reason.NO_VOXELS else Reason.NOT_HOUNSFIELD
        return _record(piece, ATTENUATION, None, unmeasured)
    block = volume.array[
        tuple(slice(s, s + n) for s, n in zip(found.start, mask.shape, strict=True))
    ]
    return _record(piece, ATTENUATION, float(block[mask].mean(dtype=np.float64)), reason)


def _missing(piece: Piece, quantity: str) -> Measurement:
    """Return the record of what no label is of."""
    return _record(piece, quantity, None, Reason.NOT_LABELLED)


def _doubt(found: Found, mask: Bool[np.ndarray, "i j k"]) -> Reason:
    """Say what speaks against a piece; at the least that no interval is known."""
    if not mask.any():
        return Reason.NO_VOXELS
    if found.is_truncated:
        return Reason.TRUNCATED
    return Reason.NO_INTERVAL


def _record(piece: Piece, quantity: str, value: float | None, reason: Reason) -> Measurement:
    """Return one record, its number, if it has one, beside the mask it was taken from."""
    how = COUNTED if quantity == VOLUME else AVERAGED
    record = Measurement(
        id="m0",
        structure=piece.structure.name,
        code=piece.organ.code,
        side=piece.side,
        quantity=quantity,
        unit="mL" if quantity == VOLUME else HOUNSFIELD,
        value=value,
        interval=None,
        reliability=_reliability(value, reason),
        reason=reason,
        method=how,
    )
    mask = piece.mask()
    if value is None or mask is None or isinstance(piece.found, Missing):
        return record
    segmentation = piece.found.segmentation
    return replace(
        record,
        method=f"{how}, {segmentation.model}",
        mask_sha256=sha256_of(mask),
        voxels=int(mask.sum()),
        voxel_volume_mm3=segmentation.geometry.voxel_volume_mm3,
    )


def _reliability(value: float | None, reason: Reason) -> Reliability:
    """Say whether a value may stand: alone at most."""
    if value is None:
        return Reliability.NOT_ASSESSED
    is_alone = reason is Reason.NO_INTERVAL
    return Reliability.WITHOUT_INTERVAL if is_alone else Reliability.NOT_RELIABLE
