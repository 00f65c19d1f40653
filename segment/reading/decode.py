"""One compressed frame becomes its stored numbers. Runs in a process of its own, with limits.

The decoder is GDCM, and is given a file made here that holds the frame and nothing else.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, SecondaryCaptureImageStorage

from segment.reading.parse import UnreadableError

PIXEL_TAGS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")


def decode(item: dict[str, int | str], scratch: Path) -> bytes:
    """Return one frame, rows x columns, as little-endian integers of the type its tags promise."""
    frames = _frames(str(item["path"]), int(item["at"]), int(item["frames"]))
    path = scratch / "frame"
    _write_one(path, frames[int(item["frame"])], item)
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    path.unlink()
    if pixels.size != int(item["Rows"]) * int(item["Columns"]) or pixels.dtype.kind not in "iu":
        raise UnreadableError("damaged")
    kind = "i" if item["PixelRepresentation"] else "u"
    return pixels.astype(np.dtype(f"<{kind}{int(item['BitsAllocated']) // 8}")).tobytes()


@lru_cache(maxsize=1)
def _frames(path: str, at: int, count: int) -> list[bytes]:
    """Read the compressed frames of a file; a series asks for all of them, one after the other."""
    with Path(path).open("rb") as stream:
        stream.seek(at)
        frames = list(generate_frames(stream, number_of_frames=count))
    if len(frames) != count:
        raise UnreadableError("damaged")
    return frames


def _write_one(path: Path, frame: bytes, item: dict[str, int | str]) -> None:
    """Write a file of the pixels alone; without a rescale slope GDCM returns what is stored."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(str(item["syntax"]))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    for tag in PIXEL_TAGS:
        setattr(data, tag, int(item[tag]))
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data.save_as(path, enforce_file_format=True)
