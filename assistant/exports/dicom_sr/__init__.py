"""The report as a DICOM structured report after TID 1500, Measurement Report: through highdicom.

It refers to the segmentation that ``dicom_seg`` writes of the same report, by identifiers that
follow from the report alone; pictures do not go into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from highdicom.sr import (
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from assistant.exports.dicom.codes import PROCEDURES, SCHEMES, language
from assistant.exports.dicom.instance import (
    MAKER,
    UNKNOWN,
    Uids,
    called,
    finished,
    quietly,
    stated,
)
from assistant.exports.dicom.segments import Drawn
from assistant.exports.dicom.series import SourceSeries
from assistant.exports.dicom.text import person
from assistant.exports.dicom_sr.group import Groups
from assistant.exports.dicom_sr.narrative import narrative
from assistant.exports.dicom_sr.number import withhold_numbers
from assistant.exports.sheet import Sheet, moment, sheet
from assistant.exports.source import Source
from assistant.report import Report

SERIES_NUMBER = 9002


@dataclass(frozen=True)
class DicomSr:
    """Writes a Comprehensive SR: partial, preliminary and unverified until somebody signed."""

    source: Source
    suffix: str = ".sr.dcm"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the instance; raises ScanError where the source is not the report's."""
        del pictures
        drawn = Drawn.of(report, self.source)
        series = drawn.series
        shown, uids = sheet(report, [], created), Uids.of(report, created, series)
        groups = Groups(report, drawn, shown.words, uids)
        with quietly():
            content = _content(groups, report, shown, series, uids)
            instance = _instance(content, report, shown, series, uids, created)
            return finished(instance, series, created)


def _content(
    groups: Groups, report: Report, shown: Sheet, series: SourceSeries, uids: Uids
) -> Dataset:
    """Build the tree: context, measurements, then the report's own words."""
    observer = DeviceObserverIdentifyingAttributes(
        uid=uids.uid("device"), name=MAKER, manufacturer_name=MAKER, model_name=MAKER
    )
    context = ObserverContext(codes.DCM.Device, observer)
    template = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=context),
        procedure_reported=PROCEDURES[series.slices[0].Modality],
        imaging_measurements=groups.all(),
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            language(shown.language)
        ),
    )
    root: Dataset = template[0]
    root.ContentSequence.extend(narrative(report, shown))
    return root


def _instance(
    content: Dataset,
    report: Report,
    shown: Sheet,
    series: SourceSeries,
    uids: Uids,
    created: str,
) -> Dataset:
    """Build the instance, without a patient."""
    is_signed = not shown.is_draft
    instance = ComprehensiveSR(
        evidence=[*series.slices, _segmentation(series, uids)],
        content=content,
        **called("sr", SERIES_NUMBER, report, shown, uids),
        is_complete=is_signed,
        is_final=is_signed,
        is_verified=is_signed,
        verifying_observer_name=person(report.signed_by or UNKNOWN),
        verifying_organization=stated(report, "signed_for"),
        coding_schemes=SCHEMES,
    )
    withhold_numbers(instance)
    for item in instance.get("VerifyingObserverSequence", ()):
        signed = moment(str(report.provenance.get("signed_at") or created))
        item.VerificationDateTime = signed.strftime("%Y%m%d%H%M%S%z")
    return instance


def _segmentation(series: SourceSeries, uids: Uids) -> Dataset:
    """Name the segmentation that dicom_seg writes of the same report."""
    data = Dataset()
    data.SOPClassUID = SegmentationStorage
    data.StudyInstanceUID = series.slices[0].StudyInstanceUID
    data.SeriesInstanceUID = uids.uid("seg series")
    data.SOPInstanceUID = uids.uid("seg")
    return data
