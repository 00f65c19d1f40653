"""The writer that settings ask for, and the template in its place where its model is not to be had.

Knows nothing of studies or of reports.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from assistant.draft import Draft, Statement
from assistant.settings import Settings
from assistant.writers import (
    Brief,
    Loads,
    Preparing,
    Turn,
    Writer,
    WritesMany,
    describe,
    drain,
    load,
)
from assistant.writers.template import Template
from assistant.writers.vlm.errors import ModelError

# Settings that make no sense with a writer that does not take them, and who does take them.
TAKEN_BY = {"model": "vlm", "adapter": "vlm", "server": "server"}
FALLBACK, STATED = "fallback", "technique.fallback"  # in the facts, and in the report

Telling = Callable[[Writer], Generator[Statement, None, Draft]]


def writer_of(name: str, settings: Settings) -> Writer:
    """Build a writer, with those of the settings that its folder says it takes.

    Raises ValueError for a model or a server that is given to a writer without one.
    """
    options = describe(name)["options"]
    for option, taker in TAKEN_BY.items():
        if getattr(settings, option) is not None and option not in options:
            msg = f"the {name} writer takes no {option}; choose the {taker} writer with it"
            raise ValueError(msg)
    writer = load(name, **{option: getattr(settings, option) for option in options})
    return Fallback(writer) if settings.fallback else writer


@dataclass(frozen=True, eq=False)
class Fallback:
    """A writer, and the template where its model cannot be had: the report then says so."""

    writer: Writer

    def preparing(self) -> Iterator[Preparing]:
        """Prepare the writer as far as that can be done."""
        if isinstance(self.writer, Loads):
            try:
                yield from self.writer.preparing()
            except ModelError:
                return  # writing meets it again, and falls back there

    def start(self) -> None:
        """Begin to read the writer in the background."""
        if isinstance(self.writer, Loads):
            self.writer.start()

    def check(self) -> None:
        """Raise nothing: what went wrong with reading is answered by falling back."""

    def write(self, brief: Brief) -> Generator[Statement, None, Draft]:
        """Write a report with the writer, or else with the template."""
        return (yield from self._told(lambda writer: writer.write(brief)))

    def write_many(self, briefs: Iterable[Brief], at_once: int) -> Iterator[tuple[int, Draft]]:
        """Write reports with the writer, as many at once as it can, or else with the template."""
        if isinstance(self.writer, WritesMany):
            try:
                yield from self.writer.write_many(briefs, at_once)
            except ModelError:
                pass  # missed before the first brief is taken, and so by each of them below
            else:
                return
        for place, brief in enumerate(briefs):
            yield place, drain(self.write(brief))

    def answer(
        self, brief: Brief, question: str, turns: tuple[Turn, ...] = ()
    ) -> Generator[Statement, None, Draft]:
        """Answer a question with the writer, or else with the template."""
        return (yield from self._told(lambda writer: writer.answer(brief, question, turns)))

    def _told(self, telling: Telling) -> Generator[Statement, None, Draft]:
        """A model that cannot be had is missed before the first statement."""
        try:
            return (yield from telling(self.writer))
        except ModelError as error:
            missed = str(error.code)
        draft = yield from telling(Template())
        return replace(draft, facts={FALLBACK: missed}, stated=(STATED,))
