"""The summary of a run as one page: plain HTML and inline SVG, nothing from elsewhere.

Every word is a phrasebook's. Knows nothing of how studies are drafted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

import prompts
from assistant.batch.histogram import histogram
from assistant.batch.item import Plan
from assistant.batch.outcome import STAGES, STATUSES, Outcome
from assistant.batch.tally import Spread, Tally, tally_of
from assistant.rows import decimals
from prompts import Phrasebook
from prompts import batch as of_batches
from segment.measurement import Measurement
from segment.resume import replacing

CENTRAL = (5, 50, 95)  # percentiles: nine tenths lie between the outer two
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #ddd;
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0 1.5rem; } figcaption, p.note { color: #555; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: #555; }
.bar { fill: #0072b2; } .band { fill: #e69f00; opacity: .25; }
"""


def write_summary(path: Path, outcomes: Iterable[Outcome], planned: Plan) -> None:
    """Write the page, whole or not at all, in the language of the run."""
    page = _Page(
        prompts.load(planned.settings.language), of_batches.load(planned.settings.language)
    )
    text = page.whole(tally_of(outcomes), planned)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Page:
    """The words of a page; each method writes one section."""

    words: Phrasebook
    own: Mapping[str, str]

    def whole(self, tally: Tally, planned: Plan) -> str:
        """Write the page."""
        words, own = self.words, self.own
        title = own["title"].format(count=sum(tally.statuses.values()))
        exam = words.exams.get(planned.settings.exam, planned.settings.exam)
        sections = [
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(own['exam'].format(exam=exam, time=tally.finished))}</p>",
            _note(words.marks["disclaimer"]),
            *self.counts(tally),
            *self.failures(tally),
            *self.distributions(tally),
            *self.outliers(tally),
            *self.withheld(tally),
            *self.times(tally),
            *self.missing(planned),
        ]
        head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        opening = f'<!doctype html>\n<html lang="{words.export["tag"]}"><head>{head}</head>'
        return "\n".join([opening, "<body>", *sections, "</body></html>", ""])

    def counts(self, tally: Tally) -> Iterator[str]:
        """Say how many studies ended in which way."""
        own, count = self.own, sum(tally.statuses.values())
        counted = [(status, tally.statuses[status]) for status in STATUSES]
        rows = [(own[s], str(n), self.words.share(_part(n, count))) for s, n in counted]
        yield _table((own["status"], own["studies"], own["share"]), rows)

    def failures(self, tally: Tally) -> Iterator[str]:
        """Say why studies failed, the commonest reason first."""
        own = self.own
        yield _heading(own["failures"])
        rows = [
            (code, str(count), tally.examples[code]) for code, count in tally.failures.most_common()
        ]
        head = (own["code"], own["studies"], own["example"])
        yield _table(head, rows) if rows else _note(own["no_failures"])

    def distributions(self, tally: Tally) -> Iterator[str]:
        """Draw how each quantity is distributed."""
        yield _heading(self.own["distributions"])
        yield from map(self.figure, tally.spreads.values())

    def figure(self, spread: Spread) -> str:
        """Draw one quantity with its reference range."""
        own, words, record = self.own, self.words, spread.sample
        named = {"name": self.name(record), "quantity": words.quantities[record.quantity]}
        if not spread.values:
            return _note(own["too_few"].format(**named))
        unit, digits, reference = record.unit, spread.digits, spread.reference
        low, middle, high = (float(p) for p in np.percentile(spread.values, CENTRAL))
        caption = own["histogram"].format(
            **named,
            count=len(spread.values),
            median=words.amount(middle, unit, digits),
            range=words.range(low, high, unit, digits),
        )
        band, told = None, own["no_band"]
        if reference is not None:
            band = reference.lower, reference.upper
            scope = words.scopes[reference.scope]
            told = own["band"].format(range=words.range(*band, unit, digits), scope=scope)
        drawn = histogram(spread.values, band, lambda v: words.number(v, digits), caption)
        return f"<figure>{drawn}<figcaption>{escape(caption)}. {escape(told)}</figcaption></figure>"

    def outliers(self, tally: Tally) -> Iterator[str]:
        """List what lies outside its reference range, the studies in their order."""
        own, words = self.own, self.words
        yield _heading(own["outliers"])
        if not tally.outliers:
            yield _note(own["no_outliers"])
            return
        yield _note(own["outliers_note"])
        rows = []
        for outlier in tally.outliers:
            record, interval = outlier.record, outlier.interval
            digits = decimals(interval, record.unit)
            assert record.value is not None
            rows.append(
                (
                    outlier.study,
                    f"{self.name(record)}, {words.quantities[record.quantity]}",
                    words.amount(record.value, record.unit, digits),
                    words.range(interval.lower, interval.upper, record.unit, digits),
                    own[outlier.place],
                )
            )
        head = ("study", "quantity", "value", "interval", "place")
        yield _table([own[key] for key in head], rows)
        if tally.more_outliers:
            yield _note(own["more"].format(count=tally.more_outliers))

    def withheld(self, tally: Tally) -> Iterator[str]:
        """Say why values were withheld."""
        own = self.own
        yield _heading(own["withheld"])
        rows = [
            (self.words.reasons[why], str(count)) for why, count in tally.withheld.most_common()
        ]
        yield _table((own["code"], own["values"]), rows) if rows else _note(own["no_withheld"])

    def times(self, tally: Tally) -> Iterator[str]:
        """Say how long each stage takes."""
        own, words = self.own, self.words
        yield _heading(own["times"])
        rows = []
        for stage in (*STAGES, "total"):
            if seconds := tally.seconds.get(stage):
                name = own.get(stage) or words.steps[stage]
                median, longest = float(np.median(seconds)), max(seconds)
                rows.append((name, words.number(median, 2), words.number(longest, 2)))
        yield _table((own["stage"], own["median"], own["longest"]), rows)

    def missing(self, planned: Plan) -> Iterator[str]:
        """List what should have been there, and count what was set aside."""
        if planned.absent:
            yield _heading(self.own["absent"])
            yield "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in planned.absent) + "</ul>"
        if planned.aside:
            yield _heading(self.own["aside"])
            counted = sorted(planned.aside.items())
            yield "<ul>" + "".join(f"<li>{escape(what)}: {n}</li>" for what, n in counted) + "</ul>"

    def name(self, record: Measurement) -> str:
        """Name a record's structure and side."""
        return self.words.structure(record.structure, record.side)


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; numbers stand to the right."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = ("".join(map(_cell, row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{titles}</tr>{body}</table>"


def _cell(text: str) -> str:
    is_number = text[:1].isdecimal() and not any(c.isalpha() for c in text)
    return f'<td class="number">{escape(text)}</td>' if is_number else f"<td>{escape(text)}</td>"


def _part(count: int, whole: int) -> float:
    """Return a share, rounded to a tenth of a percent."""
    return round(count / whole, 3) if whole else 0.0
