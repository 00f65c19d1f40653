"""What a study looks like on the page: each part of it by the name of its component.

Knows nothing of who may see it, and changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

import prompts
from assistant.ledger import Ledger
from assistant.page import (
    asking,
    changes,
    choosing,
    drafting,
    evidence,
    prior,
    scene,
    trail,
    viewer,
)
from assistant.page.desk import SOURCE, Desk, export_names
from assistant.page.markup import tag, text
from assistant.page.server import Parts
from assistant.page.store import BROWSER, Kept
from assistant.page.told import help_for, reason
from assistant.page.work import SEVERAL, Job
from assistant.report import Line, Report
from prompts import page

REFERRAL = ("indication", "clinical_question", "prior_report")
Updates = dict[str, Any]  # by the name of a component


@dataclass(frozen=True, eq=False)
class Showing:
    """Shows studies in one language of the page."""

    parts: Parts
    language: str

    @property
    def say(self) -> Mapping[str, str]:
        """The words of the page."""
        return page.load(self.language)

    def blank(self) -> Updates:
        """Show that there is no study."""
        say = self.say
        return {
            "study": "",
            "seen": "",
            "notice": "",
            "status": status(say["study.none"]),
            "draft": tag("p", text(say["draft.empty"]), class_="vx-empty"),
            "evidence": evidence.table((), prompts.load(self.language), {}),
            "feed": viewer.feed("", "", {}),
            "chatbot": [],
            "exports": tag("p", text(say["export.empty"])),
            "trail": "",
            "stop": False,
            "hush": False,
            "editing": False,
            "suggestions": (),
            "several": False,
            "beside": "",
            "change": "",
            "compare": False,
            "apart": False,
            "records": gr.update(choices=[], value=None),
            **dict.fromkeys(("value", "lower", "upper")),
        }

    def warming(self) -> str:
        """Say that there is no study, and that the networks are still being read."""
        say = self.say
        return status(f"{say['study.none']} {say['step.warming']}")

    def cleared(self, desk: Desk) -> Updates:
        """Show a study of which nothing is there yet."""
        kept = self.parts.store.list(desk.owner)
        return {
            **self.blank(),
            "study": desk.study,
            "seen": desk.version(),
            "studies": self.listed(kept, desk.study),
            **dict.fromkeys(REFERRAL, ""),  # what was written for one study is for no other
        }

    def listed(self, kept: Sequence[Kept], study: str | None) -> Any:  # noqa: ANN401  of gradio
        """List the open studies, one of them chosen or none."""
        return gr.update(choices=[(_label(one), one.id) for one in kept], value=study)

    def shown(self, desk: Desk) -> Updates:
        """Show a study whole, as far as it came."""
        kept = desk.kept
        updates = self.cleared(desk)
        updates["trail"] = self._trail(desk)
        updates |= self.compared(desk, None)
        if kept.report is None:
            return updates | self._ended(desk, kept)
        return updates | self._drafted(desk, kept)

    def _feed(self, desk: Desk, stage: str) -> str:
        """Say what the viewer loads, the prior scan beside it if there is one."""
        folder = desk.folder
        return viewer.feed(desk.study, stage, scene.read_places(folder), prior.read_prior(folder))

    def compared(self, desk: Desk, refusal: tuple[str, str] | None) -> Updates:
        """Show what lies beside a study, or why nothing does, and the change that was measured."""
        found = prior.read_prior(desk.folder)
        updates: Updates = {"feed": self._feed(desk, self._stage(desk))}
        updates["beside"] = self._refused(refusal) if refusal else self._told(found)
        kept = desk.kept
        report = None if kept.report is None else desk.report()
        is_new = found is not None and not (report and found.sha256 in prior.compared(report))
        updates["compare"] = is_new and report is not None
        updates["apart"] = found is not None
        plotted = "" if report is None else self._plotted(report, kept)
        updates["change"] = plotted + (self._unmeasured() if is_new else "")
        return updates

    def _plotted(self, report: Report, kept: Kept) -> str:
        """Plot the change that a report states."""
        return changes.section(report.measurements, prompts.load(kept.language))

    def _unmeasured(self) -> str:
        """Say of a scan that stands beside the study that no change from it is claimed."""
        note = tag("p", text(self.say["prior.no_change"]), class_="vx-note")
        inner = tag("h3", text(self.say["prior.beside"])) + note
        return tag("section", inner, class_="vx-change", aria_label=self.say["prior.beside"])

    def _stage(self, desk: Desk) -> str:
        """Say how much of a study the viewer can load."""
        stage = "scan" if (desk.folder / scene.SCAN).is_file() else ""
        return "found" if (desk.folder / scene.PLACES).is_file() else stage

    def _told(self, found: prior.Prior | None) -> str:
        """Say of which days both scans are, and what must be known before they are compared."""
        if found is None:
            return ""
        unknown = self.say["prior.undated"]
        days = {"prior": found.date or unknown, "current": found.current_date or unknown}
        told = status(self.say["prior.days"].format(**days))
        doubts = "".join(tag("li", text(self.say[key])) for key in found.doubts)
        return told + (tag("ul", doubts, class_="vx-refusal") if doubts else "")

    def _drafted(self, desk: Desk, kept: Kept) -> Updates:
        """Show the report, its evidence, its questions and what can be done with it."""
        words = prompts.load(kept.language)
        manuscript, report = desk.manuscript(), desk.report()
        places = scene.read_places(desk.folder)
        measured = manuscript.original.measurements
        own = [
            (
                f"{r.id} · {words.structure(r.structure, r.side)} · {words.quantities[r.quantity]}",
                r.id,
            )
            for r in report.measurements
            if r.expression is None
        ]
        return {
            "status": status(self.say["step.drafted"]),
            "draft": drafting.document(report, manuscript.passages, words, self.language),
            "evidence": evidence.of_report(report, words, places, measured),
            "chatbot": asking.history(desk),
            "exports": self._exports(desk),
            "records": gr.update(choices=own, value=None),
            "suggestions": asking.suggestions(report.measurements, prompts.load(self.language)),
        }

    def _ended(self, desk: Desk, kept: Kept) -> Updates:
        """Say why there is no report, and where one of several series is chosen."""
        if kept.state != "failed":
            return {"status": status(self.say["step.cancelled"])}
        events = reversed(self.parts.store.events(desk.study))
        code, sentence = next((e.refusal for e in events if e.what == "failed"), None) or ("", "")
        is_choice = code in SEVERAL
        choices = choosing.read_choices(desk.folder) if is_choice else ()
        told = self._refused((code, sentence)) + viewer.several(desk.study, choices, self.language)
        return {"status": told, "several": is_choice and not choices}

    def _refused(self, refusal: tuple[str, str]) -> str:
        """Say why a job ended; of a fault of ours that the server's log has it."""
        code, sentence = refusal
        return self.refused(code, self.say["refusal.internal"] if code == "internal" else sentence)

    def refused(self, code: str, sentence: str) -> str:
        """Say why a study was refused, with its reason code."""
        helps = help_for(code, self.language)
        why = reason(code, self.language)
        told = self.say["refusal.told"].format(reason=why[:1].upper() + why[1:], help=helps)
        return self._alert(code, sentence, told if why else helps)

    def denied(self, error: ValueError) -> str:
        """Say why a study cannot begin."""
        code = getattr(error, "code", "upload")
        return self._alert(code, str(error), reason(code, self.language))

    def _alert(self, code: str, sentence: str, told: str) -> str:
        """Say what happened in the page's words, then in the library's, with the code."""
        inner = tag("p", text(self.say["step.failed"]), class_="vx-strong")
        inner += tag("p", text(told))
        is_ours = sentence == self.say["refusal.internal"]
        inner += tag("p", text(sentence), lang=None if is_ours else "en")
        inner += tag("p", f"{text(self.say['refusal.code'])}: " + tag("code", text(code)))
        return tag("div", inner, role="alert", class_="vx-refusal")

    def _exports(self, desk: Desk) -> str:
        """List the files that can be written."""
        source = desk.folder / SOURCE
        has_dicom = source.is_dir() and not any(".nii" in p.name for p in source.iterdir())
        items = []
        for name in export_names(has_dicom=has_dicom):
            shown = self.say.get(f"export.format.{name}", name)
            label = self.say["export.write"].format(name=shown)
            address = f"/study/{desk.study}/export/{name}?language={self.language}"
            items.append(tag("li", tag("a", text(label), href=address, download=True)))
        return tag("ul", "".join(items), class_="vx-exports") + self._writing(desk)

    def _writing(self, desk: Desk) -> str:
        """Write what is shown while a file is written, and why one was not, of this version."""
        say = self.say
        bar = tag("progress", "", aria_label=say["export.writing"])
        stop = tag("button", text(say["export.stop"]), type="button", class_="vx-button")
        words = {"data_stopped": say["export.stopped"], "data_failed": say["export.failed"]}
        words["data_version"] = desk.version()  # another one empties it: nothing is told of others
        told = tag("p", "", id="vx-export-status", role="alert", class_="vx-strong", **words)
        name = tag("span", "", role="status")
        return tag("div", name + bar + stop, id="vx-exporting", hidden=True) + told

    def _trail(self, desk: Desk) -> str:
        """Write the trail: times to the second, acts in words, this browser's own name in words."""
        say = self.say
        own = say["trail.browser"]
        events = [
            (
                f"{e.at[:19].replace('T', ' ')} UTC",
                own if e.who == desk.owner and e.who.startswith(BROWSER) else e.who,
                say.get(f"trail.{e.what}", e.what),
                trail.detail(e, self.language),
            )
            for e in self.parts.store.events(desk.study)
        ]
        return drafting.trail(events, self.language)

    def news(self, result: object, desk: Desk, lines: list[Line]) -> Updates:
        """Say what a result of the pipeline changes on the page; lines are added to ``lines``."""
        words = prompts.load(desk.kept.language)
        if result == "scan":
            return {"feed": viewer.feed(desk.study, "scan", {})}
        if result == "segmented":
            places = scene.read_places(desk.folder)
            return {"feed": viewer.feed(desk.study, "found", places)}
        if isinstance(result, Ledger):
            places = scene.read_places(desk.folder)
            return {"evidence": evidence.table(result.records, words, places)}
        if isinstance(result, Line):
            lines.append(result)
            return {"draft": drafting.growing(lines, words, self.language)}
        return {}

    def progress(self, job: Job) -> str:
        """Say which step is being done, or how many studies come first, and how long it takes."""
        if job.state == "waiting" and (place := self.parts.workshop.place(job)):
            return status(self.say["step.waiting"].format(place=place))
        steps = prompts.load(self.language).steps
        name = steps.get(job.step, self.say["step.loading"])
        seconds = max(round(self.parts.workshop.remaining_s(job)), 1)
        is_overdue = self.parts.workshop.is_overdue(job)
        told = "step.overdue" if is_overdue else "step.remaining"
        left = self.say[told].format(seconds=seconds)
        bar = tag("progress", "", aria_label=name)
        return tag("div", text(f"{name} – {left}") + bar, role="status", class_="vx-progress")


def status(said: str) -> str:
    """Write one sentence that is read out when it changes."""
    return tag("p", text(said), role="status", class_="vx-said")


def _label(kept: Kept) -> str:
    """Name a study in the list of open ones."""
    return f"{kept.name} · {kept.created[:16].replace('T', ' ')}"
