"""Texts as the value representations of DICOM take them. Knows nothing of what they say."""

from assistant.rows import one_line

LONGEST = 64  # characters of LO and of a group of PN, PS3.5 table 6.2-1


def short(text: str) -> str:
    """Return a text as one LO value: one line, no separator of values, cut where it is longer."""
    line = one_line(text).replace("\\", "/")
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def person(name: str) -> str:
    """Return a name as written, as the family name of a PN value."""
    line = one_line(name)
    for separator in "\\^=":
        line = line.replace(separator, " ")
    return line[: LONGEST - 1] + "^"
