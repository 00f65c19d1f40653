"""Networks over the overlapping patches of an image, which gives its rows as they become final.

A row is final when no further patch reaches it: sums are kept for the depth of one patch and not
for the whole image. Knows nothing of scans or of what the classes mean.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product

import numpy as np
import torch
from jaxtyping import Float32
from scipy import ndimage
from torch import Tensor

from segment.models.nnunet.network import UNet
from segment.models.nnunet.plans import Triple

OVERLAP = 0.5
SIGMA = 1 / 8  # of the Gaussian weight, in patches
EVERYTHING = slice(0, None)
Told = Callable[[int, int], None]  # how many patches were seen, of how many


def nobody(_done: int, _of: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Sliding:
    """Networks whose logits are averaged, and the patches they see; axes are z, y, x."""

    networks: tuple[UNet, ...]
    classes: int
    patch: Triple
    mirrored: tuple[int, ...]

    def rows(
        self,
        image: Float32[np.ndarray, "z y x"],
        strip: slice = EVERYTHING,
        seen: Callable[[], None] = lambda: None,
    ) -> Iterator[Tensor]:
        """Give the logits ``class y x`` of each row along z, weighted towards patches' middles.

        Of y only a strip is given, and only the patches that reach it are looked at; ``seen`` is
        called after each of them.
        """
        padded, (z_kept, y_kept, x_kept) = _padded(image, self.patch)
        first, last, _ = strip.indices(image.shape[1])
        first, last = first + y_kept.start, last + y_kept.start
        pixels, weight = torch.from_numpy(padded), torch.from_numpy(gaussian(self.patch))
        depth, height, width = self.patch
        total = torch.zeros((self.classes, depth, last - first, padded.shape[2]))
        share = torch.zeros(total.shape[1:])
        downs, *across = self._corners(padded.shape)
        for down, after in zip(downs, [*downs[1:], downs[-1] + depth], strict=True):
            for y, x in product(*across):
                low, high = max(y, first), min(y + height, last)
                if low >= high:
                    continue
                found = self._seen(pixels[down : down + depth, y : y + height, x : x + width])
                inner = slice(low - y, high - y)
                there = (slice(low - first, high - first), slice(x, x + width))
                total[:, :, *there] += weight[:, inner] * found[:, :, inner]
                share[:, *there] += weight[:, inner]
                seen()
            final = after - down
            for row in range(final):
                if z_kept.start <= down + row < z_kept.stop:
                    yield (total[:, row] / share[row])[:, :, x_kept]
            _moved(total, 1, final)
            _moved(share, 0, final)

    def count(self, shape: tuple[int, ...], strip: slice = EVERYTHING) -> int:
        """Count the patches that are looked at for a strip of an image."""
        first, last, _ = strip.indices(shape[1])
        padding = max(self.patch[1] - shape[1], 0) // 2
        downs, ys, xs = self._corners([max(n, p) for n, p in zip(shape, self.patch, strict=True)])
        reached = [y for y in ys if y < last + padding and y + self.patch[1] > first + padding]
        return len(downs) * len(reached) * len(xs)

    def _corners(self, shape: Iterable[int]) -> list[list[int]]:
        return [steps(n, p) for n, p in zip(shape, self.patch, strict=True)]

    @torch.inference_mode()
    def _seen(self, patch: Tensor) -> Tensor:
        """Average the networks over a patch and the mirrored ways to see it."""
        patch = patch[None, None]
        axes = [axis + 2 for axis in self.mirrored]
        ways = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))
        looks = product(self.networks, ways)
        found = sum((n(patch.flip(way)).flip(way)[0] for n, way in looks), torch.tensor(0.0))
        return found / (len(ways) * len(self.networks))


def gaussian(patch: Triple) -> Float32[np.ndarray, "z y x"]:
    """Return the weight of each voxel of a patch, 1 in its middle and never 0."""
    point = np.zeros(patch)
    point[tuple(n // 2 for n in patch)] = 1
    weight = ndimage.gaussian_filter(point, [n * SIGMA for n in patch], mode="constant")
    weight = (weight / weight.max()).astype(np.float32)
    return np.asarray(np.where(weight == 0, weight[weight > 0].min(), weight), np.float32)


def steps(length: int, patch: int) -> list[int]:
    """Place patches along an axis, evenly and at most half a patch apart."""
    count = int(np.ceil((length - patch) / (patch * OVERLAP))) + 1
    return [round((length - patch) / max(count - 1, 1) * n) for n in range(count)]


def _padded(
    image: Float32[np.ndarray, "z y x"], patch: Triple
) -> tuple[Float32[np.ndarray, "z2 y2 x2"], tuple[slice, ...]]:
    """Pad an image that is smaller than a patch on both sides; return where it lies."""
    missing = [max(p - n, 0) for n, p in zip(image.shape, patch, strict=True)]
    padding = [(n // 2, n - n // 2) for n in missing]
    kept = tuple(slice(a, a + n) for (a, _), n in zip(padding, image.shape, strict=True))
    return np.pad(image, padding) if any(missing) else image, kept


def _moved(sums: Tensor, axis: int, by: int) -> None:
    """Move sums up by so many rows, with zeros behind them."""
    rows = sums.unbind(axis)
    for here, there in zip(rows, rows[by:], strict=False):
        here.copy_(there)
    for empty in rows[len(rows) - by :]:
        empty.zero_()
