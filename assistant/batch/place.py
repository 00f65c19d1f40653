"""The folder of a run: locked, and every study in it whole or absent. Knows nothing of scans.

A study is written into a part, a folder that nobody takes for a result. Then its row is written to
the journal, then the part is renamed. After a kill between the two the row says what to rename.
Only who holds the lock renames, so that a process that outlived its run can spoil nothing.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.batch.identity import Identity, read_identity, write_identity
from assistant.batch.journal import Journal, Row, mend, rows, rows_by
from assistant.batch.outcome import Outcome, outcome_from_json
from segment.errors import Refusal, ScanError
from segment.reading.source import file_name

OWN, STUDIES, LOG = ".voxcite-batch", "studies", "log.txt"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Place:
    """A run's folder while its lock is held.

    ``done`` are the ids that have a row already, ``again`` those that had one and are taken up
    again.
    """

    folder: Path
    journal: Journal
    done: frozenset[str]
    again: frozenset[str] = frozenset()

    @property
    def parts(self) -> Path:
        """Where studies are written before they are whole."""
        return self.folder / OWN / "parts"

    def keep(self, outcome: Outcome, part: str | None) -> None:
        """Put a study into the journal and its files where they belong; None for no files.

        Raises ScanError where the disk does not take it.
        """
        with told(self.folder):
            self.journal.append({"part": part, "outcome": outcome.to_json()})
            if part is not None:
                _settle(self.folder, outcome.id, part)
            with (self.folder / LOG).open("a", encoding="utf-8") as stream:
                stream.write(f"{outcome.finished} {outcome.id} {_said(outcome)}\n")

    def outcomes(self, order: Iterable[str]) -> Iterator[Outcome]:
        """Yield what became of studies in the order of their ids, one in memory at a time."""
        for row in rows_by(self.folder / OWN / "journal.jsonl", _id, order):
            yield outcome_from_json(row["outcome"])


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Read what became of each study of a run, as far as it went, in the order it was done."""
    for row in rows(folder / OWN / "journal.jsonl"):
        yield outcome_from_json(row["outcome"])


@contextmanager
def opened(folder: Path, identity: Identity, *, resume: bool) -> Iterator[Place]:
    """Take a folder for a run, or go on with the run in it.

    Raises ScanError where it cannot be written, holds other files or another run, or is in use.
    """
    name = file_name(folder)
    with told(folder):
        own = _own_folder(folder, name)
    with _locked(own / "lock", name), ExitStack() as stack:
        with told(folder):
            done, again = _recovered(folder, own, identity, name, resume=resume)
            (own / "parts").mkdir(exist_ok=True)
            (folder / STUDIES).mkdir(exist_ok=True)
            journal = stack.enter_context(Journal(own / "journal.jsonl"))
        stack.callback(shutil.rmtree, own / "parts", ignore_errors=True)
        yield Place(folder, journal, done, again)


def finished(folder: Path, identity: Identity, *, resume: bool) -> frozenset[str]:
    """Return the ids that a run would find done in its folder, without writing anything.

    Raises ScanError where ``opened`` would for what the folder holds, or for a run that lasts.
    """
    own, name = folder / OWN, file_name(folder)
    with told(folder):
        _check_is_free(folder, own, name)
        if not (own / "run.json").exists():
            return frozenset()
        with _locked(own / "lock", name):
            _check_is_same(own / "run.json", identity, name, resume=resume)
            waiting = {path.name for path in (own / "parts").glob("*")}
            found = (row for row in rows(own / "journal.jsonl") if _is_settled(row))
            return frozenset(
                _id(row) for row in found if row["part"] in waiting or _has_files(folder, row)
            )


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turn what a run's disk refuses into one sentence."""
    try:
        yield
    except OSError as error:
        raise ScanError(Refusal.OUTPUT, not_written(folder, error)) from error


@contextmanager
def fresh_part(parts: Path, item_id: str) -> Iterator[Path]:
    """Make a part for the files of a study, and have the disk keep them; gone after an OSError."""
    part = Path(tempfile.mkdtemp(prefix=f"{item_id}-", dir=parts))
    try:
        part.chmod(parts.stat().st_mode & 0o777)
        yield part
        for path in (*part.iterdir(), part):
            sync(path)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise


def not_written(folder: Path, error: OSError) -> str:
    """Say why a run's folder cannot be written and how to go on."""
    name = file_name(folder)
    if error.errno in NO_ROOM:
        return f"{name}: expected room on its disk, found none left; free some and --resume"
    why = error.strerror or type(error).__name__
    return f"{name}: expected a folder to write to, found {why}; change that and --resume"


def _own_folder(folder: Path, name: str) -> Path:
    """Make the hidden folder of a run, in an empty folder alone."""
    own = folder / OWN
    _check_is_free(folder, own, name)
    own.mkdir(parents=True, exist_ok=True)
    return own


def _check_is_free(folder: Path, own: Path, name: str) -> None:
    is_empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_empty and not own.is_dir():
        msg = f"{name}: expected an empty folder, found other files; give another"
        raise ScanError(Refusal.OUTPUT, msg)


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        msg = f"{name}: expected a folder of its own, found a run that writes to it; let it end"
        raise ScanError(Refusal.OUTPUT, msg) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _recovered(
    folder: Path, own: Path, identity: Identity, name: str, *, resume: bool
) -> tuple[frozenset[str], frozenset[str]]:
    """Make whole what an earlier run left; return the ids that it had done, and those to redo."""
    marker = own / "run.json"
    if not marker.exists():
        write_identity(marker, identity)
        return frozenset(), frozenset()
    _check_is_same(marker, identity, name, resume=resume)
    for row in rows(own / "journal.jsonl"):
        part = row["part"]
        if part is not None and (own / "parts" / part).is_dir():
            _settle(folder, _id(row), part)
    again = frozenset(_id(row) for row in rows(own / "journal.jsonl") if not _is_settled(row))
    mend(own / "journal.jsonl", lambda row: _is_settled(row) and _has_files(folder, row))
    shutil.rmtree(own / "parts", ignore_errors=True)
    return frozenset(map(_id, rows(own / "journal.jsonl"))), again


def _check_is_same(marker: Path, identity: Identity, name: str, *, resume: bool) -> None:
    if difference := read_identity(marker).difference(identity):
        msg = f"{name}: expected the folder of this run, found {difference}; give another"
        raise ScanError(Refusal.OUTPUT, msg)
    if not resume:
        msg = f"{name}: expected an empty folder, found this run begun; add --resume to go on"
        raise ScanError(Refusal.OUTPUT, msg)


def _id(row: Row) -> str:
    """Return the id of the study that a row is of."""
    item_id: str = row["outcome"]["id"]
    return item_id


def _is_settled(row: Row) -> bool:
    """Whether the study of a row is left as it is."""
    return outcome_from_json(row["outcome"]).is_settled


def _has_files(folder: Path, row: Row) -> bool:
    """Whether a row's files are there; somebody may have removed them to have them made again."""
    return row["part"] is None or (folder / STUDIES / _id(row)).is_dir()


def _settle(folder: Path, item_id: str, part: str) -> None:
    """Rename a whole part to its study's folder; a step that a kill cannot halve."""
    (folder / OWN / "parts" / part).rename(folder / STUDIES / item_id)
    sync(folder / STUDIES)


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder, through a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network disks do not sync folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _said(outcome: Outcome) -> str:
    """Say in one line how a study ended."""
    if outcome.code is None:
        return f"{outcome.status}, {outcome.total_s:.1f} s"
    return f"{outcome.status} [{outcome.code}] {outcome.sentence}"
