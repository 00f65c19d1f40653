"""What somebody did to a study, in the words of a language. Knows nothing of pages."""

from collections.abc import Mapping
from typing import Any

from assistant.page.store import Event
from assistant.page.told import reason
from prompts import page


def detail(event: Event, language: str) -> str:
    """Say what was done beyond its name; a row of an earlier version as it was written then."""
    say = page.load(language)
    if event.refusal is not None:
        code, sentence = event.refusal
        return say["trail.refused"].format(code=code, reason=reason(code, language) or sentence)
    form = say.get(f"trail.{event.what}.told")
    if form is None or not event.told:
        return event.written
    try:
        return form.format(**_shown(event.told))
    except KeyError:  # of an earlier version, though it looks like one of ours
        return event.written


def _shown(told: Mapping[str, Any]) -> dict[str, Any]:
    """Count lines from 1, as the draft does."""
    return {**told, "line": told["line"] + 1} if "line" in told else dict(told)
