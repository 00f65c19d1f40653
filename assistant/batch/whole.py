"""A whole run in one call: planned, drafted, and read back. Decides nothing of its own."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from assistant.batch.cluster import Cluster
from assistant.batch.find import plan
from assistant.batch.item import Side
from assistant.batch.outcome import Outcome
from assistant.batch.place import outcomes
from assistant.batch.run import run
from assistant.batch.work import Recipe
from assistant.pipeline import Assistant
from assistant.settings import Settings


def batch(
    source: Path,
    output: Path,
    *,
    settings: Settings | None = None,
    side: Side = None,
    workers: int | None = None,
    texts: int | None = None,
    resume: bool = False,
    cluster: Cluster | None = None,
    recipe: Recipe = Assistant.from_settings,
) -> Iterator[Outcome]:
    """Draft every study of ``source`` into ``output``; return what became of each.

    It returns when the run is over; the outcomes are then read from the disk one by one, with
    those of the run that was gone on with. ``source`` and ``side`` are ``plan``'s, all else is
    ``run``'s, with what both raise.
    """
    planned = plan(source, settings, side=side)
    drafting = run(
        planned,
        output,
        workers=workers,
        texts=texts,
        resume=resume,
        cluster=cluster,
        recipe=recipe,
    )
    deque(drafting, maxlen=0)
    return outcomes(output)
