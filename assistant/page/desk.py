"""What a person does to a kept study: edit, override, accept, undo, sign, ask, export.

Every act passes through the library, is kept, and stands in the audit trail. Knows no page.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant import exports
from assistant.denial import Denial
from assistant.draft import Statement
from assistant.edit import (
    Accepted,
    Change,
    Edited,
    EditError,
    Manuscript,
    Overridden,
    Removed,
    change_from_record,
    change_record,
)
from assistant.exports.source import Source
from assistant.folder import LABELS
from assistant.page.store import BROWSER, Kept, Store, now
from assistant.report import Report, report_from_json
from assistant.sign import SignError, problems, sign
from segment.errors import Refusal, ScanError

SOURCE = "source"  # below a study's folder: what was uploaded


@dataclass(frozen=True)
class Desk:
    """The acts of one person on one of their studies."""

    store: Store
    owner: str
    study: str

    @property
    def kept(self) -> Kept:
        """Read the study; raises KeyError where it is not theirs."""
        return self.store.get(self.owner, self.study)

    @property
    def folder(self) -> Path:
        """The study's files."""
        return self.store.files(self.kept.id)

    def version(self) -> str:
        """Name the report as it stands: another one after every change, signature and draft."""
        kept = self.kept
        told = json.dumps([kept.report, kept.changes, kept.signature], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    def manuscript(self) -> Manuscript:
        """Return the draft with all changes; raises EditError where there is none yet."""
        kept = self.kept
        if kept.report is None:
            msg = "expected a finished draft, found none; wait until it is written"
            raise EditError(Denial.NO_DRAFT, msg)
        statements = tuple(
            Statement(**{**record, "cites": tuple(record["cites"])}) for record in kept.statements
        )
        changes = tuple(change_from_record(record) for record in kept.changes)
        return Manuscript(report_from_json(kept.report), statements, changes)

    def report(self) -> Report:
        """Return the report as it stands, signed if it is.

        One that was signed by an earlier version and may not be signed by this one is a draft.
        """
        kept, report = self.kept, self.manuscript().report
        if kept.signature is None:
            return report
        try:
            return sign(report, kept.signature["who"], kept.signature["at"])
        except SignError:
            return report

    def edit(self, line: int, text: str, who: str) -> Manuscript:
        """Put a person's sentence in the place of a line, counted from 0."""
        return self._changed(Edited(line, text, self._name(who), now()))

    def accept(self, line: int, who: str) -> Manuscript:
        """Mark a line as read and agreed with."""
        return self._changed(Accepted(line, self._name(who), now()))

    def remove(self, line: int, who: str) -> Manuscript:
        """Take a line out, counted from 0."""
        lines = self.report().lines
        text = lines[line].text if 0 <= line < len(lines) else ""
        return self._changed(Removed(line, text, self._name(who), now()))

    def override(
        self, record: str, value: float, bounds: tuple[float, float], who: str
    ) -> Manuscript:
        """Put a person's value in the place of a measured one."""
        lower, upper = bounds
        return self._changed(Overridden(record, value, lower, upper, self._name(who), now()))

    def undo(self, who: str) -> Manuscript:
        """Take the last change back."""
        manuscript = self.manuscript().undone()
        self._keep(manuscript, who, "undone", {})
        return manuscript

    def sign(self, who: str) -> Report:
        """Sign the report as it stands; the mark of a draft goes."""
        report = sign(self.manuscript().report, who, now())
        signature = {"who": report.signed_by, "at": report.provenance["signed_at"]}
        self.store.change(self.study, signature=signature)
        self.store.record(self.study, self._actor(who), "signed")
        return report

    def export(self, name: str) -> tuple[str, bytes]:
        """Write the report as a file that is taken; returns its name and bytes.

        Raises SignError for a report that does not hold, and what the export raises.
        """
        written = self.write(name)
        self.taken(name)
        return written

    def taken(self, name: str) -> None:
        """Keep in the trail that a file was taken."""
        self.store.record(self.study, self.owner, "exported", format=name)

    def write(self, name: str) -> tuple[str, bytes]:
        """Write the report as a file, as ``export`` does, without a word in the trail."""
        report = self.report()
        if found := problems(report):
            msg = f"expected a report that holds, found {found[0]}; change the line or its record"
            raise SignError(Denial.CONTRADICTION, msg)
        folder, kept = self.folder, self.kept
        sources = sorted((folder / SOURCE).iterdir()) if (folder / SOURCE).is_dir() else []
        if exports.describe(name)["needs_source"] and not sources:
            msg = f"expected a study that came as DICOM for {name}, found none; take another format"
            raise ScanError(Refusal.BAD_OPTION, msg)
        place = sources[0] if len(sources) == 1 else folder / SOURCE
        export = exports.load(name, Source(place, folder / LABELS) if sources else None)
        data = export(report, sorted(folder.glob("overlay_*.png")), kept.created)
        return f"report{export.suffix}", data

    def _changed(self, change: Change) -> Manuscript:
        manuscript = self.manuscript().with_change(change)
        record: dict[str, Any] = change_record(change)
        told = {name: value for name, value in record.items() if name not in ("kind", "who", "at")}
        if isinstance(change, Overridden):
            records = manuscript.original.measurements
            told["unit"] = next(one.unit for one in records if one.id == change.record)
        self._keep(manuscript, change.who, record["kind"], told)
        return manuscript

    def _keep(self, manuscript: Manuscript, who: str, what: str, told: Mapping[str, Any]) -> None:
        """Keep the changes; a signature does not outlive one."""
        was_signed = self.kept.signature is not None
        changes = [change_record(change) for change in manuscript.changes]
        self.store.change(self.study, changes=changes, signature=None)
        self.store.record(self.study, self._actor(who), what, **told)
        if was_signed:
            self.store.record(self.study, self._actor(who), "unsigned")

    def _name(self, who: str) -> str:
        """Say who acts: the name given, else the login."""
        return who.strip()[:120] or self.owner

    def _actor(self, who: str) -> str:
        """Say for the trail who acts: the name given, and the login that vouches for it."""
        name = self._name(who)
        is_known = not self.owner.startswith(BROWSER) and name != self.owner
        return f"{name} ({self.owner})" if is_known else name


def export_names(*, has_dicom: bool) -> Iterator[str]:
    """Name the exports that a study can be written to."""
    for name in exports.available():
        if has_dicom or not exports.describe(name)["needs_source"]:
            yield name
