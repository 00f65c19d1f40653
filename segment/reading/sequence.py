"""Which kind of MR picture a header describes, where physics leaves no doubt. Reads no free text.

Sources: Bernstein, King, Zhou, Handbook of MRI Pulse Sequences (2004), chapters 14.1 and 14.2;
Mugler and Brookeman, Magn Reson Med 15:152 (1990), for the inversion-prepared gradient echo.
"""

from segment.reading.header import Header

LONGEST_GRADIENT_ECHO_MS = 10.0
INVERSION_MS = (500.0, 1400.0)
SPOILED_REPETITION_MS = (80.0, 700.0)
SPOILED_LEAST_FLIP_DEGREES = 50.0
SPIN_REPETITION_MS = (250.0, 800.0)
LONGEST_SPIN_ECHO_MS = 25.0


def guess_sequence(header: Header) -> str:
    """Return ``T1`` where timing admits nothing else, else ``unknown``."""
    if header.modality != "MR":
        return "unknown"
    return "T1" if _is_t1_gradient_echo(header) or _is_t1_spin_echo(header) else "unknown"


def _is_t1_gradient_echo(header: Header) -> bool:
    """Short echo, and either prepared by an inversion or spoiled with a large flip angle."""
    kinds = _kinds(header)
    if "GR" not in kinds or "EP" in kinds:
        return False
    if not _within(header.number("EchoTime"), (0.0, LONGEST_GRADIENT_ECHO_MS)):
        return False
    is_prepared = _within(header.number("InversionTime"), INVERSION_MS)
    is_spoiled = (
        _is_spoiled(header)
        and (header.number("FlipAngle") or 0.0) >= SPOILED_LEAST_FLIP_DEGREES
        and _within(header.number("RepetitionTime"), SPOILED_REPETITION_MS)
    )
    return is_prepared or is_spoiled


def _is_t1_spin_echo(header: Header) -> bool:
    """Short echo and short repetition, without inversion."""
    return (
        _kinds(header) == {"SE"}
        and _within(header.number("EchoTime"), (0.0, LONGEST_SPIN_ECHO_MS))
        and _within(header.number("RepetitionTime"), SPIN_REPETITION_MS)
    )


def _kinds(header: Header) -> set[str]:
    """Return the scanning sequence; an enhanced file says the same in other tags (C.8.13.4)."""
    spin = {"GRADIENT": {"GR"}, "SPIN": {"SE"}, "BOTH": {"SE", "GR"}}
    kinds = {*header.words["ScanningSequence"], *spin.get(header.text["EchoPulseSequence"], ())}
    if header.text["EchoPlanarPulseSequence"] == "YES":
        kinds.add("EP")
    return kinds | ({"IR"} if header.text["InversionRecovery"] == "YES" else set())


def _is_spoiled(header: Header) -> bool:
    spoiling = header.text["Spoiling"]
    return "SP" in header.words["SequenceVariant"] or spoiling not in {"", "NONE"}


def _within(value: float | None, bounds: tuple[float, float]) -> bool:
    return value is not None and bounds[0] < value <= bounds[1]
