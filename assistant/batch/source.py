"""The files of an item become studies, as a single draft reads them. Knows no exam."""

from assistant.batch.item import Item
from assistant.study import Study, read_study
from segment.errors import Refusal, ScanError
from segment.reading import find_series, read_series

PRIOR = "the prior study"


def read_item(item: Item, modality: str) -> Study:
    """Read a study of a modality; raises ScanError. A dump's identifiers are not read."""
    if len(item.paths) == 1:
        return read_study(item.paths[0], series=item.series, modality=modality)
    found = [series for series in find_series(item.paths) if series.is_scan]
    if len(found) != 1:
        msg = f"{item.id}: expected the files of one DICOM series, found {len(found)}; give one"
        raise ScanError(Refusal.SEVERAL_SERIES if found else Refusal.UNSUPPORTED_DICOM, msg)
    return Study(read_series(found[0], name=item.id), item.id)


def read_earlier(item: Item, modality: str) -> tuple[Study, ...]:
    """Read what a head is compared with; raises ScanError that begins with PRIOR."""
    if item.earlier is None or item.side is not None:
        return ()
    try:
        return (read_item(item.earlier, modality),)
    except ScanError as error:
        _, _, rest = str(error).partition(": expected ")
        raise ScanError(error.code, f"{PRIOR}: expected {rest}" if rest else str(error)) from error
