"""The pictures of a series as real values, one after the other. Knows nothing of their places.

What is stored plainly is read here; what is compressed is decoded in a process of its own.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32

from segment.errors import Refusal, ScanError
from segment.reading.header import Header
from segment.reading.sandbox import answers
from segment.reading.source import file_bytes, file_name

# Plain transfer syntaxes, and those that GDCM decodes: PS3.5 annex A.
PLAIN = {
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
}
COMPRESSED = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
)
BITS = (8, 16, 32)
# Where a picture holds padding there is nothing: air in CT (PS3.3 C.11.1.1.2), no signal elsewhere.
NOTHING = {"CT": -1000.0}
PIXEL_TAGS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")


def nothing_of(header: Header) -> float:
    """Return the value of a place that was not measured."""
    return NOTHING.get(header.modality, 0.0)


def read_pictures(headers: Sequence[Header]) -> Iterator[Float32[np.ndarray, "rows columns"]]:
    """Yield the pictures in order: rescaled as their own tags say, padding set to nothing."""
    for header in headers:
        _check(header)
    compressed = [header for header in headers if header.transfer_syntax not in PLAIN]
    items = [_item(header) for header in compressed]
    decoded = answers("decode", items, [header.path for header in compressed])
    for header in headers:
        if header.transfer_syntax in PLAIN:
            yield _real(_stored_plainly(header), header)
        else:
            yield _real(_typed(next(decoded).content, header, "<"), header)


def read_slice(header: Header) -> Float32[np.ndarray, "rows columns"]:
    """Read one picture."""
    (picture,) = read_pictures([header])
    return picture


def _check(header: Header) -> None:
    """Refuse, before memory is taken, pixels that are not as the header says."""
    name, bits = file_name(header.path), _bits(header)
    stored, high = header.count("BitsStored", bits), _high_bit(header)
    if bits not in BITS or not 0 < stored <= high + 1 <= bits:
        msg = (
            f"{name}: expected whole numbers of 8, 16 or 32 bits as pixels,"
            f" found {stored} of {bits}; export grey values"
        )
        raise ScanError(Refusal.UNSUPPORTED_VOXELS, msg)
    if header.transfer_syntax not in (*PLAIN, *COMPRESSED):
        msg = f"{name}: expected a known encoding of pixels, found another; export without"
        raise ScanError(Refusal.UNREADABLE, f"{msg} compression")
    if header.transfer_syntax in PLAIN:
        _check_length(header, name)
    elif header.pixels_bytes != -1:
        msg = f"{name}: expected compressed pixels, found plain ones; copy or export it again"
        raise ScanError(Refusal.UNREADABLE, msg)


def _check_length(header: Header, name: str) -> None:
    expected = _frame_bytes(header) * header.count("NumberOfFrames", 1)
    found = min(header.pixels_bytes, file_bytes(header.path) - header.pixels_at)
    if not 0 <= found - expected <= expected % 2:  # a value of odd length ends with a zero
        what = "a shorter file" if found < expected else "more than that"
        rows, columns = header.count("Rows"), header.count("Columns")
        msg = f"{name}: expected {rows} x {columns} pixels, found {what}; copy it again"
        raise ScanError(Refusal.UNREADABLE, msg)


def _stored_plainly(header: Header) -> np.ndarray:
    """Read a frame's stored numbers from where the header says they lie."""
    length = _frame_bytes(header)
    with header.path.open("rb") as stream:
        stream.seek(header.pixels_at + (header.frame or 0) * length)
        content = stream.read(length)
    values = _typed(content, header, PLAIN[header.transfer_syntax])
    unused = _bits(header) - 1 - _high_bit(header)
    low = _bits(header) - header.count("BitsStored", _bits(header))
    # Bits outside the stored ones can hold an overlay; shifting also carries the sign (PS3.5 8.1).
    return (values << unused) >> low if low else values


def _typed(content: bytes, header: Header, order: str) -> np.ndarray:
    """See bytes as numbers of the type that the header promises."""
    kind = "i" if header.count("PixelRepresentation") else "u"
    shape = header.count("Rows"), header.count("Columns")
    if len(content) != _frame_bytes(header):
        name = file_name(header.path)
        msg = f"{name}: expected {shape[0]} x {shape[1]} pixels, found others; copy it again"
        raise ScanError(Refusal.UNREADABLE, msg)
    values = np.frombuffer(content, f"{order}{kind}{_bits(header) // 8}").reshape(shape)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _real(stored: np.ndarray, header: Header) -> Float32[np.ndarray, "rows columns"]:
    """Rescale stored numbers: PS3.3 C.11.1.1.2; padding is C.7.5.1.1.2."""
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept") or 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # answered by check_intensities
        if slope is None or slope == 1.0:
            real = stored.astype(np.float32)
            if intercept:
                real += np.float32(intercept)
        else:
            real = (stored * float(slope) + intercept).astype(np.float32)
    padding = _padding(header)
    if padding is not None:
        real[(stored >= padding[0]) & (stored <= padding[1])] = nothing_of(header)
    return real


def _padding(header: Header) -> tuple[int, int] | None:
    """Return the range of stored numbers that stand for nothing."""
    value = header.number("PixelPaddingValue")
    if value is None:
        return None
    limit = header.number("PixelPaddingRangeLimit")
    ends = [_as_stored(int(end), header) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, header: Header) -> int:
    """Give a number the sign that pixels have; files write it as either."""
    bits = _bits(header)
    value %= 2**bits
    is_negative = header.count("PixelRepresentation") and value >= 2 ** (bits - 1)
    return value - 2**bits if is_negative else value


def _item(header: Header) -> dict[str, int | str]:
    bits = _bits(header)
    numbers = {tag: header.count(tag) for tag in PIXEL_TAGS}
    numbers |= {"BitsAllocated": bits, "BitsStored": header.count("BitsStored", bits)}
    numbers["HighBit"] = _high_bit(header)
    return {
        **numbers,
        "path": str(header.path),
        "at": header.pixels_at,
        "syntax": header.transfer_syntax,
        "frame": header.frame or 0,
        "frames": header.count("NumberOfFrames", 1),
    }


def _frame_bytes(header: Header) -> int:
    return header.count("Rows") * header.count("Columns") * _bits(header) // 8


def _bits(header: Header) -> int:
    return header.count("BitsAllocated", 16)


def _high_bit(header: Header) -> int:
    return header.count("HighBit", header.count("BitsStored", _bits(header)) - 1)
