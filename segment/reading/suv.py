"""PET as standardised uptake values by body weight, in g/ml. Knows nothing of pixels or places.

Source: QIBA's vendor-neutral pseudo-code for SUV (2012), and PS3.3 C.8.9.1 and C.8.9.2. Private
tags are never read, so what can be computed from them alone is refused.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from segment.errors import Refusal, ScanError
from segment.reading.header import Header

NEEDED = ("PatientWeight", "RadionuclideTotalDose", "RadionuclideHalfLife")
# Outside of these a number was written in another unit (MBq, g, minutes, ms), or is wrong.
PLAUSIBLE = {
    "PatientWeight": (0.5, 500.0, "kg"),
    "RadionuclideTotalDose": (1e5, 1e11, "Bq"),
    "RadionuclideHalfLife": (60.0, 1e6, "s"),
}
MOST_HALF_LIVES = 10.0
DAY = timedelta(days=1)
CONSISTENT = ("Units", "SUVType", "DecayCorrection", "SeriesDate", "SeriesTime")
INJECTION = ("RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime")


def suv_factor(headers: Sequence[Header], name: str) -> float:
    """Return what a PET's rescaled values are multiplied by to be g/ml."""
    first = headers[0]
    for tag in (*CONSISTENT, *INJECTION):
        if len({header.text[tag] for header in headers}) > 1:
            raise _refusal(name, f"one {tag} in all slices", "several")
    units = first.text["Units"]
    if units == "GML" and first.text["SUVType"] in {"", "BW"}:
        return 1.0
    if units != "BQML":
        raise _refusal(name, "Units BQML, or GML by body weight", _found(units))
    for tag in NEEDED:
        _check_number(headers, tag, name)
    _check_corrections(headers, name)
    weight_g = 1000 * first.numbers["PatientWeight"]
    return weight_g / _dose_bq(headers, name)


def _dose_bq(headers: Sequence[Header], name: str) -> float:
    """Return the injected dose, decayed to the moment to which the pixels are corrected."""
    first = headers[0]
    dose_bq, half_life_s = (first.numbers[tag] for tag in NEEDED[1:])
    if first.text["DecayCorrection"] == "ADMIN":
        return dose_bq
    elapsed_s = _elapsed(headers, name).total_seconds()
    if not 0 <= elapsed_s <= MOST_HALF_LIVES * half_life_s:
        found = f"{elapsed_s / 60:.0f} minutes"
        raise _refusal(name, "a scan within ten half-lives after the injection", found)
    return float(dose_bq * 2 ** (-elapsed_s / half_life_s))


def _elapsed(headers: Sequence[Header], name: str) -> timedelta:
    """Return the time from injection to the start of the scan."""
    started = _scan_start(headers, name)
    moment, clock = (headers[0].text[tag] for tag in INJECTION)
    if moment:
        return started - _moment(moment[:8], moment[8:], INJECTION[0], name)
    if not clock:
        raise _refusal(name, "the time of the injection", "none")
    day = f"{started:%Y%m%d}"
    injected = _moment(day, clock, INJECTION[1], name)
    # A time of day alone may be yesterday's.
    return started - injected if injected <= started else started - injected + DAY


def _scan_start(headers: Sequence[Header], name: str) -> datetime:
    """Return the series' time, or the first acquisition's where the series was made later."""
    first = headers[0].text
    acquired = min(
        _moment(h.text["AcquisitionDate"], h.text["AcquisitionTime"], "AcquisitionTime", name)
        for h in headers
    )
    series = _moment(first["SeriesDate"], first["SeriesTime"], "SeriesTime", name)
    return min(series, acquired)


def _check_number(headers: Sequence[Header], tag: str, name: str) -> None:
    lowest, highest, unit = PLAUSIBLE[tag]
    values = {header.number(tag) for header in headers}
    value = values.pop()
    if values:
        raise _refusal(name, f"one {tag} in all slices", "several")
    if value is None or not lowest <= value <= highest:
        found = "none" if value is None else f"{value:g}"
        raise _refusal(name, f"{tag} in {unit}, from {lowest:g} to {highest:g}", found)


def _check_corrections(headers: Sequence[Header], name: str) -> None:
    """Refuse values that were not corrected for attenuation and for decay to a known moment."""
    correction = headers[0].text["DecayCorrection"]
    if correction not in {"START", "ADMIN"}:
        raise _refusal(name, "DecayCorrection START or ADMIN", _found(correction))
    for header in headers:
        if missing := {"ATTN", "DECY"} - header.words["CorrectedImage"]:
            expected = f"{' and '.join(sorted(missing))} among CorrectedImage"
            raise _refusal(name, expected, "a slice without")


def _moment(day: str, clock: str, tag: str, name: str) -> datetime:
    """Read a day and a time; fractions of a second and time zones are left out."""
    try:
        if len(clock) < 6:
            raise ValueError
        at = time(int(clock[:2]), int(clock[2:4]), min(int(clock[4:6]), 59))
        return datetime.combine(date(int(day[:4]), int(day[4:6]), int(day[6:8])), at)
    except ValueError as error:
        raise _refusal(name, f"a date and time in {tag}", "none") from error


def _found(word: str) -> str:
    return word if word.isalpha() and word.isascii() and len(word) < 16 else "none"


def _refusal(name: str, expected: str, found: str) -> ScanError:
    msg = (
        f"{name}: expected for uptake values {expected}, found {found};"
        " export the PET with the tags of its injection"
    )
    return ScanError(Refusal.NO_SUV, msg)
