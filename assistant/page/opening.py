"""A study begins: from the sample, or from files that were sent. Knows nothing of pages."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.page import prior
from assistant.page.desk import SOURCE, Desk
from assistant.page.server import Parts
from assistant.page.store import Kept
from assistant.page.work import Beside, FullError, Request
from assistant.referral import Referral
from assistant.study import SAMPLE, SAMPLE_NAME
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
        store.change(kept.id, name=kept.created[:10] if path == into else file_name(path))
        return self._queued(kept, Request(path, _chosen(series), referral))

    def beside(self, desk: Desk, token: str) -> Desk:
        """Queue a prior scan, to be shown beside a study; raises UploadError and FullError."""
        into = desk.folder / prior.SOURCE
        shutil.rmtree(into, ignore_errors=True)
        prior.forget(desk.folder)
        path = self.parts.uploads.claim(token, self.owner, into)
        self.parts.store.record(desk.study, self.owner, "prior", "")
        self.parts.workshop.begin(desk.kept, Beside(path))
        return desk

    def again(self, desk: Desk, series: str | None) -> Desk:
        """Queue the same files again: another series of them, or after a stop."""
        self.parts.store.change(
            desk.study, state="waiting", report=None, changes=[], signature=None
        )
        referral = Referral(**desk.kept.referral)
        self.parts.store.enqueue(desk.study, _chosen(series))
        self.parts.workshop.begin(desk.kept, Request(source_of(desk), _chosen(series), referral))
        return desk

    def _queued(self, kept: Kept, request: Request) -> Desk:
        self.parts.store.change(kept.id, referral=asdict(request.referral))
        try:
            self.parts.store.enqueue(kept.id, request.series)
            self.parts.workshop.begin(kept, request)
        except FullError:
            self.parts.store.delete(self.owner, kept.id)
            raise
        return Desk(self.parts.store, self.owner, kept.id)


def source_of(desk: Desk) -> str | Path:
    """Say where the files of a study lie."""
    folder = desk.folder / SOURCE
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if not found:
        return SAMPLE
    return found[0] if len(found) == 1 else folder


def _chosen(series: str | None) -> str | None:
    return (series or "").strip() or None
