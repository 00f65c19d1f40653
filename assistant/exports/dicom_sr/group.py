"""The measurement groups: TID 1411 where a segment was counted, else 1501. Knows no sentence."""

from dataclasses import dataclass
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    FindingSite,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.uid import SegmentationStorage

from assistant.exports.dicom.codes import CATEGORY, SIDES, modifier_of, own, snomed
from assistant.exports.dicom.instance import Uids, parameters, stated, version
from assistant.exports.dicom.segments import Drawn, Segment, segment_of
from assistant.exports.dicom_sr.measurement import measurement
from assistant.report import Report
from prompts import Phrasebook
from segment.measurement import Measurement as Record

Group = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations


@dataclass(frozen=True, eq=False)
class Groups:
    """One group a record, tracked by the record's id, which the sentences cite."""

    report: Report
    drawn: Drawn
    words: Phrasebook
    uids: Uids

    def all(self) -> list[Group]:
        """Write the groups in the order of the records."""
        return [self.group(record) for record in self.report.measurements]

    def group(self, record: Record) -> Group:
        """Write a record with its site, its algorithm, its number and its reliability."""
        segment = segment_of(record, self.drawn.segments)
        content: dict[str, Any] = {
            "tracking_identifier": TrackingIdentifier(self._uid(record, segment), record.id),
            "finding_category": CATEGORY,
            "finding_type": snomed(record.code, self.drawn.organ.name.capitalize()),
            "finding_sites": [self._site(record)],
            "algorithm_id": None if record.basis == "entered" else self._algorithm(record),
            "measurements": [measurement(record, self.words)],
            "qualitative_evaluations": self._evaluations(record),
        }
        if segment is None:
            return MeasurementsAndQualitativeEvaluations(**content)
        return VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=self._reference(segment), **content
        )

    def _uid(self, record: Record, segment: Segment | None) -> str:
        """Track a record by the identifier of the segment that it counts, if there is one."""
        return self.uids.uid(record.id if segment is None else segment.name)

    def _reference(self, segment: Segment) -> ReferencedSegment:
        """Refer to a segment, by hand: highdicom's own way fails where there is but one."""
        return ReferencedSegment(
            sop_class_uid=SegmentationStorage,
            sop_instance_uid=self.uids.uid("seg"),
            segment_number=segment.number,
            source_series=SourceSeriesForSegmentation(self.drawn.series.uid),
        )

    def _site(self, record: Record) -> FindingSite:
        """Name organ, side and part."""
        modifier = self.drawn.organ.structure(record.structure).modifier
        return FindingSite(
            anatomic_location=snomed(record.code, self.drawn.organ.name.capitalize()),
            laterality=SIDES[record.side],
            topographical_modifier=(
                None if modifier is None else modifier_of(modifier, record.structure)
            ),
        )

    def _algorithm(self, record: Record) -> AlgorithmIdentification:
        """Name the segmenter by its weights, and the calibration of the interval."""
        made = parameters(self.report)
        if record.calibration is not None:
            made["calibration"] = f"{record.calibration.id} (n = {record.calibration.n})"
        return AlgorithmIdentification(
            name=stated(self.report, "segmenter"),
            version=version(self.report),
            parameters=[f"{name}: {value}" for name, value in made.items()],
        )

    def _evaluations(self, record: Record) -> list[QualitativeEvaluation]:
        """Say whether the number may be relied on, and if not, why."""
        value = str(record.reliability)
        found = {"reliability": own(value.replace(" ", "-"), self.words.reliability[value])}
        if record.reason is not None:
            found["reason"] = own(str(record.reason))
        return [_evaluation(own(name), value) for name, value in found.items()]


def _evaluation(name: CodedConcept, value: CodedConcept) -> QualitativeEvaluation:
    return QualitativeEvaluation(name, value)
