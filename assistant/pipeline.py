"""The one pipeline: the command line, a page, a batch and a notebook all call it.

Scan in, report out. Knows nothing of files to write or of who shows the steps.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import prompts
from assistant import exams, followup, gate, lesions, sequences
from assistant.answer import Answer
from assistant.answering import answering
from assistant.building import (
    WEIGHTS,
    brought,
    calibrated_of,
    check_parts,
    curves_of,
    familiar_of,
    reading_of,
    repeatability_of,
    weights_of,
)
from assistant.draft import Draft
from assistant.exams import Exam
from assistant.finish import complete, compose, replay
from assistant.followup import Placed, Priors, aligned, between, visit_of
from assistant.ledger import Ledger
from assistant.loading import Loading
from assistant.provenance import (
    has_resampled,
    of_calibration,
    of_comparison,
    of_draft,
    of_labels,
    of_own,
    of_registration,
    of_segmenter,
    of_settings,
    of_supplied,
    of_versions,
    of_volume,
)
from assistant.quotation import quotations
from assistant.readers import Reader
from assistant.report import Line, Report
from assistant.rules import judge
from assistant.rules import load as load_rule
from assistant.score import Score
from assistant.settings import Settings
from assistant.steps import Gated, Measured, Segmented, Step
from assistant.study import Study
from assistant.writers import Brief, Loads, Preparing, Shown, Turn, Writer
from assistant.writers.choice import writer_of
from assistant.writers.template.stock import CAUTION
from prompts import Phrasebook
from segment import models, organs
from segment.bounds import Bounds, bounds
from segment.calibration import NO_CALIBRATION, Calibrated
from segment.certainty import Certainty, certainty
from segment.change import Visit, compare
from segment.familiarity import Familiar, Likeness, is_cautious, withheld
from segment.infer import Found, Missing, segment_crop, segment_head
from segment.lesion_records import lesion_records
from segment.masks.measure import measure_pieces
from segment.masks.pieces import pieces_of, pieces_of_field
from segment.masks.table import named
from segment.measure import Wanted, measure
from segment.measurement import Measurement
from segment.models import FieldSegmenter, Segmenter
from segment.organs import Organ
from segment.predicted_dice import DiceCurve
from segment.register import Registration, doubt, register
from segment.repeatability import Repeatability
from segment.segmentation import Segmentation
from segment.volume import Volume


@dataclass(frozen=True)
class Assistant:
    """Scan in, report out; every part is replaceable and none changes.

    ``loading`` is the segmenter, which is read while the first scan is being registered, and
    ``reading`` what reads the pictures; without one, a report holds no scores. ``own`` are networks
    that the user brought, for an exam that has none.
    """

    settings: Settings
    exam: Exam
    organs: tuple[Organ, ...]
    loading: Loading[Segmenter]
    calibrated: Calibrated
    writer: Writer
    phrasebook: Phrasebook
    reading: Loading[Reader] | None = None
    own: Loading[FieldSegmenter] | None = None
    repeatability: Repeatability = field(default_factory=Repeatability.unknown)
    dice_curves: Mapping[str, DiceCurve] = field(default_factory=dict)
    familiar: Familiar = field(default_factory=Familiar)

    @property
    def organ(self) -> Organ:
        """The organ that a registration looks for; an exam of several has none to look for."""
        return self.organs[0]

    @classmethod
    def from_settings(cls, settings: Settings) -> "Assistant":
        """Build every part once; raises ValueError for a name that no folder has."""
        exam = exams.load(settings.exam)
        writer = settings.writer or exam.writer
        settings = replace(settings, writer=writer)
        segmenter = settings.segmenter or exam.segmenter
        is_supplied = exam.segmenter == exams.SUPPLIED
        check_parts(exam, settings)
        calibrated = NO_CALIBRATION if is_supplied else calibrated_of(segmenter, settings)
        coverage = settings.coverage or calibrated.coverage
        if coverage is not None:
            exam = replace(exam, coverage=coverage)
            calibrated.expect_support(coverage)
        return cls(
            settings=settings,
            exam=exam,
            organs=tuple(map(organs.load, exam.organs)),
            loading=Loading(
                partial(
                    models.load,
                    segmenter,
                    weights_of(settings, WEIGHTS),
                    settings.runtime,
                    settings.effort,
                )
            ),
            calibrated=calibrated,
            writer=writer_of(writer, settings),
            phrasebook=prompts.load(settings.language),
            reading=reading_of(settings.reader),
            own=brought(settings),
            repeatability=repeatability_of(segmenter, settings),
            dice_curves=curves_of(segmenter, settings),
            familiar=Familiar() if is_supplied else familiar_of(segmenter, settings),
        )

    def __call__(
        self, study: Study, *, priors: Sequence[Study] = (), same_patient: bool = False
    ) -> Report:
        """Report on one study; raises ScanError where it is not one that can be measured."""
        *_, report = self.steps(study, priors=priors, same_patient=same_patient)
        assert isinstance(report, Report)
        return report

    def preparing(self) -> Iterator[Preparing]:
        """Do what is done once on a machine, yielding each stage; often there is nothing to do."""
        if isinstance(self.writer, Loads):
            yield from self.writer.preparing()

    def steps(
        self, study: Study, *, priors: Sequence[Study] = (), same_patient: bool = False
    ) -> Iterator[Step]:
        """Report on one study, yielding each result as it is ready, in the order of STEPS.

        ``priors`` are earlier studies to compare with, in any order; with ``same_patient`` their
        identifiers may differ.

        Between the ledger and the draft comes each verified line as soon as it is written; each
        prior comes once when it was found and once when it was measured. Raises ScanError for a
        study that cannot be measured or whose pictures show something else, and
        ValueError where the writer's model cannot be had.
        """
        measured = yield from self.measuring(study, priors=priors, same_patient=same_patient)
        yield from self.telling(measured)

    def measuring(
        self, study: Study, *, priors: Sequence[Study] = (), same_patient: bool = False
    ) -> Generator[Step, None, Measured]:
        """Take the steps up to the ledger, as ``steps`` does; return what is to be told."""
        measured = yield from self._measuring(study, priors, same_patient)
        return replace(measured, beside=sequences.aligned(study))

    def _measuring(
        self, study: Study, priors: Sequence[Study], same_patient: bool
    ) -> Generator[Step, None, Measured]:
        """Take the steps of the exam, by where its segmentation comes from."""
        has_mask = study.mask is not None
        gate.check_supplied(
            study.volume,
            self.exam,
            has_mask=has_mask,
            has_own=self.own is not None,
            has_prior=bool(priors),
        )
        if self.exam.compares == "lesions":
            return (yield from self._lesions(study, Priors(study, tuple(priors), same_patient)))
        if has_mask or self.own is not None:
            return (yield from self._supplied(study))
        gate.check_head(study.volume)
        gate.check_role(study.role, self.exam)
        earlier = Priors(study, tuple(priors), same_patient).studies
        self._start_loading()
        yield Gated(study)
        registration = register(study.volume)
        yield registration
        self._check_writer()
        scores, placed = yield from self._placing(study, registration, earlier)
        current, *others = between(study, registration, placed)
        segmented = self.segment(study.volume, current.registration)
        yield segmented
        visits: list[Visit] = []
        for one in others:
            visits.append(self.visit(one))
            yield visits[-1]
        return (yield from self.measured(study, segmented, scores, visits))

    def visit(self, placed: Placed) -> Visit:
        """Measure an earlier study, in the same way as the current one."""
        segmented = self.segment(placed.study.volume, placed.registration)
        ledger = self.measure(placed.study, segmented)
        return visit_of(placed.study, ledger.records, placed.doubt, placed.described())

    def _supplied(self, study: Study) -> Generator[Step, None, Measured]:
        """Measure a segmentation that came with the study, or that of the user's networks."""
        gate.check_role(study.role, self.exam)
        if self.own is not None:
            self.own.start()
        yield Gated(study)
        if study.mask is not None:
            pieces = pieces_of(study.mask, self.organs)
        else:
            assert self.own is not None
            field = self.own.result()(study.volume)
            table = named("of its dataset", list(enumerate(field.structures))[1:])
            pieces = pieces_of_field(field, table, self.organs)
        segmented = Segmented(tuple(piece.found for piece in pieces), None, pieces)
        yield segmented
        return (yield from self.measured(study, segmented))

    def _lesions(self, study: Study, priors: Priors) -> Generator[Step, None, Measured]:
        """Count the lesions of each study, and match them where two studies can be aligned."""
        marked = lesions.marked(study, priors.studies)
        gate.check_head(study.volume)
        gate.check_role(study.role, self.exam)
        yield Gated(study)
        scores: tuple[Score, ...]
        placed: list[Placed]
        if priors.studies:
            registration = register(study.volume)
            yield registration
            scores, placed = yield from self._placing(study, registration, priors.studies)
        else:
            scores, placed = self.read(study.volume), []
        assert study.mask is not None
        pieces = lesions.pieces(study.mask, self.organ)
        segmented = Segmented(tuple(piece.found for piece in pieces), None, pieces)
        yield segmented
        now, earlier = lesions.seen(study, marked[0]), lesions.seen_before(placed, marked[1:])
        yield from (one.visit for one in earlier)
        changes = lesions.changes(now, earlier[-1], placed[-1]) if placed else None
        wanted = {quantity for name in self.exam.rules for quantity in load_rule(name).needs}
        blank = lesions.blank(self.organ, study)
        records = lesion_records(blank, now, earlier, changes, wanted)
        told = () if changes is None else lesions.described(changes)
        if not placed:
            told = lesions.described_largest(marked[0])
        visits = tuple(one.visit for one in earlier)
        return (yield from self._judged(study, segmented, records, scores, visits, told))

    def _placing(
        self, study: Study, registration: Registration, earlier: Sequence[Study]
    ) -> Generator[Step, None, tuple[tuple[Score, ...], list[Placed]]]:
        """Read the pictures of all studies, and align the earlier ones with the current."""
        scores = self.read(study.volume)
        for prior in earlier:
            self.read(prior.volume)
        placed: list[Placed] = []
        for prior in earlier:
            placed.append(aligned(study, registration, prior))
            yield placed[-1]
        return scores, placed

    def read(self, volume: Volume) -> tuple[Score, ...]:
        """Read the pictures, if there is a reader; raises ScanError where they show the wrong."""
        if self.reading is None:
            return ()
        scores = self.reading.result()(volume)
        gate.check_pictures(scores, self.exam)
        return scores

    def ask(self, report: Report, question: str, turns: tuple[Turn, ...] = ()) -> Answer:
        """Answer a question about a report; ``turns`` are those before it, the oldest first."""
        *_, answer = self.answering(report, question, turns)
        assert isinstance(answer, Answer)
        return answer

    def answering(
        self, report: Report, question: str, turns: tuple[Turn, ...] = ()
    ) -> Iterator[Line | Answer]:
        """Answer a question in this assistant's language: each verified line, then the whole."""
        return answering(self.writer, self.phrasebook, report, question, turns)

    def _start_loading(self) -> None:
        self.loading.start()
        if self.reading is not None:
            self.reading.start()
        if isinstance(self.writer, Loads):
            self.writer.start()

    def _check_writer(self) -> None:
        if isinstance(self.writer, Loads):
            self.writer.check()

    def segment(self, volume: Volume, registration: Registration) -> Segmented:
        """Segment both sides, unless the registration cannot be trusted."""
        reason = doubt(registration)
        if reason is not None:
            missing = tuple(Missing(side, reason) for side in self.organ.sides)
            return Segmented(missing, registration)
        found = segment_head(volume, self.organ, registration, self.loading.result())
        return Segmented(found, registration)

    def crop(self, study: Study, side: Literal["left", "right"]) -> Segmented:
        """Segment a scan that already is the box around one structure."""
        gate.check_crop(study.volume)
        return Segmented((segment_crop(study.volume, side, self.loading.result()),), None)

    def measure(self, study: Study, segmented: Segmented) -> Ledger:
        """Measure what was segmented."""
        if segmented.pieces:
            is_hounsfield = gate.is_ct(study.volume)
            return Ledger(
                measure_pieces(segmented.pieces, study.volume, is_hounsfield=is_hounsfield)
            )
        exam = self.exam
        wanted = Wanted(
            exam.structures, exam.asymmetry, exam.coverage, exam.widest_relative_interval
        )
        volume = study.volume
        spacing_mm = volume.geometry.spacing_mm
        sides = segmented.sides
        unlike = withheld(self.likeness(volume, segmented))
        return Ledger(
            measure(sides, self.organ, wanted, self.calibrated, spacing_mm, volume.date, unlike)
        )

    def likeness(self, volume: Volume, segmented: Segmented) -> tuple[Likeness, ...]:
        """Say how far each side's picture lies from the calibration cases, where that is known."""
        if segmented.pieces:
            return ()
        seen: dict[str, Any] = {
            side.side: side.features
            for side in segmented.sides
            if isinstance(side, Found) and side.features is not None
        }
        return self.familiar.of(seen, volume.geometry.spacing_mm)

    def certainty(self, segmented: Segmented) -> tuple[Certainty, ...]:
        """Say how sure the members are of each structure; nothing of a supplied segmentation."""
        if segmented.pieces:
            return ()
        return certainty(segmented.sides, self.organ, self.exam.structures, self.dice_curves)

    def bounds(
        self, study: Study, segmented: Segmented, ledger: Ledger, coverage: float | None
    ) -> tuple[Bounds, ...]:
        """Bound volumes on one side alone, in a share of cases; none where none is asked for.

        Raises ValueError where there are too few calibration cases for the coverage.
        """
        if coverage is None or segmented.pieces:
            return ()
        spacing_mm = study.volume.geometry.spacing_mm
        records, sides = ledger.records, segmented.sides
        return bounds(records, sides, self.organ, self.calibrated, spacing_mm, coverage)

    def report(
        self,
        study: Study,
        segmented: Segmented,
        scores: tuple[Score, ...] = (),
        earlier: Sequence[Visit] = (),
    ) -> Iterator[Step]:
        """Measure, compare with earlier visits, the oldest first, judge, write and verify."""
        measured = yield from self.measured(study, segmented, scores, earlier)
        yield from self.telling(measured)

    def measured(
        self,
        study: Study,
        segmented: Segmented,
        scores: tuple[Score, ...] = (),
        earlier: Sequence[Visit] = (),
    ) -> Generator[Step, None, Measured]:
        """Measure, compare and judge; yield the ledger and return what is to be told."""
        records = self.measure(study, segmented).records
        if earlier:
            now = visit_of(study, records)
            wholes = self.exam.asymmetry
            records = (*records, *compare(now, earlier, wholes, self.repeatability))
        return (yield from self._judged(study, segmented, records, scores, earlier))

    def _judged(
        self,
        study: Study,
        segmented: Segmented,
        records: tuple[Measurement, ...],
        scores: tuple[Score, ...],
        earlier: Sequence[Visit],
        lesions: tuple[Mapping[str, Any], ...] = (),
    ) -> Generator[Step, None, Measured]:
        """Hold records against the exam's rules; yield the ledger and return what is to be told."""
        judgements = judge(self.exam.rules, Ledger(records)) if earlier else ()
        ledger = Ledger(records, scores, judgements)
        yield ledger
        shown = Shown(study.volume, self._subjects(segmented))
        brief = Brief(ledger, self.exam, self.phrasebook, shown)
        return Measured(study, segmented, brief, tuple(earlier), lesions)

    def telling(self, measured: Measured, draft: Draft | None = None) -> Iterator[Step]:
        """Write, fill in and verify; a ``draft`` is what this writer wrote about it already."""
        study, segmented, brief = measured.study, measured.segmented, measured.brief
        writing = self.writer.write(brief) if draft is None else replay(draft)
        composed = yield from compose(writing, brief)
        yield composed.draft
        stated = ("technique.sample",) if study.is_template else ()
        if has_resampled(study.mask, measured.earlier):
            stated = (*stated, "technique.resampled")
        stated = (*sequences.stated(study, self.exam, measured.beside), *stated)
        stated = (*followup.stated(study, measured.earlier, brief.ledger), *stated)
        stated = (*stated, "technique.radiological")
        if is_cautious(self.likeness(study.volume, segmented)):
            stated = (CAUTION, *stated)
        provenance = {
            **self.provenance(study.volume, segmented, composed.draft),
            **of_supplied(study.mask, segmented.pieces),
            **of_comparison(measured.earlier, self.repeatability),
            **sequences.of_sequences(study, self.exam, measured.beside),
        }
        if measured.lesions:
            provenance["lesions"] = list(measured.lesions)
        if brief.ledger.scores and self.reading is not None:
            reader = self.reading.result()
            provenance |= {"reader": reader.name, "reader_sha256": reader.weights_sha256}
        yield complete(composed, brief, provenance, stated, quotations(study.referral))

    def _subjects(self, segmented: Segmented) -> Mapping[str, Segmentation]:
        """Name what was segmented, as the pictures of a writer are called."""
        named = [piece.structure.name for piece in segmented.pieces]
        named = named or [self.organ.name] * len(segmented.sides)
        return {
            f"{side.side} {name}": side.segmentation
            for name, side in zip(named, segmented.sides, strict=True)
            if isinstance(side, Found)
        }

    def provenance(
        self, volume: Volume, segmented: Segmented, draft: Draft | None = None
    ) -> Mapping[str, Any]:
        """Say what a report was made from and with; nothing in it names a patient or a path."""
        made: dict[str, Any] = {
            "input_sha256": volume.sha256,
            "input": of_volume(volume),
            "exam": self.exam.name,
            "plan": of_settings(self.settings),
            "versions": of_versions(),
        }
        if segmented.pieces:
            if self.own is not None:
                made |= of_own(self.own.result())
        else:
            made |= of_calibration(self.calibrated)
            if not all(isinstance(side, Missing) for side in segmented.sides):
                made |= of_segmenter(self.loading.result())
                made |= of_labels(volume, segmented.sides)
            if likeness := self.likeness(volume, segmented):
                made["likeness"] = [one.to_dict() for one in likeness]
            if segmented.registration is not None:
                made["registration"] = of_registration(segmented.registration)
        return made if draft is None else made | of_draft(draft)
