"""The endpoints for programs: draft, ask and export, as ``gradio_client`` calls them.

They take the same way as the page. Knows nothing of its components.
"""

import base64
from dataclasses import dataclass
from typing import Any

import gradio as gr

from assistant.page import asking
from assistant.page.desk import Desk
from assistant.page.opening import Opening
from assistant.page.server import Parts
from assistant.page.windows import POLL_S
from assistant.referral import Referral
from assistant.study import SAMPLE


@dataclass(frozen=True, eq=False)
class Program:
    """Answers programs in one language; whose a study is comes from the guard."""

    parts: Parts
    language: str

    def draft(
        self,
        study: str,
        exam: str,
        request: gr.Request,
        indication: str = "",
        clinical_question: str = "",
    ) -> dict[str, Any]:
        """Draft a report of ``sample`` or of an upload's token; returns its study and report."""
        opening = Opening(self.parts, str(request.username), self.language)
        wanted = exam or self.parts.options.settings.exam
        try:
            referral = Referral(indication, clinical_question)
            if study == SAMPLE:
                desk = opening.sample(wanted, referral)
            else:
                desk = opening.upload(study, wanted, None, referral)
        except ValueError as error:
            raise gr.Error(str(error)) from error
        job = self.parts.workshop.job(desk.study)
        while job is not None and not job.is_over:
            job.news(len(job.results), POLL_S)
        kept = desk.kept
        if kept.report is None:
            code, sentence = (job.refusal if job else None) or ("internal", kept.state)
            msg = f"{sentence} [{code}]"
            raise gr.Error(msg)
        return {"study": desk.study, "report": desk.report().to_json(kept.created)}

    def ask(self, study: str, question: str, request: gr.Request) -> dict[str, Any]:
        """Answer a question about a drafted study; returns its lines with their citations."""
        desk = self._desk(study, request)
        try:
            *_, lines = asking.answering(desk, question, self.parts.assistant_of)
        except ValueError as error:
            raise gr.Error(str(error)) from error
        return {"lines": [{"text": line.text, "cites": list(line.cites)} for line in lines]}

    def export(self, study: str, name: str, request: gr.Request) -> dict[str, str]:
        """Write a drafted study as a file; returns its name and its bytes in base64."""
        try:
            filename, data = self._desk(study, request).export(name)
        except ValueError as error:
            raise gr.Error(str(error)) from error
        return {"name": filename, "base64": base64.b64encode(data).decode()}

    def _desk(self, study: str, request: gr.Request) -> Desk:
        """Return the desk of whoever asks; to everybody else there is no such study."""
        desk = Desk(self.parts.store, str(request.username), study)
        try:
            _ = desk.kept
        except KeyError as error:
            msg = "expected one of your studies, found none of this name; draft it first"
            raise gr.Error(msg) from error
        return desk
