"""The earlier studies that a study is compared with: whose, when, in which order, and where.

Knows nothing of measuring or of sentences.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from assistant import gate
from assistant.ledger import Ledger, names_in
from assistant.study import Study, patient_ids
from segment.change import SCANNER, TREND, Visit
from segment.errors import Refusal, ScanError
from segment.measurement import Measurement, Reason
from segment.reading.roles import Role
from segment.register import Registration, register
from segment.register import doubt as doubt_of_head
from segment.register.pair import Alignment, align, halfway
from segment.register.pair import doubt as doubt_of_pair


@dataclass(frozen=True, eq=False)
class Priors:
    """Earlier studies of the patient of a study, the oldest first.

    Raises ScanError for one that cannot be an earlier study of the same person. With
    ``is_same_patient`` somebody vouches that files of different identifiers are of one person.
    """

    study: Study
    studies: tuple[Study, ...] = ()
    is_same_patient: bool = False

    def __post_init__(self) -> None:
        whole = (self.study, *self.studies)
        if len({study.volume.sha256 for study in whole}) < len(whole):
            msg = (
                "the prior study: expected another scan than the study, found the same one twice;"
                " give each study once"
            )
            raise ScanError(Refusal.SAME_STUDY, msg)
        if not self.is_same_patient:
            self._check_patient()
        object.__setattr__(self, "studies", tuple(self._ordered()))
        for prior in self.studies:
            _check_head(prior)
            self._check_role(prior)

    def _check_patient(self) -> None:
        """Refuse identifiers that differ; a file without one may be anybody's."""
        if len(patient_ids((self.study, *self.studies))) > 1:
            msg = (
                "the prior study: expected one of the same patient, found another patient"
                " identifier; give the right prior, or --same-patient if both are one person's"
            )
            raise ScanError(Refusal.OTHER_PATIENT, msg)

    def _check_role(self, prior: Study) -> None:
        """Refuse a prior that is known to be of another weighting; contrast medium changes none."""
        own, earlier = (_weighting(study) for study in (self.study, prior))
        if own is not None and earlier is not None and own != earlier:
            msg = f"the prior study: expected {own} as the study is, found {earlier}"
            advice = f"give an earlier {own}, or correct a name or header with --role"
            raise ScanError(Refusal.NO_ROLE, f"{msg}; {advice}")

    def _ordered(self) -> Iterator[Study]:
        """Yield the priors by their dates; raises ScanError where these say nothing or too much."""
        undated = [study for study in self.studies if study.volume.date is None]
        if undated and len(self.studies) > 1:
            msg = (
                f"the prior studies: expected a date of each, found {len(undated)} without one;"
                " add --date once for the study and once for each prior, in their order"
            )
            raise ScanError(Refusal.BAD_DATES, msg)
        ordered = sorted(self.studies, key=lambda study: study.volume.date or "")
        dates = [study.volume.date for study in (*ordered, self.study)]
        for earlier, later in pairwise(dates):
            if earlier and later and earlier > later:
                msg = (
                    "the prior study: expected a date before that of the study, found one after"
                    " it; give the latest scan as the study, or correct --date"
                )
                raise ScanError(Refusal.BAD_DATES, msg)
        for day, other in pairwise(dates[:-1]):
            if day and day == other:
                msg = (
                    "the prior studies: expected a day of its own for each, found two of one day;"
                    " give one of them, or correct --date"
                )
                raise ScanError(Refusal.BAD_DATES, msg)
        yield from ordered


def dated(study: Study, day: str) -> Study:
    """Return a study of another date; raises ScanError for a text that is none."""
    try:
        day = date.fromisoformat(day).isoformat()
    except ValueError as error:
        msg = f"--date: expected a day as YYYY-MM-DD, found {day[:20]!r}; write it so"
        raise ScanError(Refusal.BAD_DATES, msg) from error
    return replace(study, volume=replace(study.volume, date=day))


def all_dated(studies: Sequence[Study], days: Sequence[str]) -> tuple[Study, ...]:
    """Date the study and its priors, in the order given; raises ScanError for too many days."""
    if len(days) > len(studies):
        msg = (
            f"--date: expected at most {len(studies)}, one for the study and for each prior in"
            f" their order, found {len(days)}; leave some out"
        )
        raise ScanError(Refusal.BAD_DATES, msg)
    told = [dated(study, day) for study, day in zip(studies, days, strict=False)]
    return (*told, *studies[len(days) :])


@dataclass(frozen=True, eq=False)
class Placed:
    """A study and where its head lies; ``doubt`` says why it is not placed as the current one is.

    ``alignment`` is that of the current study with it, where both heads were found.
    """

    study: Study
    registration: Registration
    alignment: Alignment | None = None
    doubt: Reason | None = None

    def described(self) -> dict[str, Any]:
        """Say for a report's provenance which scan this is, and how it was aligned."""
        made: dict[str, Any] = {"input_sha256": self.study.volume.sha256}
        if self.alignment is not None:
            made["similarity"] = round(self.alignment.similarity, 3)
            made["disagreement_mm"] = round(self.alignment.disagreement_mm, 2)
            made["head_growth"] = round(self.alignment.growth, 3)
        return made


def aligned(study: Study, found: Registration, prior: Study) -> Placed:
    """Find the head of an earlier study and align the current one with it.

    Where either head is not found there is nothing to align: its volumes say so themselves.
    """
    own = register(prior.volume)
    if any(doubt_of_head(one) is not None for one in (found, own)):
        return Placed(prior, own)
    alignment = align((study.volume, prior.volume), (found, own))
    return Placed(prior, own, alignment, doubt_of_pair(alignment))


def between(study: Study, found: Registration, placed: Sequence[Placed]) -> tuple[Placed, ...]:
    """Place the template half-way between a study and the earlier ones that align with it.

    The current study comes first. One that cannot be aligned with it keeps its own place; alone,
    the current one does too.
    """
    alike = [one for one in placed if one.doubt is None and one.alignment is not None]
    if not alike:
        return (Placed(study, found), *placed)
    matrices = [np.eye(4), *(one.alignment.matrix for one in alike if one.alignment)]
    middle = halfway([found, *(one.registration for one in alike)], matrices)
    moved = dict(zip([id(one) for one in alike], middle[1:], strict=True))
    return (
        Placed(study, middle[0]),
        *(replace(one, registration=moved.get(id(one), one.registration)) for one in placed),
    )


def visit_of(
    study: Study,
    records: tuple[Measurement, ...],
    doubt: Reason | None = None,
    made_from: Mapping[str, Any] = MappingProxyType({}),
) -> Visit:
    """Gather what is compared of a study."""
    volume = study.volume
    spacing_mm = volume.geometry.spacing_mm
    return Visit(records, spacing_mm, volume.facts, volume.date, doubt, made_from)


def stated(study: Study, earlier: Sequence[Visit], ledger: Ledger) -> tuple[str, ...]:
    """Name the fixed sentences on scanners that are not named and on dates that no trend holds."""
    told = []
    is_compared = any(r.comparator and r.reason is None for r in ledger.records)
    known = (study.volume.facts, *(visit.facts for visit in earlier))
    are_known = all(fact in facts for facts in known for fact in SCANNER)
    if is_compared and not are_known:
        told.append("technique.scanner_unknown")
    trends = [r for r in ledger.records if r.quantity == TREND and r.reason is None]
    if any(len(names_in(r.expression or "")) <= len(earlier) for r in trends):
        told.append("technique.trend_dates")
    return tuple(told)


def _weighting(study: Study) -> Role | None:
    """Return the role of a study without regard to contrast medium."""
    return "T1" if study.role == "T1c" else study.role


def _check_head(prior: Study) -> None:
    """Refuse a prior of another modality or part of the body, in the words of the gate."""
    try:
        gate.check_head(prior.volume)
    except ScanError as error:
        sentence = str(error).removeprefix("the scan: ").partition("; ")[0]
        msg = f"the prior study: {sentence}; give an earlier MR of the head"
        raise ScanError(error.code, msg) from error
