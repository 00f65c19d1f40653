"""The series of a delivery by their labels: listed, and one of them chosen or refused.

Knows nothing of roles, of NIfTI, or of what is measured.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from segment.errors import Refusal, ScanError
from segment.reading import Series, check_readable

MOST_SERIES_LISTED = 20


def choose(
    labels: Mapping[str, Series], name: str, choice: str | None, modality: str | None
) -> tuple[str, Series]:
    """Take the one volume that is a scan, or the chosen one; list them where several are.

    Returned is the label of its series beside it.
    """
    if choice is None:
        label = _only(labels, name, modality)
        check_readable(labels[label], name, label)
        return label, labels[label]
    label, _, place = choice.partition(".")
    volumes = labels[label].volumes if label in labels else ()
    if place:
        number = int(place) if place.isdecimal() and len(place) < 6 else 0
        if 1 <= number <= len(volumes):
            return label, volumes[number - 1]
    elif volumes:
        check_readable(labels[label], name, label)
        return label, labels[label]
    told = f"the series {choice[:20]!r} asked for"
    msg = f"{name}: expected {told}, found {_listed(labels)}; choose one with --series N"
    raise ScanError(Refusal.BAD_OPTION, msg)


def _only(labels: Mapping[str, Series], name: str, modality: str | None) -> str:
    """Return the label of the one series that can be read; refuse none and several."""
    readable = {label: series for label, series in labels.items() if series.is_readable}
    scans = {label: series for label, series in labels.items() if series.is_scan}
    candidates = readable or scans or labels
    candidates = {
        label: series
        for label, series in candidates.items()
        if series.headers[0].modality == modality
    } or candidates
    if len(candidates) == 1:
        return next(iter(candidates))
    if not scans:
        msg = (
            f"{name}: expected a series of slices, found none ({_listed(candidates)});"
            " give the folder of the scan"
        )
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    msg = (
        f"{name}: expected one series, found {len(candidates)} ({_listed(candidates)});"
        " choose one with --series N"
    )
    raise ScanError(Refusal.SEVERAL_SERIES, msg)


def labelled(found: Sequence[Series]) -> dict[str, Series]:
    """Call each series by its own number where these differ, else by its place in the list."""
    numbers = Counter(series.number for series in found)
    if None in numbers or max(numbers.values(), default=0) > 1:
        return {str(place): series for place, series in enumerate(found, start=1)}
    return {str(series.number): series for series in found}


def _listed(labels: Mapping[str, Series]) -> str:
    is_several = len({series.headers[0].date for series in labels.values()}) > 1
    return enumerated(
        [
            f"series {label}: {series.description}{_day(series) if is_several else ''}"
            for label, series in labels.items()
        ]
    )


def enumerated(named: Sequence[str]) -> str:
    """List a few of what there is to choose from, and how many more."""
    more = (
        [f"and {len(named) - MOST_SERIES_LISTED} more"] if len(named) > MOST_SERIES_LISTED else []
    )
    return "; ".join([*named[:MOST_SERIES_LISTED], *more])


def _day(series: Series) -> str:
    """Say of which day a series is, where studies are mixed."""
    return f" of {series.headers[0].date or 'an unknown day'}"
