"""What each control of the page does. Decides nothing of a report: it calls the desk and shows.

Every act asks the store whose the study is; the owner comes from the guard, never from the page.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import gradio as gr

import prompts
from assistant.denial import Denial, DeniedError
from assistant.edit import EditError, filled
from assistant.page import prior, scene
from assistant.page.chat import Chat
from assistant.page.desk import Desk
from assistant.page.markup import tag, text
from assistant.page.opening import Opening
from assistant.page.server import Parts
from assistant.page.showing import Showing, Updates
from assistant.page.store import UNFINISHED, Kept
from assistant.page.told import told
from assistant.page.windows import POLL_S
from assistant.page.work import Request
from assistant.referral import Referral
from assistant.report import Line

NO_MODEL = "none"  # the viewer of surfaces is open, and there are none


@dataclass(frozen=True, eq=False)
class Actions:
    """The page's acts in one language."""

    parts: Parts
    language: str

    @cached_property
    def show(self) -> Showing:
        """What shows the studies."""
        return Showing(self.parts, self.language)

    @cached_property
    def chat(self) -> Chat:
        """What asks about the studies."""
        return Chat(self.parts, self.show, self.desk)

    def desk(self, request: gr.Request, study: str) -> Desk:
        """Return the desk of whoever asks; says so where the study is not theirs, or no more."""
        desk = Desk(self.parts.store, str(request.username), study)
        try:
            _ = desk.kept
        except KeyError as error:
            say = self.show.say
            raise gr.Error(say["study.gone"], title=say["notice"]) from error
        return desk

    def open_sample(self, request: gr.Request, exam: str, *written: str) -> Iterator[Updates]:
        """Draft from the template that every installation has, quoting what others ``written``."""
        opening = self._opening(request)
        yield from self._watched(request, lambda: opening.sample(exam, Referral(*written)))

    def open_upload(
        self,
        request: gr.Request,
        event: gr.EventData,
        exam: str,
        series: str | None,
        *written: str,
    ) -> Iterator[Updates]:
        """Draft from files that were sent before, quoting what others have ``written``."""
        sent = event._data if isinstance(event._data, dict) else {}
        token = str(sent.get("upload"))

        def begin() -> Desk:
            return self._opening(request).upload(token, exam, series, Referral(*written))

        yield from self._watched(request, begin)

    def open_prior(self, request: gr.Request, event: gr.EventData, study: str) -> Iterator[Updates]:
        """Show a prior scan beside the study, from files that were sent before."""
        sent = event._data if isinstance(event._data, dict) else {}
        if not study:
            msg = "expected an open study, found none; open the current one first"
            yield {"beside": self.show.denied(DeniedError(Denial.NO_STUDY, msg))}
            return
        desk = self.desk(request, study)
        is_shown = self._shows(request)
        try:
            self._opening(request).beside(desk, str(sent.get("upload")))
        except ValueError as error:
            yield {"beside": self.show.denied(error)}
            return
        job = self.parts.workshop.job(study)
        while job is not None and not job.is_over and not job.is_cancelled and is_shown():
            job.news(len(job.results), POLL_S)
            yield {"beside": self.show.progress(job), "stop": True}
        if is_shown():
            yield {**self.show.compared(desk, job.refusal if job else None), "stop": False}

    def open_model(self, request: gr.Request, study: str) -> Updates:
        """Load the surfaces of the study, if there are some, from its own route."""
        return _modelled(self._surfaces(request, study))

    def close_model(self) -> Updates:
        """Take the surfaces away."""
        return {"model": None, "modelled": ""}

    def change_model(self, request: gr.Request, study: str, modelled: str) -> Updates:
        """Follow to another study, or to more of this one; what is shown already is not told."""
        address = self._surfaces(request, study)
        if not modelled or modelled == (address or NO_MODEL):
            return {}
        return _modelled(address)

    def _surfaces(self, request: gr.Request, study: str) -> str | None:
        """Say where the surfaces of a study are, as the browser that asks calls this server."""
        origin = request.headers.get("origin")
        if not origin or not study:
            return None
        is_there = (self.desk(request, study).folder / scene.SURFACE).is_file()
        return f"{origin}/study/{study}/file/{scene.SURFACE}" if is_there else None

    def drop_prior(self, request: gr.Request, study: str) -> Updates:
        """Take the prior scan away again, with its files."""
        if not study:
            return {}
        desk = self.desk(request, study)
        prior.forget(desk.folder)
        shutil.rmtree(desk.folder / prior.SOURCE, ignore_errors=True)
        self.parts.store.record(study, desk.owner, "prior_removed")
        return self.show.compared(desk, None)

    def compare(self, request: gr.Request, study: str) -> Iterator[Updates]:
        """Draft the study once more, as one of its own, compared with the prior beside it."""
        if not study:
            yield {}
            return
        desk = self.desk(request, study)
        yield from self._watched(request, lambda: self._opening(request).compared(desk))

    def reread(self, request: gr.Request, study: str, series: str | None) -> Iterator[Updates]:
        """Read the same files again, another series of them, or after a stop."""
        if not study:
            yield {}
            return
        desk = self.desk(request, study)
        yield from self._watched(request, lambda: self._opening(request).again(desk, series))

    def pick(self, request: gr.Request, event: gr.EventData, study: str) -> Iterator[Updates]:
        """Read the series whose picture was pressed."""
        sent = event._data if isinstance(event._data, dict) else {}
        yield from self.reread(request, study, str(sent.get("series", "")))

    def _opening(self, request: gr.Request) -> Opening:
        return Opening(self.parts, str(request.username), self.language)

    def _shows(self, request: gr.Request) -> Callable[[], bool]:
        """Begin to show something in the window that asks; returns whether it still does."""
        return self.parts.windows.show(str(request.session_hash))

    def _watched(self, request: gr.Request, begin: Callable[[], Desk]) -> Iterator[Updates]:
        """Begin a study and watch it, or say why it cannot begin."""
        is_shown = self._shows(request)
        try:
            desk = begin()
        except ValueError as error:
            yield {"status": self.show.denied(error)}
            return
        yield from self.watch(desk, is_shown)

    def watch(self, desk: Desk, is_shown: Callable[[], bool]) -> Iterator[Updates]:
        """Show a study while it is being drafted, then whole; nothing of one that is deleted."""
        try:
            yield from self._growing(desk, is_shown)
            if is_shown():
                yield self.show.shown(desk)
        except KeyError:  # deleted meanwhile, in another window
            if is_shown():
                kept = self.parts.store.list(desk.owner)
                yield {**self.show.blank(), "studies": self.show.listed(kept, None)}

    def _growing(self, desk: Desk, is_shown: Callable[[], bool]) -> Iterator[Updates]:
        """Show what is there of a study while it is drafted and its window shows nothing else."""
        job = self.parts.workshop.job(desk.study)
        yield {**self.show.cleared(desk), "stop": True}
        lines: list[Line] = []
        seen = 0
        while job is not None and not job.is_over and not job.is_cancelled:
            news = job.news(seen, POLL_S)
            if not is_shown():
                return
            if job.is_cancelled:
                return  # what is stopped says so, and is not said to go on
            seen += len(news)
            updates: Updates = {"status": self.show.progress(job), "stop": True}
            for result in news:
                updates |= self.show.news(result, desk, lines)
            yield updates

    def stop(self, request: gr.Request, study: str) -> Updates:
        """Stop drafting before the next step."""
        if not study:
            return self.show.blank()
        desk = self.desk(request, study)
        job = self.parts.workshop.job(study)
        if job is not None and not job.is_over:
            job.cancel()
            if isinstance(job.request, Request):
                self.parts.store.change(study, state="cancelled")
            self.parts.store.record(study, desk.owner, "cancelled")
        return self.show.shown(desk)

    def load(self, request: gr.Request) -> Iterator[Updates]:
        """Show the newest study, unless one was opened before the page had answered."""
        is_shown = self.parts.windows.first(str(request.session_hash))
        if is_shown():
            yield from self._newest(request, is_shown)

    def _newest(self, request: gr.Request, is_shown: Callable[[], bool]) -> Iterator[Updates]:
        """Show the newest study of whoever asks, going on to watch one that is under way."""
        if kept := self.parts.store.list(str(request.username)):
            yield from self.choose(request, kept[0].id)
            return
        if is_shown():  # and nothing was opened before the page had answered
            yield {**self.show.blank(), "studies": gr.update(choices=[], value=None)}
        yield from self._warming(request, is_shown)

    def _warming(self, request: gr.Request, is_shown: Callable[[], bool]) -> Iterator[Updates]:
        """Say that the networks are read, until they are or another window opens a study."""
        is_told = False
        while not self.parts.warmed.wait(POLL_S):
            if not is_shown():
                return
            kept = self.parts.store.list(str(request.username))
            if kept and self._is_begun(kept[0]):
                yield from self.choose(request, kept[0].id)
                return
            yield {} if is_told else {"status": self.show.warming()}
            is_told = True
        if is_told and is_shown():
            yield {"status": self.show.blank()["status"]}

    def _is_begun(self, kept: Kept) -> bool:
        """Whether a study is at work or was, and is not only being opened."""
        return kept.state not in UNFINISHED or self.parts.workshop.job(kept.id) is not None

    def choose(self, request: gr.Request, study: str, shown: str = "") -> Iterator[Updates]:
        """Show one of the open studies, unless it is the one that is ``shown``.

        Gradio's list says on leaving it that something was chosen, though nothing else was.
        """
        if study == shown:
            yield {}
            return
        desk, is_shown = self.desk(request, study), self._shows(request)
        job = self.parts.workshop.job(study)
        is_working = job is not None and not job.is_over and not job.is_cancelled
        yield from self.watch(desk, is_shown) if is_working else iter((self.show.shown(desk),))

    def delete(self, request: gr.Request, study: str) -> Iterator[Updates]:
        """Remove a study with everything that belongs to it, and show another."""
        if study:
            desk = self.desk(request, study)
            self.parts.store.delete(desk.owner, study)  # first: who sees it stopped finds it gone
            self.parts.workshop.forget(study)
            self.parts.tellings.stop(study)
            scene.forget_stacks()
        yield from self._newest(request, self._shows(request))

    def edit(self, request: gr.Request, event: gr.EventData, study: str) -> Updates:
        """Put a line into the editor, with slots where its numbers come from records."""
        passages = self.desk(request, study).manuscript().passages
        number = _line_of(event, len(passages))
        return {
            "editing": True,
            "line": number,
            "sentence": passages[number].statement.text,
        }

    def preview(self, request: gr.Request, study: str, sentence: str) -> Updates:
        """Show how a sentence will read."""
        if not study or not sentence:
            return {"preview": ""}
        report = self.desk(request, study).report()
        try:
            shown = filled(sentence, report.ledger, prompts.load(report.language))
        except ValueError as error:
            shown = told(error, self.language)
        line = f"{text(self.show.say['edit.preview'])}: {text(shown)}"
        return {"preview": tag("p", line, class_="vx-preview")}

    def keep(
        self, request: gr.Request, study: str, seen: str, who: str, line: float, sentence: str
    ) -> Updates:
        """Keep an edited sentence."""
        return self._done(request, study, seen, who, lambda d: d.edit(int(line), sentence, who))

    def remove(self, request: gr.Request, study: str, seen: str, who: str, line: float) -> Updates:
        """Take the sentence in the editor out of the report."""
        return self._done(request, study, seen, who, lambda d: d.remove(int(line), who))

    def accept(
        self, request: gr.Request, event: gr.EventData, study: str, seen: str, who: str
    ) -> Updates:
        """Mark a line as read and agreed with."""
        line = _line_of(event, 10_000)
        return self._done(request, study, seen, who, lambda d: d.accept(line, who))

    def override(
        self,
        request: gr.Request,
        study: str,
        seen: str,
        who: str,
        record: str,
        value: float | None,
        lower: float | None,
        upper: float | None,
    ) -> Updates:
        """Put a person's value in the place of a measured one."""

        def act(desk: Desk) -> object:
            if record is None or value is None or lower is None or upper is None:
                msg = "expected a record, its value and both bounds, found less; fill all in"
                raise EditError(Denial.VALUES_MISSING, msg)
            return desk.override(record, value, (lower, upper), who)

        return self._done(request, study, seen, who, act)

    def undo(self, request: gr.Request, study: str, seen: str, who: str) -> Updates:
        """Take the last change back."""
        return self._done(request, study, seen, who, lambda d: d.undo(who))

    def sign(self, request: gr.Request, study: str, seen: str, who: str) -> Updates:
        """Sign the report as it stands."""
        return self._done(request, study, seen, who, lambda d: d.sign(who))

    def _done(
        self, request: gr.Request, study: str, seen: str, who: str, act: Callable[[Desk], object]
    ) -> Updates:
        """Do one act in somebody's name on the report as it was ``seen``; show what became of it.

        Where another window has changed it since, nothing is done and the change is shown.
        """
        if missing := self._missing(study, who):
            return self._noted(self.show.say[missing])
        desk = self.desk(request, study)
        if seen != desk.version():
            return self.show.shown(desk) | self._noted(self.show.say["study.changed"])
        try:
            act(desk)
        except ValueError as error:
            return self._noted(told(error, self.language))
        return self.show.shown(desk)

    def _noted(self, sentence: str) -> Updates:
        """Say why an act was not done, below the draft, until the next one."""
        return {"notice": tag("p", text(sentence), role="alert", class_="vx-refusal")}

    def _missing(self, study: str, who: str) -> str | None:
        """Name the sentence that says what an act still needs."""
        if not study:
            return "study.none"
        return None if (who or "").strip() else "who.missing"


def _modelled(address: str | None) -> Updates:
    """Show the surfaces at an address, and keep that they are shown."""
    return {"model": address, "modelled": address or NO_MODEL}


def _line_of(event: gr.EventData, count: int) -> int:
    """Read the number of a line that a browser sent."""
    number = event._data.get("line") if isinstance(event._data, dict) else None
    if not isinstance(number, int) or not 0 <= number < count:
        msg = "expected the number of a line, found none; reload the page"
        raise gr.Error(msg)
    return number
