"""The ledger as a table: values, intervals on their reference, and how each was counted.

Knows nothing of the viewer; a row carries where its structure lies.
"""

from collections.abc import Iterator, Mapping, Sequence

from assistant.page import origins
from assistant.page.markup import tag, text
from assistant.page.plot import plot
from assistant.report import Report, report_rows
from assistant.rows import columns_of, measurement_row
from prompts import Phrasebook, page
from segment.measurement import Measurement

COLUMNS = 7
Places = Mapping[str, Sequence[float]]


def table(
    records: Sequence[Measurement],
    words: Phrasebook,
    places: Places,
    measured: Sequence[Measurement] = (),
    read: Sequence[Sequence[str]] = (),
) -> str:
    """Write the ledger as HTML.

    ``measured`` are the records before a person changed any; ``read`` are rows of what was read
    from the image.
    """
    say = page.load(words.language)
    if not records:
        return tag("p", text(say["evidence.empty"]), class_="vx-empty")
    columns = columns_of(records, words)
    names = [shown for key, shown in columns.items() if key != "quantity"]
    head = tag("tr", "".join(tag("th", text(name), scope="col") for name in names))
    before = {record.id: record for record in measured}
    rows = "".join(_row(r, words, places, before.get(r.id)) for r in records)
    rows += "".join(_read(cells) for cells in read)
    caption = tag("caption", text(say["evidence.caption"]), class_="vx-hidden")
    inner = caption + tag("thead", head) + tag("tbody", rows)
    whole = tag("table", inner, class_="vx-evidence")
    return tag(
        "div",
        whole,
        class_="vx-scroll",
        lang=words.export["tag"],
        tabindex="0",
        role="region",
        aria_label=say["evidence.caption"],
    )


def of_report(
    report: Report, words: Phrasebook, places: Places, measured: Sequence[Measurement]
) -> str:
    """Write the ledger of a report: measurements, judgements, and the scores that a line cites."""
    read = report_rows(report, words)[len(report.measurements) :]
    return table(report.measurements, words, places, measured, read)


def place_of(record: Measurement, places: Places) -> Sequence[float] | None:
    """Say where the structure of a record lies; a pair lies at its left one."""
    sides = ("left", "right") if record.side == "none" else (record.side,)
    for side in sides:
        if (found := places.get(f"{side}|{record.structure}")) is not None:
            return found
    return None


def _read(cells: Sequence[str]) -> str:
    """Write one row of what was read from the image."""
    name, structure, side, quantity, value, _, *rest = map(text, cells)
    told = (f"{structure} <small>{quantity}</small>", side)
    columns = "".join(
        (
            tag("th", name, scope="row"),
            *(tag("td", cell) for cell in told),
            tag("td", value, colspan="2"),  # where an interval would stand there is room for words
            *(tag("td", cell) for cell in rest),
        )
    )
    return tag("tr", columns, id=f"record-{name}", class_="vx-record", data_record=name)


def _row(record: Measurement, words: Phrasebook, places: Places, before: Measurement | None) -> str:
    """Write one record and, below it, what a click shows."""
    say = page.load(words.language)
    name, *cells = measurement_row(record, words)
    place = place_of(record, places)
    at = None if place is None else ",".join(f"{value:.2f}" for value in place)
    show = say["evidence.show"].format(record=record.id)
    button = tag(
        "button",
        text(name),
        type="button",
        class_="vx-cite",
        data_record=record.id,
        aria_label=show,
        aria_expanded="false",
        aria_controls=f"details-{record.id}",
    )
    by_hand = tag("span", text(say["evidence.by_hand"]), class_="vx-mark vx-human")
    is_changed = before is not None and before != record
    structure, side, quantity, value, interval, reliability, reference = map(text, cells)
    mark = by_hand if is_changed and record.expression is None else ""
    if record.is_withheld:  # where an interval would stand there is room for the reason
        judged = tag("td", reliability, colspan="2")
    else:
        judged = tag("td", interval + plot(record, words)) + tag("td", reliability)
    told = (f"{structure} <small>{quantity}</small>", side, f"{value} {mark}")
    columns = "".join(
        (
            tag("th", button, scope="row"),
            *(tag("td", cell) for cell in told),
            judged,
            tag("td", reference),
        )
    )
    row = tag(
        "tr",
        columns,
        class_="vx-record",
        id=f"record-{record.id}",
        data_record=record.id,
        data_mm=at,
    )
    details = "".join(tag("li", told) for told in _details(record, words, before))
    inner = tag("td", tag("ul", details), colspan=str(COLUMNS))
    return row + tag("tr", inner, id=f"details-{record.id}", class_="vx-details", hidden=True)


def _details(record: Measurement, words: Phrasebook, before: Measurement | None) -> Iterator[str]:
    """Say how a record was counted or derived, from which calibration, against whom."""
    say = page.load(words.language)
    if record.voxels is not None and record.voxel_volume_mm3 is not None and record.value:
        counted = say["details.counted"].format(
            voxels=record.voxels,
            voxel=f"{record.voxel_volume_mm3:.4g}",
            product=f"{record.voxels * record.voxel_volume_mm3 / 1000:.4g}",
        )
        yield text(counted)
    if record.expression is not None:
        yield text(say["details.derived"].format(expression=record.expression))
    yield text(say["details.method"].format(method=origins.method(record.method, words.language)))
    if record.calibration is not None:
        told = {"id": record.calibration.id, "n": record.calibration.n}
        yield text(say["details.calibration"].format(**told))
    if record.reference is not None:
        source, n = origins.source(record.reference.source, words.language), record.reference.n
        scope = words.scopes[record.reference.scope]
        yield text(say["details.reference"].format(source=source, n=n, scope=scope))
    if before is not None and before != record:
        _, _, _, _, value, interval, reliability, _ = measurement_row(before, words)
        told = {"value": value, "interval": interval, "reliability": reliability}
        yield text(say["details.before"].format(**told))
