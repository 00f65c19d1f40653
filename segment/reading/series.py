"""DICOM files sorted into series, and the kinds that cannot be read. Knows nothing of geometry."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segment.errors import Refusal, ScanError
from segment.reading.header import Header, read_header
from segment.reading.source import file_kind

READABLE_MODALITIES = ("MR", "CT")
# Tags that tell the volumes of one series apart: PS3.3 C.8.3.1, C.7.6.16.2.2 and C.8.13.5.9.
VOLUME_TAGS = ("EchoNumbers", "TemporalPositionIdentifier", "DiffusionBValue")


@dataclass(frozen=True)
class Series:
    """The files of one series, not yet in the order of their slices."""

    headers: tuple[Header, ...]

    @property
    def number(self) -> int | None:
        """The number the scanner gave to the series."""
        number = self.headers[0].number("SeriesNumber")
        return None if number is None else int(number)

    @property
    def is_scan(self) -> bool:
        """Whether it holds pictures other than localisers."""
        return all(has_image(header) and not is_localiser(header) for header in self.headers)

    @property
    def description(self) -> str:
        """Modality, count and size, in words."""
        first = self.headers[0]
        count, noun = len(self.headers), "file" if len(self.headers) == 1 else "files"
        if not has_image(first):
            return f"{first.modality}, {count} {noun} without an image"
        return (
            f"{first.modality}, {count} {noun} of {first.count('Columns')} x {first.count('Rows')}"
        )


def find_series(files: Sequence[Path]) -> tuple[Series, ...]:
    """Sort the DICOM files into series, by number; other files are set aside."""
    groups: dict[tuple[str, bool, bool], list[Header]] = defaultdict(list)
    for path in files:
        if file_kind(path) == "dicom":
            header = read_header(path)
            uid = header.text["SeriesInstanceUID"]  # empty in some anonymised files
            groups[uid, has_image(header), is_localiser(header)].append(header)
    series = [Series(tuple(headers)) for _, headers in sorted(groups.items())]
    return tuple(sorted(series, key=lambda one: (one.number is None, one.number or 0)))


def has_image(header: Header) -> bool:
    """Whether the file has pixels at all; reports, plans and presentation states have none."""
    return header.count("Rows") > 0 and header.count("Columns") > 0


def is_localiser(header: Header) -> bool:
    """Whether the picture was made to plan others."""
    return "LOCALIZER" in header.words["ImageType"]


def check_supported(series: Series, name: str) -> None:
    """Refuse by name the kinds of DICOM that cannot be read as one volume."""
    for header in series.headers:
        if kind := unsupported_kind(header):
            msg = (
                f"{name}: expected a series of single MR or CT slices, found {kind};"
                " export the slices of one volume as single-frame DICOM"
            )
            raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    for tag in VOLUME_TAGS:
        values = {header.number(tag) for header in series.headers}
        if len(values) > 1:
            msg = (
                f"{name}: expected one volume, found several volumes in one series"
                f" ({len(values)} values of {tag}); export one of them alone"
            )
            raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)


def unsupported_kind(header: Header) -> str | None:
    """Name what a file is if it is no single slice of MR or CT."""
    grey = header.count("SamplesPerPixel", 1) == 1
    photometric = header.text["PhotometricInterpretation"]
    kinds = {
        "an object without an image": not has_image(header),
        f"the modality {header.modality}": header.modality not in READABLE_MODALITIES,
        "a mosaic": "MOSAIC" in header.words["ImageType"],
        "an enhanced multi-frame image": header.count("NumberOfFrames", 1) > 1,
        "a localiser": is_localiser(header),
        "a picture in colour or inverted grey": not grey or photometric != "MONOCHROME2",
    }
    return next((kind for kind, is_so in kinds.items() if is_so), None)
