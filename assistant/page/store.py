"""What the page keeps between visits: studies, questions, logins, and who did what to which line.

One SQLite file and one folder a study. Knows nothing of pages, or of what a report says.
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)

BROWSER = "browser-"  # begins the name of an owner who has no login
TABLES = MetaData()
STUDIES = Table(
    "study",
    TABLES,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("exam", String, nullable=False),
    Column("language", String, nullable=False),
    Column("created", String, nullable=False),
    Column("state", String, nullable=False),
    Column("report", Text),
    Column("statements", Text),
    Column("changes", Text, nullable=False, default="[]"),
    Column("signature", Text),
    Column("referral", Text),
)
EVENTS = Table(
    "event",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("at", String, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("detail", Text, nullable=False),
)
TURNS = Table(
    "turn",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
)
JOBS = Table(
    "job",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("study", String, nullable=False, unique=True),
    Column("series", String),
    Column("tries", Integer, nullable=False),
    Column("is_compared", Boolean),
)
UNFINISHED = ("waiting", "running")


@dataclass(frozen=True)
class Kept:
    """One study as it is kept; ``state`` is waiting, running, drafted, failed or cancelled."""

    id: str
    owner: str
    name: str
    exam: str
    language: str
    created: str
    state: str
    report: Mapping[str, Any] | None
    statements: tuple[Mapping[str, Any], ...]
    changes: tuple[Mapping[str, Any], ...]
    signature: Mapping[str, str] | None
    referral: Mapping[str, str]


@dataclass(frozen=True)
class Wanted:
    """Of what a draft was asked for: a series, perhaps compared with the prior beside it."""

    series: str | None = None
    is_compared: bool = False


@dataclass(frozen=True)
class Pending:
    """A study whose draft was asked for and never ended, and how often it was begun."""

    owner: str
    study: str
    wanted: Wanted
    tries: int


@dataclass(frozen=True)
class Event:
    """One thing that somebody did to a study; ``written`` is how its details are kept."""

    at: str
    who: str
    what: str
    written: str

    @property
    def told(self) -> Mapping[str, Any]:
        """The details by name; none where an earlier version wrote them as a sentence."""
        try:
            table = json.loads(self.written)
        except ValueError:
            return {}
        return table if isinstance(table, dict) else {}

    @property
    def refusal(self) -> tuple[str, str] | None:
        """The reason code and the sentence of what failed; None for anything else."""
        if not self.what.endswith("failed"):
            return None
        if {"code", "sentence"} <= self.told.keys():
            return self.told["code"], self.told["sentence"]
        code, _, sentence = self.written.partition(": ")
        return code, sentence


@dataclass(frozen=True)
class Store:
    """Keeps everything below one folder that only its owner can read."""

    folder: Path
    engine: Engine

    @classmethod
    def open(cls, folder: Path, *, keeps_unfinished: bool = False) -> "Store":
        """Open or make the store.

        Studies that a stop left unfinished are marked as cancelled, or left to be taken up again.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        engine = create_engine(f"sqlite:///{folder / 'voxcite.sqlite'}")
        event.listen(engine, "connect", _use_wal)
        TABLES.create_all(engine)
        _add_columns(engine)
        store = cls(folder, engine)
        store.sweep()
        if not keeps_unfinished:
            unfinished = STUDIES.c.state.in_(UNFINISHED)
            with store._writing() as connection:
                connection.execute(update(STUDIES).where(unfinished).values(state="cancelled"))
        return store

    def close(self) -> None:
        """Let the file go."""
        self.engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    def add(self, owner: str, name: str, exam: str, language: str) -> Kept:
        """Begin a study and make its folder."""
        study = secrets.token_hex(16)
        row = {"id": study, "owner": owner, "name": name, "exam": exam, "language": language}
        with self._writing() as connection:
            connection.execute(insert(STUDIES).values(**row, created=now(), state="waiting"))
        self.files(study).mkdir(parents=True, mode=0o700)
        self.record(study, owner, "opened", **({"name": name} if name else {}))
        return self.get(owner, study)

    def get(self, owner: str, study: str) -> Kept:
        """Return a study of its owner; raises KeyError for anybody else, as for an unknown one."""
        query = select(STUDIES).where(STUDIES.c.id == study, STUDIES.c.owner == owner)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise KeyError(study)
        return _kept(dict(row))

    def list(self, owner: str) -> tuple[Kept, ...]:
        """List the studies of an owner, the newest first."""
        query = select(STUDIES).where(STUDIES.c.owner == owner)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(STUDIES.c.created.desc())).mappings().all()
        return tuple(_kept(dict(row)) for row in rows)

    def change(self, study: str, **columns: Any) -> None:  # noqa: ANN401  columns of one table
        """Change columns of a study; tables and lists are kept as JSON."""
        values = {
            k: v if v is None or isinstance(v, str) else json.dumps(v) for k, v in columns.items()
        }
        with self._writing() as connection:
            connection.execute(update(STUDIES).where(STUDIES.c.id == study).values(**values))

    def delete(self, owner: str, study: str) -> None:
        """Remove a study and all that belongs to it; raises KeyError if it is not theirs."""
        self.get(owner, study)
        with self._writing() as connection:
            for table in (EVENTS, TURNS, JOBS):
                connection.execute(delete(table).where(table.c.study == study))
            connection.execute(delete(STUDIES).where(STUDIES.c.id == study))
        shutil.rmtree(self.files(study), ignore_errors=True)

    def sweep(self) -> None:
        """Remove the files of every study that there is no more."""
        places = tuple((self.folder / "studies").glob("*"))  # first: a study is a row before
        with self.engine.connect() as connection:
            known = {name for (name,) in connection.execute(select(STUDIES.c.id))}
        for place in places:
            if place.name not in known:
                shutil.rmtree(place, ignore_errors=True)

    def enqueue(self, study: str, wanted: Wanted) -> None:
        """Keep that a draft is wanted, and of what; the order is that of asking."""
        row = {"study": study, "tries": 0, **asdict(wanted)}
        with self._writing() as connection:
            connection.execute(delete(JOBS).where(JOBS.c.study == study))
            connection.execute(insert(JOBS).values(**row))

    def wanted(self, study: str) -> Wanted:
        """Say of what a draft was asked for last."""
        query = select(JOBS.c.series, JOBS.c.is_compared).where(JOBS.c.study == study)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return Wanted() if row is None else Wanted(row[0], bool(row[1]))

    def begun(self, study: str) -> None:
        """Count one more beginning of a draft."""
        with self._writing() as connection:
            tried = update(JOBS).where(JOBS.c.study == study)
            connection.execute(tried.values(tries=JOBS.c.tries + 1))

    def unfinished(self) -> tuple[Pending, ...]:
        """List the drafts that were asked for and have not ended, in the order of asking."""
        joined = STUDIES.join(JOBS, JOBS.c.study == STUDIES.c.id)
        query = select(STUDIES.c.owner, JOBS.c.study, JOBS.c.tries)
        query = query.select_from(joined).where(STUDIES.c.state.in_(UNFINISHED))
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(JOBS.c.number)).all()
        return tuple(
            Pending(owner, study, self.wanted(study), tries) for owner, study, tries in rows
        )

    def counts(self) -> Mapping[str, int]:
        """Count the studies of each state."""
        query = select(STUDIES.c.state, func.count()).group_by(STUDIES.c.state)
        with self.engine.connect() as connection:
            return {str(state): int(count) for state, count in connection.execute(query)}

    def files(self, study: str) -> Path:
        """Return the folder of a study's files."""
        return self.folder / "studies" / study

    def record(self, study: str, who: str, what: str, **told: Any) -> None:  # noqa: ANN401
        """Write one event into the audit trail, with its details by name.

        Nothing ever changes or removes one alone.
        """
        detail = json.dumps(told, ensure_ascii=False) if told else ""
        row = {"study": study, "at": now(), "who": who, "what": what, "detail": detail}
        with self._writing() as connection:
            connection.execute(insert(EVENTS).values(**row))

    def events(self, study: str) -> tuple[Event, ...]:
        """Return the audit trail of a study, the oldest first."""
        query = select(EVENTS).where(EVENTS.c.study == study).order_by(EVENTS.c.number)
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(Event(row["at"], row["who"], row["what"], row["detail"]) for row in rows)

    def add_turn(self, study: str, question: str, answer: Mapping[str, Any]) -> None:
        """Keep a question and its answer."""
        row = {"study": study, "question": question, "answer": json.dumps(answer)}
        with self._writing() as connection:
            connection.execute(insert(TURNS).values(**row))

    def turns(self, study: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Return the questions and answers of a study, the oldest first."""
        query = select(TURNS).where(TURNS.c.study == study).order_by(TURNS.c.number)
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple((row["question"], json.loads(row["answer"])) for row in rows)


def now() -> str:
    """Return the time in UTC, as ISO 8601 with its zone."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def owner_of(token: str) -> str:
    """Return the name under which the studies of a browser are kept: not its secret itself."""
    return BROWSER + hashlib.sha256(token.encode()).hexdigest()[:32]


def _kept(row: Mapping[str, Any]) -> Kept:
    """Read a row of the table."""
    return Kept(
        **{name: row[name] for name in ("id", "owner", "name", "exam", "language")},
        created=row["created"],
        state=row["state"],
        report=None if row["report"] is None else json.loads(row["report"]),
        statements=tuple(json.loads(row["statements"] or "[]")),
        changes=tuple(json.loads(row["changes"])),
        signature=None if row["signature"] is None else json.loads(row["signature"]),
        referral=json.loads(row["referral"] or "{}"),
    )


def _add_columns(engine: Engine) -> None:
    """Give a store that an earlier version made the columns it lacks; they start empty."""
    for table in (STUDIES, JOBS):
        known = {column["name"] for column in inspect(engine).get_columns(table.name)}
        with engine.begin() as connection:
            for column in table.columns:
                if column.name not in known:
                    kind = column.type.compile(engine.dialect)
                    added = f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"
                    connection.exec_driver_sql(added)


def _use_wal(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own
    """Let readers read while one writes."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")
