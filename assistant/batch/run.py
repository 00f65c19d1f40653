"""A batch from its plan to its manifest. Knows nothing of how a study is drafted."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from assistant.batch import parquet
from assistant.batch.cluster import Cluster, check_installed
from assistant.batch.cluster import drafted as drafted_by_ray
from assistant.batch.identity import identity_of
from assistant.batch.item import Item, Plan
from assistant.batch.manifest import write_manifest
from assistant.batch.outcome import Outcome
from assistant.batch.place import Place, finished, opened, told
from assistant.batch.pool import cores, drafted
from assistant.batch.summary import write_summary
from assistant.batch.work import Duty, Finished, Halted, Recipe
from assistant.pipeline import Assistant
from assistant.writers import WritesMany
from segment.errors import Refusal, ScanError

MOST_MISSED = 5  # studies in a row that the writer's server left without a text
MEMORY_A_WORKER_BYTES = 3 * 2**30  # so that many cores do not fill a small memory
TEXTS = 4  # written together, each a study held in memory: a third quicker than one by one


def run(
    planned: Plan,
    output: Path,
    *,
    workers: int | None = None,
    texts: int | None = None,
    resume: bool = False,
    as_parquet: bool | None = None,
    cluster: Cluster | None = None,
    recipe: Recipe = Assistant.from_settings,
) -> Generator[Outcome, None, None]:
    """Draft every study of a plan into ``output``, yielding each as it is over and on the disk.

    With ``resume`` the studies that an earlier run finished are left out; those that the writer's
    server missed come last, once more. ``recipe`` builds the
    assistant in each of the ``workers`` processes: a function of a module, since it is sent there.
    Each of them writes so many ``texts`` together, where its writer gains by it; None means TEXTS.
    ``as_parquet`` writes manifest.parquet; None means where pyarrow is installed. With a
    ``cluster`` the workers are Ray's, on its machines; each sees the scans at the same paths.

    Raises ScanError where the folder cannot be used or its disk is full, and ValueError where the
    writer's model cannot be had, or its server left MOST_MISSED studies in a row without a text;
    what was finished is kept, and ``resume`` goes on from there.
    Raises ChildProcessError where no worker can be started.
    """
    _check_options(workers, texts, as_parquet, cluster)
    with opened(output, identity_of(planned), resume=resume) as place:
        waiting = [item for item in planned.items if item.id not in place.done]
        waiting.sort(key=lambda item: item.id in place.again)
        together = _prepared(recipe(planned.settings), texts) if waiting else 1
        duty = Duty(recipe, planned.settings, place.parts.resolve(), together)
        with closing(_drafted(waiting, duty, workers, cluster)) as results:
            yield from _kept(results, place)
        _conclude(place, planned, as_parquet)


def waiting(
    planned: Plan,
    output: Path,
    *,
    workers: int | None = None,
    texts: int | None = None,
    resume: bool = False,
    as_parquet: bool | None = None,
    cluster: Cluster | None = None,
) -> tuple[Item, ...]:
    """List the studies that ``run`` would draft, and write nothing.

    Raises what ``run`` does for its options and for what ``output`` holds.
    """
    _check_options(workers, texts, as_parquet, cluster)
    done = finished(output, identity_of(planned), resume=resume)
    return tuple(item for item in planned.items if item.id not in done)


def _prepared(assistant: Assistant, texts: int | None) -> int:
    """Do once what every worker would do; return how many texts are written together."""
    for _ in assistant.preparing():
        pass
    return (texts or TEXTS) if isinstance(assistant.writer, WritesMany) else 1


def _check_options(
    workers: int | None, texts: int | None, as_parquet: bool | None, cluster: Cluster | None
) -> None:
    """Raise for packages that are missing, and for numbers that nobody can have meant."""
    if as_parquet:
        parquet.check_installed()
    if cluster is not None:
        check_installed()
    if workers is not None and workers < 0:
        msg = f"workers: expected a number of processes, found {workers}; 1 or more"
        raise ScanError(Refusal.BAD_OPTION, msg)
    if texts is not None and texts < 1:
        msg = f"texts: expected how many are written together, found {texts}; 1 or more"
        raise ScanError(Refusal.BAD_OPTION, msg)
    if texts is not None and cluster is not None:
        msg = f"texts: expected none with Ray, which drafts one by one, found {texts}; leave it out"
        raise ScanError(Refusal.BAD_OPTION, msg)


def _kept(results: Iterable[Finished | Halted], place: Place) -> Iterator[Outcome]:
    """Put each study on the disk and yield it; raises what stops the run."""
    missed = 0
    for result in results:
        if isinstance(result, Halted):
            raise result.error
        outcome = result.outcome
        place.keep(outcome, result.part)
        yield outcome
        if outcome.code is None:
            missed = 0
        elif not outcome.is_settled and outcome.id not in place.again:
            missed += 1  # what is missed a second time stops no run, or it would never end
        if missed == MOST_MISSED:
            msg = (
                f"the writer's server: expected texts, found none for {MOST_MISSED} studies in a"
                f" row [{outcome.code}]; look into log.txt, then --resume"
            )
            raise ValueError(msg)


def _drafted(
    waiting: Sequence[Item], duty: Duty, workers: int | None, cluster: Cluster | None
) -> Generator[Finished | Halted, None, None]:
    """Draft by this machine's processes, or by a cluster's."""
    if cluster is None:
        return drafted(waiting, duty, workers=usual(workers))
    return drafted_by_ray(waiting, duty, cluster, workers=workers or None)


def usual(workers: int | None) -> int:
    """Return how many processes to use: one a core, as far as there is memory."""
    if workers is not None:
        return workers
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores(), memory_bytes // MEMORY_A_WORKER_BYTES))


def _conclude(place: Place, planned: Plan, as_parquet: bool | None) -> None:
    """Write what is read of a run when it is over."""
    ids = [item.id for item in planned.items]

    def outcomes() -> Iterator[Outcome]:
        return place.outcomes(ids)

    with told(place.folder):
        write_manifest(place.folder, outcomes, as_parquet=as_parquet)
        write_summary(place.folder / "summary.html", outcomes(), planned)
