"""DICOM files sorted into series, and the kinds that cannot be read. Knows nothing of geometry."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segment.errors import Refusal, ScanError
from segment.reading.header import Header, read_headers
from segment.reading.source import MOST_FILES, file_kind
from segment.reading.volumes import split_volumes

READABLE_MODALITIES = ("MR", "CT", "PT")
MOST_VOLUMES_LISTED = 20
# Objects that are no pictures of a scan, by the beginning of their SOP class: PS3.4 B.5.
STORAGE = "1.2.840.10008.5.1.4.1.1."
OTHER_OBJECTS = {
    "88.59.": "key object selection",
    "88.": "structured report",
    "11.": "presentation state",
    "66.4.": "segmentation",
    "66.7.": "segmentation",
    "66.": "registration",
    "67.": "real-world value mapping",
    "30.": "parametric map",
    "481.3.": "structure set",
    "481.": "radiotherapy object",
    "104.": "encapsulated document",
    "7.": "secondary capture",
    "4.2.": "spectroscopy",
    "9.": "waveform",
}


@dataclass(frozen=True)
class Series:
    """The pictures of one series, or of one volume in it; not yet in the order of their slices.

    ``mark`` says what tells this volume from the others of its series; empty for a whole series.
    """

    headers: tuple[Header, ...]
    mark: str = ""

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
    def is_readable(self) -> bool:
        """Whether it is of a kind that can be read as a volume."""
        return len(self.headers) > 1 and not any(map(unsupported_kind, self.headers))

    @cached_property
    def volumes(self) -> tuple["Series", ...]:
        """The volumes of the series, each a series of its own; one, if it is not clear."""
        return tuple(Series(headers, mark) for mark, headers in split_volumes(self.headers))

    @property
    def description(self) -> str:
        """Modality, count and size, in words."""
        first = self.headers[0]
        counted = Counter(header.path for header in self.headers)
        count, noun = len(counted), "file" if len(counted) == 1 else "files"
        if not has_image(first):
            return f"{other_object(first) or first.modality}, {count} {noun} without an image"
        many = f"{max(counted.values())} frames of " if first.frame is not None else ""
        size = f"{first.count('Columns')} x {first.count('Rows')}"
        return f"{first.modality}, {count} {noun} of {many}{size}"


def find_series(files: Sequence[Path], *, asked: Sequence[str] = ()) -> tuple[Series, ...]:
    """Sort the DICOM files into series, by study and number; other files are set aside.

    ``asked`` names tags that are read besides the allowed ones, for the caller alone.
    """
    groups: dict[tuple[str, str, bool, bool], list[Header]] = defaultdict(list)
    dicom = [path for path in files if file_kind(path) == "dicom"]
    for count, header in enumerate(read_headers(dicom, asked=asked)):
        if count >= MOST_FILES:
            msg = f"expected at most {MOST_FILES} pictures, found more; give one series"
            raise ScanError(Refusal.TOO_LARGE, msg)
        study, uid = header.text["StudyInstanceUID"], header.text["SeriesInstanceUID"]
        # the series' identifier is empty in some anonymised files
        groups[study, uid, has_image(header), is_localiser(header)].append(header)
    series = [Series(tuple(headers)) for _, headers in sorted(groups.items())]
    return tuple(sorted(series, key=_place))


def _place(series: Series) -> tuple[str, bool, int]:
    """Sort by the day of the study, then by number."""
    number = series.number
    return series.headers[0].text["StudyDate"], number is None, number or 0


def has_image(header: Header) -> bool:
    """Whether the file is a picture of a scan; reports, plans and segmentations are none."""
    has_pixels = header.count("Rows") > 0 and header.count("Columns") > 0
    return has_pixels and other_object(header) is None


def other_object(header: Header) -> str | None:
    """Name what a file is if it is no picture of a scan."""
    uid = header.text["SOPClassUID"]
    if not uid.startswith(STORAGE):
        return None
    inside = f"{uid.removeprefix(STORAGE)}."
    return next((name for start, name in OTHER_OBJECTS.items() if inside.startswith(start)), None)


def is_localiser(header: Header) -> bool:
    """Whether the picture was made to plan others."""
    return "LOCALIZER" in header.words["ImageType"]


def check_readable(series: Series, name: str, label: str) -> None:
    """Refuse by name the kinds of DICOM that are no volume, and several volumes in one series.

    ``label`` is what the series is called where one is to be chosen.
    """
    for header in series.headers:
        if kind := unsupported_kind(header):
            msg = (
                f"{name}: expected a series of slices of MR, CT or PET, found {kind};"
                " export the slices of one volume as DICOM"
            )
            raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    if len(series.volumes) > 1:
        raise _several_volumes(series.volumes, name, label)


def _several_volumes(volumes: Sequence[Series], name: str, label: str) -> ScanError:
    """List the volumes of a series, so that one can be chosen."""
    listed = [
        f"{label}.{place}: {len(volume.headers)} slices, {volume.mark}"
        for place, volume in enumerate(volumes, start=1)
    ]
    more = len(listed) - MOST_VOLUMES_LISTED
    shown = "; ".join(listed[:MOST_VOLUMES_LISTED] + ([f"and {more} more"] if more > 0 else []))
    msg = (
        f"{name}: expected one volume, found several volumes in one series"
        f" ({len(volumes)}: {shown}); choose one with --series {label}.N"
    )
    return ScanError(Refusal.SEVERAL_VOLUMES, msg)


def unsupported_kind(header: Header) -> str | None:
    """Name what a file is if it is no slice of MR, CT or PET."""
    grey = header.count("SamplesPerPixel", 1) == 1
    photometric = header.text["PhotometricInterpretation"]
    is_many = header.count("NumberOfFrames", 1) > 1
    kinds = {
        f"a {other_object(header)}": other_object(header) is not None,
        "an object without an image": not has_image(header),
        f"the modality {header.modality}": header.modality not in READABLE_MODALITIES,
        "a mosaic": "MOSAIC" in header.words["ImageType"],
        "a multi-frame image without the place of each frame": is_many and header.frame is None,
        "a localiser": is_localiser(header),
        "a picture in colour or inverted grey": not grey or photometric != "MONOCHROME2",
    }
    return next((kind for kind, is_so in kinds.items() if is_so), None)
