"""From a scan to a draft report in which every number cites a measurement.

The names below are imported when they are first used: ``voxcite --help`` pays for none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant import batch as batch
    from assistant.answer import Answer
    from assistant.pipeline import Assistant
    from assistant.report import Report
    from assistant.settings import Settings
    from assistant.study import Study, read_study

__all__ = ["Answer", "Assistant", "Report", "Settings", "Study", "read_study"]

_HOMES = {
    "Answer": "assistant.answer",
    "Assistant": "assistant.pipeline",
    "Report": "assistant.report",
    "Settings": "assistant.settings",
    "Study": "assistant.study",
    "read_study": "assistant.study",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module; raises AttributeError for any other."""
    if name == "batch":  # a package of its own that can be called: batch.plan, batch.run
        return import_module("assistant.batch")
    if name not in _HOMES:
        msg = f"module 'assistant' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
