"""What the controls below *Questions* do: ask, line by line, and stop. Decides no answer.

Whose study it is, the desk that it is given says.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gradio as gr

from assistant.page import asking
from assistant.page.desk import Desk
from assistant.page.markup import markdown
from assistant.page.server import Parts
from assistant.page.showing import Showing, Updates
from assistant.page.telling import Telling
from assistant.page.told import told
from assistant.page.windows import POLL_S
from assistant.report import Line


@dataclass(frozen=True, eq=False)
class Chat:
    """Asks about the studies in one language of the page."""

    parts: Parts
    show: Showing
    desk: Callable[[gr.Request, str], Desk]

    def ask(self, request: gr.Request, study: str, question: str) -> Iterator[Updates]:
        """Answer a question, line by line."""
        if not study or not (question or "").strip():
            yield {}
            return
        desk = self.desk(request, study)
        is_shown = self.parts.windows.still(str(request.session_hash))
        messages = asking.history(desk)
        asked = {"role": "user", "content": markdown(question.strip())}
        telling = self.parts.tellings.begin(study, question)
        if telling is None:  # the question stays where it was written
            gr.Info(self.show.say["chat.busy"], title=self.show.say["notice"])
            yield {}
            return
        asking.begin(desk, question, self.parts.assistant_of, telling)
        yield {"question": "", "chatbot": [*messages, asked], "asked": question, "hush": True}
        lines: tuple[Line, ...] = ()
        while not telling.is_closed:
            before, lines = lines, telling.news(len(lines), POLL_S)
            answer = {"role": "assistant", "content": asking.shown(lines)}
            is_new = lines != before and is_shown() and not telling.is_stopped
            yield {"chatbot": [*messages, asked, answer]} if is_new else {}
        if telling.is_stopped:
            return  # who stopped it shows what was told
        self.parts.tellings.end(study, telling)
        answer = {"role": "assistant", "content": self._answered(telling)}
        shown = {"chatbot": [*messages, asked, answer]} if is_shown() else {}
        yield {**shown, "hush": False}

    def _answered(self, telling: Telling) -> str:
        """Write the whole answer, or why there is none."""
        if telling.failure is None:
            return asking.shown(telling.lines)
        return markdown(told(telling.failure, self.show.language) or self.show.say["chat.failed"])

    def hush(self, request: gr.Request, study: str) -> Updates:
        """Stop an answer; the lines that were told are kept, a question without one is not."""
        if not study:
            return {}
        desk = self.desk(request, study)
        telling = self.parts.tellings.stop(study)
        if telling is not None and telling.lines:
            asking.keep_stopped(desk, telling.question, telling.lines)
        messages = asking.history(desk)
        if telling is None or telling.lines:
            return {"chatbot": messages, "hush": False}
        asked = {"role": "user", "content": markdown(telling.question)}
        sorry = {"role": "assistant", "content": markdown(self.show.say["chat.stopped"])}
        return {"chatbot": [*messages, asked, sorry], "hush": False}
