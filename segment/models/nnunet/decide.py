"""The labels of a scan of any size: probabilities are there for one row of voxels at a time.

A network's sums are kept for one patch's depth of a strip that fits ``ROOM_BYTES``, whatever the
number of classes. Knows nothing of organs or of sides.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import UInt16
from torch import Tensor

from segment.models.brought import refusal
from segment.models.nnunet.prepare import Prepared, Reads
from segment.models.nnunet.sliding import Sliding, Told

ROOM_BYTES = 2**30  # of the sums of logits at one time
FLOAT_BYTES = 4
LINEAR = 1


def decided(
    sliding: Sliding, ready: Prepared, told: Told, room_bytes: int = ROOM_BYTES
) -> UInt16[np.ndarray, "i j k"]:
    """Return the most probable class of each voxel of a scan; networks' logits are averaged.

    Raises FolderError where the plans carry logits back with more than straight lines.
    """
    how = ready.plans.probabilities
    if how.order != LINEAR or how.order_z > LINEAR:
        found = f"splines of order {max(how.order, how.order_z)}"
        advice = "cut the scan, and draft it with --model"
        raise refusal(ready.plans.name, "probabilities resampled linearly", found, advice)
    down, across, along = ready.reads
    labels = np.zeros((len(down.low), len(across.low), len(along.low)), np.uint16)
    strips = _strips(sliding, ready, room_bytes)
    sources = [slice(int(across.low[a]), int(across.high[b - 1]) + 1) for a, b in strips]
    of = sum(sliding.count(ready.image.shape, source) for source in sources)
    done = 0

    def seen() -> None:
        nonlocal done
        done += 1
        told(done, of)

    for (first, last), source in zip(strips, sources, strict=True):
        here = across.part(first, last, source.start)
        rows = sliding.rows(ready.image, source, seen)
        for place, row in enumerate(_down(rows, down)):
            flat = along.read(here.read(row, 1), 2)
            labels[place, first:last] = flat.argmax(0).numpy()
    return ready.laid(labels)


def _strips(sliding: Sliding, ready: Prepared, room_bytes: int) -> list[tuple[int, int]]:
    """Cut the scan's rows along y into as few strips as have room."""
    _, height, width = (max(n, p) for n, p in zip(ready.image.shape, sliding.patch, strict=True))
    line_bytes = FLOAT_BYTES * (sliding.classes + 1) * sliding.patch[0] * width
    length = len(ready.reads[1].low)
    count = min(-(-height * line_bytes // room_bytes), length)
    return list(pairwise(round(length / count * n) for n in range(count + 1)))


def _down(rows: Iterator[Tensor], down: Reads) -> Iterator[Tensor]:
    """Read rows at places between them; only two are there at a time."""
    before = now = next(rows)
    have = 0
    for low, high, share in zip(down.low.tolist(), down.high.tolist(), down.share, strict=True):
        while have < high:
            before, now = now, next(rows)
            have += 1
        yield now if low == have else torch.lerp(before, now, float(share))
