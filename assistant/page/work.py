"""Studies being drafted, one after the other, each with its place in the queue.

Knows nothing of pages: it runs an assistant, keeps its results and says how far it is.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from assistant import exams, views
from assistant.change_views import change_views
from assistant.denial import Denial, DeniedError
from assistant.draft import Draft
from assistant.followup import Placed
from assistant.gate import check_head
from assistant.ledger import Ledger
from assistant.page import choosing, prior, scene
from assistant.page.store import Kept, Store
from assistant.pipeline import Assistant
from assistant.referral import Referral
from assistant.report import Line, Report
from assistant.steps import Gated, Segmented, Step
from assistant.study import Study, read_study
from assistant.writers.vlm.errors import ModelError
from segment.change import Visit
from segment.errors import Refusal, ScanError
from segment.infer import Found
from segment.register import Registration, register

AT_ONCE = 1  # studies drafted together: a draft uses every core there is
MOST_WAITING = 20
STATES = ("waiting", "running", "drafted", "failed", "cancelled")
# Seconds of each step on two cores, until this machine has shown its own: those of a study alone,
# of one that is compared with an earlier one, and of an earlier one that is laid beside another.
ALONE_S = {"read": 2.0, "gate": 0.5, "locate": 4.0, "segment": 4.0, "measure": 0.5, "write": 4.0}
COMPARED_S = {
    "read": 4.0,
    "gate": 0.5,
    "locate": 4.0,
    "align": 6.0,
    "segment": 4.0,
    "earlier": 4.0,
    "measure": 0.5,
    "write": 4.0,
}
BESIDE_S = {"read": 2.0, "gate": 0.5, "locate": 4.0}
NEXT = {Gated: "locate", Registration: "segment", Segmented: "measure", Ledger: "write"}
NEXT_COMPARED = {
    **NEXT,
    Registration: "align",
    Placed: "segment",
    Segmented: "earlier",
    Visit: "measure",
}
SEVERAL = (Refusal.SEVERAL_SERIES, Refusal.SEVERAL_VOLUMES)
LOG = logging.getLogger(__name__)


class FullError(DeniedError):
    """More studies wait than the page takes; the sentence says to come back."""


class _CancelledError(Exception):
    """Somebody stopped the job."""


@dataclass(frozen=True)
class Request:
    """What is to be drafted, and what others wrote about it, to be quoted.

    It is compared with ``prior``, which lies beside the study already.
    """

    source: str | Path  # a file, a folder or the word ``sample``
    series: str | None = None
    referral: Referral = field(default=Referral(), repr=False)
    prior: Path | None = None


@dataclass(frozen=True)
class Beside:
    """A prior scan that is to be shown beside a study that was drafted."""

    source: Path


class Pace:
    """How long each step of one kind of job takes here, learnt from those that are over."""

    def __init__(self, typical_s: Mapping[str, float]) -> None:
        self._seconds = dict(typical_s)

    def learn(self, step: str, took_s: float) -> None:
        """Move half the way from what was thought to what a step took."""
        if step in self._seconds:
            self._seconds[step] = (self._seconds[step] + took_s) / 2

    def remaining_s(self, step: str, since_s: float) -> float:
        """Say how long a job takes yet that has been at a step for so long."""
        steps = list(self._seconds)
        if step not in steps:
            return sum(self._seconds.values())
        later = sum(self._seconds[name] for name in steps[steps.index(step) + 1 :])
        return later + max(self._seconds[step] - since_s, 0.0)

    def is_overdue(self, step: str, since_s: float) -> bool:
        """Whether a step takes over twice as long as it did before."""
        return since_s > 2 * self._seconds.get(step, float("inf"))


@dataclass(eq=False)
class Job:
    """One study on its way; ``step`` names what is being done, ``refusal`` what was refused."""

    kept: Kept
    request: Request | Beside
    step: str = "waiting"
    state: str = "waiting"
    results: list[Any] = field(default_factory=list)
    refusal: tuple[str, str] | None = None
    since: float = field(default_factory=time.monotonic)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _told: threading.Condition = field(default_factory=threading.Condition)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("drafted", "failed", "cancelled")

    def cancel(self) -> None:
        """Stop before the next step; what is waiting stops at once."""
        self._stopped.set()
        with self._told:
            if self.state == "waiting":
                self.state = "cancelled"
            self._told.notify_all()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stopped.is_set()

    def tell(
        self, *, step: str | None = None, state: str | None = None, result: object = None
    ) -> None:
        """Say what has happened to whoever waits."""
        if self.is_cancelled and state is None:
            raise _CancelledError
        with self._told:
            if step is not None:
                self.step, self.since = step, time.monotonic()
            if state is not None:
                self.state = state
            if result is not None:
                self.results.append(result)
            self._told.notify_all()

    def news(self, seen: int, timeout_s: float) -> list[Any]:
        """Wait for results after the first ``seen`` ones, at most so long; return them."""
        with self._told:
            self._told.wait_for(lambda: len(self.results) > seen or self.is_over, timeout_s)
            return self.results[seen:]


class Workshop:
    """Drafts studies in the background and keeps what comes out, whether anybody looks or not."""

    def __init__(self, store: Store, assistant_of: Callable[[str, str], Assistant]) -> None:
        self._store = store
        self._assistant_of = assistant_of
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="draft")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._alone, self._compared, self._beside = map(Pace, (ALONE_S, COMPARED_S, BESIDE_S))
        self._is_left = False

    def close(self, *, leaves: bool = False) -> None:
        """Stop what runs and wait for it; what is left stays unfinished, to be taken up again."""
        self._is_left = leaves
        for job in tuple(self._jobs.values()):
            job.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self, kept: Kept, request: Request | Beside, *, is_resumed: bool = False) -> Job:
        """Put a study at the end of the queue; raises FullError where it is too long or at work.

        One that is resumed had its place before.
        """
        with self._lock:
            before = self._jobs.get(kept.id)
            if isinstance(request, Beside) and before is not None and not before.is_over:
                msg = "expected a study that is at rest, found it at work; wait until it is done"
                raise FullError(Denial.AT_WORK, msg)
            if len(self._waiting()) >= MOST_WAITING and not is_resumed:
                msg = f"expected fewer than {MOST_WAITING} waiting studies; try again later"
                raise FullError(Denial.QUEUE_FULL, msg)
            job = Job(kept, request)
            self._jobs[kept.id] = job
        self._pool.submit(self._run, job)
        return job

    def job(self, study: str) -> Job | None:
        """Return the job of a study that is not over or was over a moment ago."""
        return self._jobs.get(study)

    def forget(self, study: str) -> None:
        """Stop a job and drop what it holds in memory."""
        job = self._jobs.pop(study, None)
        if job is not None:
            job.cancel()

    def place(self, job: Job) -> int:
        """Say how many studies come before this one; 0 when it is its turn."""
        waiting = self._waiting()
        is_busy = any(other.state == "running" for other in self._jobs.values())
        return waiting.index(job) + is_busy if job in waiting else 0

    def remaining_s(self, job: Job) -> float:
        """Say how long a running job will take yet, by how long its steps took before."""
        return self._pace(job).remaining_s(job.step, time.monotonic() - job.since)

    def is_overdue(self, job: Job) -> bool:
        """Whether a step takes over twice as long as it did before."""
        return self._pace(job).is_overdue(job.step, time.monotonic() - job.since)

    def _pace(self, job: Job) -> Pace:
        if isinstance(job.request, Beside):
            return self._beside
        return self._alone if job.request.prior is None else self._compared

    def _waiting(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state == "waiting"]

    def _run(self, job: Job) -> None:
        """Draft one study and say how it ended."""
        state = "failed"
        try:
            job.tell(step="read")
            job.tell(state="running")
            if isinstance(job.request, Beside):
                self._lay_beside(job, job.request)
            else:
                self._store.change(job.kept.id, state="running")
                self._store.begun(job.kept.id)
                self._draft(job, job.request)
            self._pace(job).learn(job.step, time.monotonic() - job.since)
            state = "drafted"
        except _CancelledError:
            state = "cancelled"
        except (ScanError, ModelError) as error:
            job.refusal = (str(error.code), str(error))
            if error.code in SEVERAL and isinstance(job.request, Request):
                self._write_choices(job, job.request)
        except Exception as error:  # a page goes on when one study breaks
            if not self._is_forgotten(job):  # else its files were taken from under it
                LOG.exception("a draft failed")
            job.refusal = ("internal", type(error).__name__)
        self._end(job, state)
        job.tell(state=state)

    def _end(self, job: Job, state: str) -> None:
        """Keep how a job ended; of a study that is no more, nothing at all."""
        told = dict(zip(("code", "sentence"), job.refusal or (), strict=False))
        is_left = self._is_left and state == "cancelled"
        if self._is_forgotten(job):
            self._store.sweep()  # what was written while it was deleted
        elif isinstance(job.request, Beside):
            self._store.record(job.kept.id, "voxcite", f"prior_{state}", **told)
        elif not is_left:
            # Whoever sees that it failed finds out why.
            self._store.record(job.kept.id, "voxcite", state, **told)
            self._store.change(job.kept.id, state=state)

    def _is_forgotten(self, job: Job) -> bool:
        return job.kept.id not in self._jobs

    def _lay_beside(self, job: Job, request: Beside) -> None:
        """Read a prior scan and find the head in it, so that both can be looked at together."""
        study = read_study(request.source)
        self._next(job, "gate")
        check_head(study.volume)
        self._next(job, "locate")
        registration = register(study.volume)
        job.tell()
        prior.write_prior(self._store.files(job.kept.id), study, registration)

    def _write_choices(self, job: Job, request: Request) -> None:
        """Draw what there is to choose; where that fails, the refusal's own list must do."""
        try:
            choosing.write_choices(self._store.files(job.kept.id), request.source)
        except Exception:  # the refusal is told whatever becomes of the pictures
            LOG.exception("the series could not be drawn")

    def _draft(self, job: Job, request: Request) -> None:
        """Read, run every step, and keep what each leaves."""
        folder = self._store.files(job.kept.id)
        if request.prior is None:
            prior.forget(folder)  # it was laid beside what was read before
        modality = exams.load(job.kept.exam).modality
        study = read_study(request.source, series=request.series, modality=modality)
        study = replace(study, referral=request.referral)
        sources = () if request.prior is None else (request.prior,)
        priors = [read_study(source, modality=modality) for source in sources]
        self._next(job, "gate")
        assistant = self._assistant_of(job.kept.exam, job.kept.language)
        placed: list[Placed] = []
        segmented: Segmented | None = None
        following = NEXT if request.prior is None else NEXT_COMPARED
        for step in assistant.steps(study, priors=priors):
            job.tell()  # of what was stopped or deleted meanwhile nothing more is written
            placed += [step] if isinstance(step, Placed) else []
            segmented = step if isinstance(step, Segmented) else segmented
            _write_step(folder, study, step)
            if isinstance(step, Ledger) and segmented is not None:
                _write_changes(folder, study, segmented, placed, step)
            if isinstance(step, Draft):
                statements = [asdict(statement) for statement in step.statements]
                self._store.change(job.kept.id, statements=statements)
            if isinstance(step, Report):
                self._store.change(job.kept.id, report=step.to_json(job.kept.created))
            self._next(job, following.get(type(step)), result=_light(step, study))

    def _next(self, job: Job, step: str | None, *, result: object = None) -> None:
        """Go on to a step, if one begins here; what the one before took is learnt."""
        if step is not None:
            self._pace(job).learn(job.step, time.monotonic() - job.since)
        job.tell(step=step, result=result)


def _light(step: Any, study: Study) -> Any:  # noqa: ANN401  any step of the pipeline
    """Keep of a step what a page shows; arrays stay in the files."""
    if isinstance(step, Gated):
        return "scan"
    if isinstance(step, Segmented):
        return "segmented"
    return step if isinstance(step, Ledger | Line | Report) else type(step).__name__


def _write_step(folder: Path, study: Study, step: Step) -> None:
    """Write what the viewer and the exports show of a step."""
    if isinstance(step, Gated):
        scene.write_scan(folder, study.volume)
    if isinstance(step, Registration):
        prior.write_place(folder, study, step)
    if isinstance(step, Segmented):
        scene.write_found(folder, study.volume, step.sides)
        _write_pictures(folder, study, step)


def _write_pictures(folder: Path, study: Study, segmented: Segmented) -> None:
    """Draw the pictures that go into exported files."""
    found = [side.segmentation for side in segmented.sides if isinstance(side, Found)]
    note = "MNI152 template: an average of 152 heads, no person" if study.is_template else ""
    for old in folder.glob("overlay_*.png"):
        old.unlink()  # of what was drafted here before
    for view in views.overlays(study.volume, found, labels={"note": note}):
        views.write_png(view, folder)


def _write_changes(
    folder: Path, study: Study, segmented: Segmented, placed: Sequence[Placed], ledger: Ledger
) -> None:
    """Draw the pictures of what changed, once it is known which changes are withheld."""
    for view in change_views(study, placed, segmented, records=ledger.records):
        views.write_png(view, folder)
