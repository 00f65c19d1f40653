"""Which role a series plays in a study: T1, T1c, T2, FLAIR, CT or PET, or none that is sure.

Reads tags and names, never pixels. What it reads in free text it compares with known words and
keeps nothing of. Where timing and words contradict each other there is no role: somebody names it.

Sources: Bernstein, King, Zhou, Handbook of MRI Pulse Sequences (2004), chapters 14.2 and 16.4, for
the timing of T2 and FLAIR; BIDS 1.10, "Magnetic Resonance Imaging", for the suffixes of names.
"""

import re
from typing import Literal, get_args

from segment.reading.header import Header
from segment.reading.sequence import guess_sequence
from segment.reading.series import Series

Role = Literal["T1", "T1c", "T2", "FLAIR", "CT", "PET"]
ROLES: tuple[Role, ...] = get_args(Role)
# Free text of a header that is looked at for words, beside the tags that are always read.
ASKED = ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")

BY_MODALITY: dict[str, Role] = {"CT": "CT", "PT": "PET"}
LEAST_T2_ECHO_MS, LEAST_T2_REPETITION_MS = 70.0, 2000.0
FLUID_INVERSION_MS = (1500.0, 3000.0)  # that nulls fluid, at 1 to 7 T
FLUID_REPETITION_MS = 4000.0
WORD = re.compile(r"[a-z]+[0-9]*[a-z]*|[0-9]+")
DARK_FLUID = re.compile(r"dark[ _-]fluid")
T2_STAR = re.compile(r"t2 ?[*]|t2[ _-]?star|t2s\b")
WORDS: dict[Role, tuple[str, ...]] = {
    "T1": ("t1", "t1w", "t1wi", "mprage", "mp2rage", "bravo", "spgr"),
    "T1c": ("t1c", "t1ce", "t1gd", "t1post", "t1wce", "t1wpost", "t1wks", "t1km"),
    "T2": ("t2", "t2w", "t2wi"),
    "FLAIR": ("flair", "darkfluid"),
    "CT": ("ct",),
    "PET": ("pet", "suv"),
}
MEANS = {word: role for role, words in WORDS.items() for word in words}
CONTRAST = frozenset(("ce", "gd", "gad", "gadolinium", "post", "postcontrast", "contrast", "km"))
PLUS_C = re.compile(r"[+] ?c\b")
WITHOUT = frozenset(("pre", "without", "native", "nativ", "no", "none", "op", "postop"))
# Words of what is no picture of tissue in the role that another word names.
OTHER = frozenset(
    (
        *("mask", "brainmask", "seg", "dseg", "label", "labels", "probseg", "lesion", "lesions"),
        *("roi", "map", "t1map", "t2map", "dwi", "adc", "dti", "diff", "swi", "swan", "bold"),
        *("epi", "asl", "perf", "dsc", "dce", "mip", "pd", "pdw", "tof", "mra", "subtraction"),
        *("loc", "localizer", "localiser", "scout", "survey", "topogram"),
    )
)


def role_of(series: Series) -> Role | None:
    """Return the role of a DICOM series by its modality, its timing and words of its tags.

    Of a header that was read without ``ASKED`` only modality and timing count.
    """
    first = series.headers[0]
    if first.modality in BY_MODALITY:
        return BY_MODALITY[first.modality]
    if first.modality != "MR" or not series.is_scan:
        return None
    timed = {_by_timing(header) for header in series.headers}
    by_timing = timed.pop() if len(timed) == 1 else None
    texts = (first.asked.get(tag, "") for tag in ("SeriesDescription", "ProtocolName"))
    told = [text.lower() for text in texts if text]
    if any(_is_other(text) for text in told[:1]):
        return None
    by_words = next((role for role in map(role_in, told) if role is not None), None)
    role = _agreed(by_timing, by_words)
    return "T1c" if role == "T1" and _has_agent(first) else role


def role_in(name: str) -> Role | None:
    """Return the role that a file's name or a description states; None where it names two.

    The fluid-attenuated picture is a T2 as well and is called by both words; every other pair
    contradicts itself.
    """
    text = name.lower()
    words = set(WORD.findall(DARK_FLUID.sub("darkfluid", text)))
    if _is_other(text):
        return None
    roles: set[Role] = {MEANS[word] for word in words if word in MEANS}
    if roles == {"FLAIR", "T2"}:
        return "FLAIR"
    has_contrast = bool(words & CONTRAST) or PLUS_C.search(text) is not None
    if roles == {"T1", "T1c"} or (roles == {"T1"} and has_contrast and not words & WITHOUT):
        return "T1c"
    return roles.pop() if len(roles) == 1 else None


def _is_other(text: str) -> bool:
    """Tell whether a text names what has none of these roles, whatever else it names."""
    return bool(set(WORD.findall(text)) & OTHER) or T2_STAR.search(text) is not None


def _agreed(by_timing: Role | None, by_words: Role | None) -> Role | None:
    """Return the role that timing and words agree on, or the one that only one of them knows."""
    if by_timing is None or by_words is None:
        return by_timing or by_words
    if by_timing == "T1" and by_words == "T1c":
        return "T1c"
    return by_timing if by_timing == by_words else None


def _by_timing(header: Header) -> Role | None:
    """Return the role that echo, repetition and inversion leave; none of echo-planar pictures."""
    if guess_sequence(header) == "T1":
        return "T1"
    kinds = header.words["ScanningSequence"]
    if "SE" not in kinds or "EP" in kinds:
        return None
    echo_ms, repetition_ms = header.number("EchoTime"), header.number("RepetitionTime")
    inversion_ms = header.number("InversionTime")
    if echo_ms is None or repetition_ms is None or echo_ms < LEAST_T2_ECHO_MS:
        return None
    if "IR" in kinds or inversion_ms:
        least, most = FLUID_INVERSION_MS
        is_fluid_dark = inversion_ms is not None and least <= inversion_ms <= most
        return "FLAIR" if is_fluid_dark and repetition_ms >= FLUID_REPETITION_MS else None
    return "T2" if repetition_ms >= LEAST_T2_REPETITION_MS else None


def _has_agent(header: Header) -> bool:
    """Tell whether the header names a contrast agent; some say in words that there was none."""
    told = header.asked.get("ContrastBolusAgent", "").lower()
    return bool(told.strip()) and not set(WORD.findall(told)) & WITHOUT
