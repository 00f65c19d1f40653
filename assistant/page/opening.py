"""A study begins: from the sample, or from files that were sent. Knows nothing of pages."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.denial import Denial
from assistant.page import prior, scene
from assistant.page.desk import SOURCE, Desk
from assistant.page.server import Parts
from assistant.page.store import Kept, Wanted
from assistant.page.uploads import UploadError
from assistant.page.work import Beside, FullError, Request
from assistant.referral import Referral
from assistant.study import SAMPLE, SAMPLE_NAME
from prompts import page
from segment.reading.source import file_name


@dataclass(frozen=True, eq=False)
class Opening:
    """Opens studies of one person, to be reported in one language."""

    parts: Parts
    owner: str
    language: str

    def sample(self, exam: str, referral: Referral) -> Desk:
        """Queue the template that every installation has; raises FullError."""
        kept = self.parts.store.add(self.owner, SAMPLE_NAME, exam, self.language)
        return self._queued(kept, Request(SAMPLE, referral=referral))

    def upload(self, token: str, exam: str, series: str | None, referral: Referral) -> Desk:
        """Queue files that were sent before; raises UploadError and FullError."""
        store = self.parts.store
        kept = store.add(self.owner, "", exam, self.language)
        try:
            into = store.files(kept.id) / SOURCE
            path = self.parts.uploads.claim(token, self.owner, into)
        except ValueError:
            store.delete(self.owner, kept.id)
            raise
        store.change(kept.id, name=self._counted(into) if path == into else file_name(path))
        return self._queued(kept, Request(path, _chosen(series), referral))

    def beside(self, desk: Desk, token: str) -> Desk:
        """Queue a prior scan, to be shown beside a study; raises UploadError and FullError."""
        into = desk.folder / prior.SOURCE
        shutil.rmtree(into, ignore_errors=True)
        prior.forget(desk.folder)
        path = self.parts.uploads.claim(token, self.owner, into)
        self.parts.store.record(desk.study, self.owner, "prior")
        self.parts.workshop.begin(desk.kept, Beside(path))
        return desk

    def compared(self, desk: Desk) -> Desk:
        """Queue a study of its own: the same files, compared with the prior scan beside them.

        The draft that is open stays as it is, with its edits and signature. Raises FullError, and
        UploadError where no prior scan lies beside.
        """
        if prior.read_prior(desk.folder) is None:
            msg = "expected a prior scan beside this study, found none; drop one first"
            raise UploadError(Denial.NO_PRIOR, msg)
        before, store = desk.kept, self.parts.store
        kept = store.add(self.owner, before.name, before.exam, self.language)
        try:
            prior.carry(desk.folder, store.files(kept.id))
            if (desk.folder / SOURCE).is_dir():
                shutil.copytree(desk.folder / SOURCE, store.files(kept.id) / SOURCE)
        except OSError as error:
            store.delete(self.owner, kept.id)
            msg = "expected room for a copy of this study, found none; delete another study"
            raise UploadError(Denial.NO_ROOM, msg) from error
        store.record(kept.id, self.owner, "prior")
        wanted = Wanted(store.wanted(desk.study).series, is_compared=True)
        return self._queued(kept, self._request(kept, wanted, Referral(**before.referral)))

    def again(self, desk: Desk, series: str | None) -> Desk:
        """Queue the same files again: another series of them, or after a stop.

        With no series chosen it is the one before, unless that was refused.
        """
        store = self.parts.store
        chosen, before = _chosen(series), store.wanted(desk.study)
        is_same = chosen == before.series or (chosen is None and desk.kept.state != "failed")
        wanted = before if is_same else Wanted(chosen)
        if wanted.is_compared and not (desk.folder / prior.SOURCE).is_dir():
            msg = "expected the prior scan of this comparison, found it removed; drop it again"
            raise UploadError(Denial.PRIOR_GONE, msg)
        kept = desk.kept
        store.change(desk.study, state="waiting", report=None, changes=[], signature=None)
        store.enqueue(desk.study, wanted)
        request = self._request(kept, wanted, Referral(**kept.referral))
        try:
            self.parts.workshop.begin(desk.kept, request)
        except FullError:  # what was drafted, edited and signed stays
            rest = {"changes": list(kept.changes), "signature": kept.signature}
            store.change(desk.study, state=kept.state, report=kept.report, **rest)
            raise
        for name in (scene.SURFACE, scene.PLACES):  # of what was read before
            (desk.folder / name).unlink(missing_ok=True)
        return desk

    def _counted(self, folder: Path) -> str:
        """Name a delivery of several files by how many they are: their names may name a patient."""
        count = sum(path.is_file() for path in folder.rglob("*"))
        return page.load(self.language)["study.files"].format(count=count)

    def _request(self, kept: Kept, wanted: Wanted, referral: Referral) -> Request:
        return request_of(Desk(self.parts.store, self.owner, kept.id), wanted, referral)

    def _queued(self, kept: Kept, request: Request) -> Desk:
        self.parts.store.change(kept.id, referral=asdict(request.referral))
        try:
            is_compared = request.prior is not None
            self.parts.store.enqueue(kept.id, Wanted(request.series, is_compared))
            self.parts.workshop.begin(kept, request)
        except FullError:
            self.parts.store.delete(self.owner, kept.id)
            raise
        return Desk(self.parts.store, self.owner, kept.id)


def request_of(desk: Desk, wanted: Wanted, referral: Referral) -> Request:
    """Ask for a draft of the files of a study, perhaps compared with the prior beside them."""
    source = _sent(desk.folder / SOURCE) or SAMPLE
    earlier = _sent(desk.folder / prior.SOURCE) if wanted.is_compared else None
    return Request(source, wanted.series, referral, earlier)


def _sent(folder: Path) -> Path | None:
    """Say where files lie that were sent: the one file, or the folder of several."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return folder if len(found) > 1 else next(iter(found), None)


def _chosen(series: str | None) -> str | None:
    return (series or "").strip() or None
