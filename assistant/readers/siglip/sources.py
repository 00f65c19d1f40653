"""Real scans become labelled pictures, as the table beside this file says. Draws nothing at random.

Knows nothing of captions, faults or networks.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from jaxtyping import Float32

from assistant.readers.siglip.facts import KINDS, NONE, PARTS
from assistant.readers.siglip.slices import Picture, Plane, cut, positions_mm, usable_planes
from assistant.study import read_sample, read_study
from segment.geometry import Geometry
from segment.volume import Volume

NEVER = -1  # the fold of what is in every training
SHARE_RANGE = (0.12, 0.88)  # of the tissue, within which the slices of a training lie


@dataclass(frozen=True)
class Source:
    """One entry of ``sources.toml``."""

    root: str
    path: str
    read: str
    kind: str
    part: str
    subject: str
    fold: int
    split: str = ""
    tiles: int = 1
    skip: int = 0

    def __post_init__(self) -> None:
        known = {"root": ROOTS, "read": READS, "kind": KINDS, "part": PARTS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                msg = f"source {self.path}: {name} is one of {', '.join(values)}"
                raise ValueError(msg)


@dataclass(frozen=True)
class Label:
    """What a picture shows, and of whom; validation subjects are in no training."""

    kind: str
    part: str
    plane: str
    subject: str
    fold: int
    is_validation: bool = False


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled picture."""

    picture: Picture
    label: Label


@dataclass(frozen=True)
class _Scan:
    """One file or folder of a source, with the subject that it is of."""

    path: Path
    subject: str
    fold: int
    is_validation: bool = False


def load_sources() -> tuple[Source, ...]:
    """Read the shipped table; raises ValueError for an unknown key or value."""
    table = tomllib.loads(files(__package__).joinpath("sources.toml").read_text(encoding="utf-8"))
    known = {field.name for field in fields(Source)}
    if unknown := sorted({key for entry in table["source"] for key in entry} - known):
        msg = f"sources.toml: the keys {unknown} are unknown; a source takes {sorted(known)}"
        raise ValueError(msg)
    return tuple(Source(**entry) for entry in table["source"])


def samples(source: Source, data: Path, folds: int, slices: int) -> Iterator[Sample]:
    """Cut the pictures of one source; ``slices`` a plane of a volume, fewer of small fields."""
    shares = np.linspace(*SHARE_RANGE, slices)
    for scan in _scans(source, data, folds):
        for volume, planes in READS[source.read](scan.path, source):
            for plane in planes or usable_planes(volume):
                chosen = shares if source.read != "numbered" else KEY_OF_CROPS
                for position in dict.fromkeys(positions_mm(volume, plane, list(chosen))):
                    shown = NONE if source.part == "phantom" else plane
                    label = Label(
                        source.kind,
                        source.part,
                        shown,
                        scan.subject,
                        scan.fold,
                        scan.is_validation,
                    )
                    yield Sample(cut(volume, plane, position), label)


# A crop is small and there are many of them: three slices a plane.
KEY_OF_CROPS = (0.3, 0.5, 0.7)
ROOTS = ("data", "pydicom", "nilearn")
Volumes = Iterator[tuple[Volume, tuple[Plane, ...]]]


def _scans(source: Source, data: Path, folds: int) -> Iterator[_Scan]:
    """Find the files of a source; raises FileNotFoundError where there are none."""
    fold = source.fold if source.fold == NEVER else source.fold % folds
    if source.root == "nilearn":
        yield _Scan(Path(source.path), source.subject, fold)
        return
    root = data if source.root == "data" else Path(pydicom.__path__[0]) / "data" / "test_files"
    found = sorted(root.glob(source.path))[source.skip :]
    if not found:
        msg = f"expected {source.path} in the data folder, found nothing; --data or VOXCITE_DATA"
        raise FileNotFoundError(msg)
    if source.read == "numbered":
        yield from _numbered(source, data, found, folds)
    elif source.read == "stack":
        yield _Scan(root / source.path, source.subject, fold)
    else:
        yield from (_Scan(path, source.subject, fold) for path in found)


def _numbered(source: Source, data: Path, found: Iterable[Path], folds: int) -> Iterator[_Scan]:
    """Tell the subjects of numbered files: ids 2k-1 and 2k are two sides of one head."""
    split = json.loads((data / source.split).read_text(encoding="utf-8"))
    for path in found:
        number = int(path.name.partition(".")[0].rpartition("_")[2])
        subject = (number + 1) // 2
        is_validation = number in split["val"]
        yield _Scan(path, f"{source.subject} {subject}", subject % folds, is_validation)


def _whole(path: Path, source: Source) -> Volumes:
    """Read what the product reads, by its own reader."""
    study = read_sample() if source.root == "nilearn" else read_study(path)
    yield study.volume, ()


def _mosaic(path: Path, source: Source) -> Volumes:
    """Take a mosaic of axial slices apart; tiles run from the feet to the head."""
    pixels, spacing_mm = _pixels(path)
    side = pixels.shape[1] // source.tiles
    tiled = pixels[0].reshape(source.tiles, side, source.tiles, side).swapaxes(1, 2)
    slices = tiled.reshape(-1, side, side)
    used = [one for one in slices if one.any()]
    header = pydicom.dcmread(path, stop_before_pixels=True)
    gap_mm = float(header.get("SpacingBetweenSlices") or header.SliceThickness)
    yield _upright(np.stack(used), (*spacing_mm, gap_mm)), ()


def _stack(path: Path, source: Source) -> Volumes:
    """Pile up axial slices by their height, the first file of each."""
    del source
    heights: dict[float, Path] = {}
    for one in sorted(path.parent.glob(path.name)):
        header = pydicom.dcmread(one, stop_before_pixels=True)
        heights.setdefault(round(float(header.ImagePositionPatient[2]), 2), one)
    ordered = sorted(heights)
    read = [_pixels(heights[height]) for height in ordered]
    gap_mm = float(np.median(np.diff(ordered)))
    yield _upright(np.concatenate([pixels for pixels, _ in read]), (*read[0][1], gap_mm)), ()


def _frames(path: Path, source: Source) -> Volumes:
    """Take the middle frame of a file alone, an axial slice or a phantom."""
    del source
    pixels, spacing_mm = _pixels(path)
    yield _upright(pixels[len(pixels) // 2][None], (*spacing_mm, 1.0)), ("axial",)


READS: Mapping[str, Callable[[Path, Source], Volumes]] = {
    "volume": _whole,
    "numbered": _whole,
    "mosaic": _mosaic,
    "stack": _stack,
    "frames": _frames,
}


def _pixels(path: Path) -> tuple[Float32[np.ndarray, "frame h w"], tuple[float, float]]:
    """Decode one file; also return the distance of its rows and of its columns in mm."""
    image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    frames = np.asarray(sitk.GetArrayFromImage(image), dtype=np.float32)
    columns_mm, rows_mm = image.GetSpacing()[:2]
    return frames, (rows_mm, columns_mm)


def _upright(
    slices: Float32[np.ndarray, "k h w"], spacing_mm: tuple[float, float, float]
) -> Volume:
    """Put axial pictures, the front up and the patient's right on the left, into a volume.

    A tilt of the slices is not followed: they are shown as they were stored.
    """
    rows_mm, columns_mm, gap_mm = spacing_mm
    array = np.ascontiguousarray(slices.transpose(2, 1, 0))
    affine = np.diag([-columns_mm, -rows_mm, gap_mm, 1.0])
    i, j, k = array.shape
    return Volume(array, Geometry((i, j, k), affine), sha256="")
