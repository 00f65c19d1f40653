"""The change of each structure on the range of repeats, all on one scale. Knows no viewer."""

from collections.abc import Sequence

from assistant.page.markup import tag, text
from assistant.page.plot import Axis, is_plotted, plot, scale
from assistant.rows import measurement_row
from prompts import Phrasebook, page
from segment.change import RELATIVE, UNDATED
from segment.measurement import Measurement


def section(records: Sequence[Measurement], words: Phrasebook) -> str:
    """Write the relative changes of a ledger; nothing where none was compared.

    Each stands with its interval, and on the range in which repeats of an unchanged structure lie.
    """
    shown = [record for record in records if record.quantity == RELATIVE]
    if not shown:
        return ""
    say = page.load(words.language)
    axis = Axis.around(shown, 0.0)
    title = say["prior.change"]
    if (since := shown[0].comparator) is not None and since != UNDATED:
        title = say["change.since"].format(title=title, date=since)
    heads = (words.columns["id"], words.columns["structure"], words.quantities[RELATIVE])
    names = "".join(tag("th", text(name), scope="col") for name in (*heads, say["change.plot"]))
    rows = "".join(_row(record, words, axis) for record in shown)
    caption = tag("caption", text(title), class_="vx-hidden")
    inner = caption + tag("thead", tag("tr", names)) + tag("tbody", rows)
    if any(map(is_plotted, shown)):
        numbers = tag("td", scale(axis, words, shown[0].unit))
        inner += tag("tfoot", tag("tr", tag("td", colspan="3") + numbers, aria_hidden="true"))
    told = tag("p", text(_key(shown, words)), class_="vx-note")
    return tag(
        "section",
        tag("h3", text(title)) + told + _scrolled(tag("table", inner, class_="vx-changes"), title),
        class_="vx-change",
        lang=words.export["tag"],
        aria_label=title,
    )


def _scrolled(inner: str, title: str) -> str:
    return tag("div", inner, class_="vx-scroll", tabindex="0", role="region", aria_label=title)


def _key(records: Sequence[Measurement], words: Phrasebook) -> str:
    """Say what dot, line and band are, where a band is drawn."""
    say = page.load(words.language)
    reference = next((r.reference for r in records if is_plotted(r) and r.reference), None)
    if reference is None:
        return say["change.unjudged"]
    told = {"coverage": words.share(reference.coverage), "n": reference.n}
    return say["change.key"].format(**told, scope=words.scopes[reference.scope])


def _row(record: Measurement, words: Phrasebook, axis: Axis) -> str:
    """Write one change, or why there is none."""
    name, structure, _, _, value, interval, reliability, _ = measurement_row(record, words)
    show = page.load(words.language)["evidence.show"].format(record=name)
    link = tag(
        "a",
        text(f"[{name}]"),
        href=f"#cite-{name}",
        class_="vx-cite",
        data_record=name,
        aria_label=show,
    )
    said = f"{text(value)} <small>{text(interval)}</small>"
    drawn = plot(record, words, axis) or text(reliability)
    cells = (text(structure), said if is_plotted(record) else text(value), drawn)
    return tag("tr", tag("th", link, scope="row") + "".join(tag("td", cell) for cell in cells))
