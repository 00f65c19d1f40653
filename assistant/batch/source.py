"""The files of an item become one study, as a single draft reads them. Knows no exam."""

from assistant.batch.item import Item
from assistant.study import Study, read_study
from segment.errors import Refusal, ScanError
from segment.reading import find_series, read_series


def read_item(item: Item) -> Study:
    """Read a study; raises ScanError. The person's identifiers are not read from a dump."""
    if len(item.paths) == 1:
        return read_study(item.paths[0], series=item.series)
    found = [series for series in find_series(item.paths) if series.is_scan]
    if len(found) != 1:
        msg = f"{item.id}: expected the files of one DICOM series, found {len(found)}; give one"
        raise ScanError(Refusal.SEVERAL_SERIES if found else Refusal.UNSUPPORTED_DICOM, msg)
    return Study(read_series(found[0], name=item.id), item.id)
