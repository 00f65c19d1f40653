"""From a scan to a draft report in which every number cites a measurement."""

from assistant.pipeline import Assistant
from assistant.report import Report
from assistant.settings import Settings
from assistant.study import Study, read_study

__all__ = ["Assistant", "Report", "Settings", "Study", "read_study"]
