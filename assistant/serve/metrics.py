"""Counts for Prometheus, in its text format. They name no study and nobody."""

from collections.abc import Mapping
from importlib.metadata import version

from assistant.page.work import STATES

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(counts: Mapping[str, int]) -> str:
    """Write how many studies there are in each state."""
    lines = [
        "# HELP voxcite_studies Studies that are kept, by their state.",
        "# TYPE voxcite_studies gauge",
        *(f'voxcite_studies{{state="{state}"}} {counts.get(state, 0)}' for state in STATES),
        "# HELP voxcite_info The version that is served.",
        "# TYPE voxcite_info gauge",
        f'voxcite_info{{version="{version("voxcite")}"}} 1',
    ]
    return "\n".join(lines) + "\n"
