"""Workers on any number of machines: Ray Data over the same studies. Needs the extra ``ray``.

A worker sends a draft's files back, so that the machines share the folder of the scans and no
other. Knows nothing of what becomes of an outcome.
"""

import logging
import os
import pickle
import shutil
import signal
import socket
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from assistant.batch.item import Item
from assistant.batch.outcome import failed
from assistant.batch.place import OWN, fresh_part, not_written
from assistant.batch.pool import DIED, cores, limit_threads
from assistant.batch.work import Desk, Duty, Finished, Halted
from assistant.written import now

if TYPE_CHECKING:
    from ray.data import Dataset

STORE_BYTES = 2**29  # of a Ray of this machine alone: the drafts that wait to be written
ANSWERS_WITHIN_S = 10.0
MOST_RETRIES = 1  # of a study whose worker died; a second death is the study's fault


@dataclass(frozen=True)
class Cluster:
    """Where Ray runs and what a worker needs.

    ``address`` is as ``ray.init`` takes it, None for a Ray on this machine alone that ends with
    the run. ``cpus`` are the cores of a worker and ``gpus`` its GPUs, or a share of one.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.cpus < 1 or self.gpus < 0:
            msg = f"expected at least 1 core and no GPU less than none, found {self}; correct it"
            raise ValueError(msg)


@dataclass(frozen=True)
class _Sent:
    """What a worker sends: an outcome with the files of its draft, or why it cannot go on."""

    result: Finished | Halted
    files: Mapping[str, bytes] = field(default_factory=dict)


class _Worker:
    """Drafts one row after the other in a process of Ray's, which keeps the models."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="voxcite-")
        self._parts = Path(self._folder.name) / OWN / "parts"
        self._parts.mkdir(parents=True)
        self._desk: Desk | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            duty, threads, item = pickle.loads(row["task"])
            if self._desk is None:
                limit_threads(threads)
                self._desk = Desk(replace(duty, parts=self._parts))
            sent = self._sent(self._desk.draft(item))
        except Exception as error:  # Ray would leave the study out without a word
            found = f"found {type(error).__name__} on one"
            sent = _Sent(Halted(f"expected workers that can draft, {found}; install voxcite there"))
        return {"sent": pickle.dumps(sent)}

    def _sent(self, result: Finished | Halted) -> _Sent:
        """Take the files of a draft off this machine's disk."""
        if isinstance(result, Halted) or result.part is None:
            return _Sent(result)
        part = self._parts / result.part
        files = {path.name: path.read_bytes() for path in part.iterdir()}
        shutil.rmtree(part)
        return _Sent(result, files)


def check_installed() -> None:
    """Raise ValueError, which says what to install, where Ray is missing."""
    if find_spec("ray") is None:
        msg = "expected Ray for --engine ray, found it not installed; pip install 'voxcite[ray]'"
        raise ValueError(msg)


def drafted(
    items: Sequence[Item], duty: Duty, cluster: Cluster, *, workers: int | None
) -> Generator[Finished | Halted, None, None]:
    """Draft studies and yield each as it is over, its files in a part, in the order they end.

    ``workers`` is the number of actors, None for as many as the cluster has room for. A study whose
    worker dies is given to another once; the second death is its outcome.

    Raises ValueError where Ray or its cluster cannot be had, and ChildProcessError where its
    workers cannot be started.
    """
    check_installed()
    if not items:
        return
    left = {item.id: item for item in items}
    with _connected(cluster):
        from ray.exceptions import RayError

        try:
            for sent in _streamed(items, duty, cluster, workers or _room(cluster)):
                result = _landed(sent, duty.parts)
                if isinstance(result, Finished):
                    del left[result.outcome.id]
                yield result
        except RayError as error:
            msg = (
                f"expected workers of Ray, found {type(error).__name__};"
                " every node needs this voxcite installed"
            )
            raise ChildProcessError(msg) from error
    for item in left.values():
        sentence = (
            f"{item.id}: expected its worker to finish, found it ended twice, as for want of"
            " memory; try fewer --workers"
        )
        yield Finished(failed(item, DIED, sentence, now()))


@contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """Use the Ray that is there already, else connect to one or start one; leave it so."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its future default
    if cluster.address is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # then it binds to loopback
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    before = signal.getsignal(signal.SIGTERM)
    try:
        if cluster.address is None:
            ray.init(
                "local",
                num_cpus=max(cores(), cluster.cpus),
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                **quiet,
            )
        else:
            _check_reachable(cluster.address)
            ray.init(cluster.address, **quiet)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = cluster.address or "this machine"
        msg = f"expected a Ray cluster at {where}, found {type(error).__name__}"
        raise ValueError(f"{msg}; start it, or correct its address or its token") from error
    if callable(before):  # Ray puts a handler of its own in its place
        signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError or ValueError where nobody listens at HOST:PORT: Ray would wait for it."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), timeout=ANSWERS_WITHIN_S).close()


def _room(cluster: Cluster) -> int:
    """Count the workers that the nodes have room for."""
    import ray

    there = ray.cluster_resources()
    counts = [int(there.get("CPU", 0) // cluster.cpus)]
    if cluster.gpus:
        counts.append(int(there.get("GPU", 0) // cluster.gpus))
    return max(1, min(counts))


def _streamed(items: Sequence[Item], duty: Duty, cluster: Cluster, workers: int) -> Iterator[_Sent]:
    """Yield what is sent; a client's data are driven on the cluster, where Ray Data must be."""
    import ray
    from ray.util.client import ray as client

    if not client.is_connected():
        yield from _sent(items, duty, cluster, workers)
        return
    driver = ray.remote(num_cpus=0)(_Driver).remote(items, duty, cluster, workers)
    while (sent := ray.get(driver.next.remote())) is not None:
        yield sent


class _Driver:
    """Drives the data for a client, in an actor on the cluster."""

    def __init__(self, items: Sequence[Item], duty: Duty, cluster: Cluster, workers: int) -> None:
        self._sent = _sent(items, duty, cluster, workers)

    def next(self) -> _Sent | None:
        """Return what a worker sends next, None after the last."""
        return next(self._sent, None)


def _sent(items: Sequence[Item], duty: Duty, cluster: Cluster, workers: int) -> Iterator[_Sent]:
    """Yield what the workers send, as each study ends."""
    rows = [{"task": pickle.dumps((duty, cluster.cpus, item))} for item in items]
    with _quietly():
        for row in _mapped(rows, cluster, workers).iter_rows():
            yield pickle.loads(row["sent"])


@contextmanager
def _quietly() -> Iterator[None]:
    """Let studies that kill their workers end no run, and Ray say nothing of it; then as before."""
    import ray.data

    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, context.max_errored_blocks, log.level
    context.enable_progress_bars, context.max_errored_blocks = False, -1
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.max_errored_blocks = before[:2]
        log.setLevel(before[2])


def _mapped(rows: list[dict[str, bytes]], cluster: Cluster, workers: int) -> "Dataset":
    """Say which workers draft the rows, a study a block; nothing is drafted yet."""
    import ray.data

    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    with warnings.catch_warnings():
        # Until 2.64 this is how Ray bounds the retries that are without end by default.
        warnings.filterwarnings("ignore", message=".*ray_remote_args", module=__name__)
        return data.map(
            _Worker,
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(rows)), max_tasks_in_flight_per_actor=1
            ),
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus,
            max_restarts=-1,
            max_task_retries=MOST_RETRIES,
        )


def _landed(sent: _Sent, parts: Path) -> Finished | Halted:
    """Write the files of a draft into a part of this machine's own."""
    result = sent.result
    if isinstance(result, Halted) or result.part is None:
        return result
    try:
        with fresh_part(parts, result.outcome.id) as part:
            for name, content in sent.files.items():
                (part / name).write_bytes(content)
    except OSError as error:
        return Halted(not_written(parts.parents[1], error), is_output=True)
    return replace(result, part=part.name)
