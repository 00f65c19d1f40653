"""One record as PS3.16 TID 300, Measurement. Knows nothing of segments or of reports.

SNOMED's ranges of uncertainty are distances from the value; the bounds stand beside them, since a
reader who took a distance for a bound would be wrong in silence.
"""

from collections.abc import Iterator
from decimal import Decimal

from highdicom.sr import (
    CodedConcept,
    ContentItem,
    ContentSequence,
    Measurement,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes

from assistant.exports.dicom.codes import own, unit
from assistant.exports.dicom_sr.number import property_of, put_number, rounded
from assistant.rows import decimals, decimals_alone, one_line
from prompts import Phrasebook
from segment.measurement import Interval, Reason, Reference, Reliability
from segment.measurement import Measurement as Record

QUANTITIES = {"volume": codes.SCT.Volume}  # PS3.16 CID 7474
UPPER = codes.SCT.RangeOfUpperMeasurementUncertainty
LOWER = codes.SCT.RangeOfLowerMeasurementUncertainty
BASES = {
    "entered": "entered by hand",
    "derived": "derived from a value entered by hand",
    "outlined": "by an outline half a voxel off",
}
ABSENT = {  # PS3.16 CID 42
    Reliability.NOT_RELIABLE: codes.DCM.MeasurementFailure,
    Reliability.NOT_ASSESSED: codes.DCM.MeasurementNotAttempted,
}


def measurement(record: Record, words: Phrasebook) -> Measurement:
    """Write a record; one that may not be reported has a qualifier, and is to lose its number.

    One without an interval has its number, and the text that there is no interval.
    """
    if record.value is not None and record.reliability is Reliability.WITHOUT_INTERVAL:
        number = rounded(record.value, decimals_alone(record.value, record.unit))
        item = Measurement(_quantity(record), float(number), unit(record.unit))
        put_number(item[0], number)
        _append(item, _no_interval(words))
    elif record.value is None or record.interval is None or record.reason is not None:
        item = Measurement(
            _quantity(record), 0.0, unit(record.unit), qualifier=ABSENT[record.reliability]
        )
    else:
        digits = decimals(record.interval, record.unit)
        number = rounded(record.value, digits)
        item = Measurement(_quantity(record), float(number), unit(record.unit))
        put_number(item[0], number)
        _append(item, _interval(record, record.interval, number, digits))
        if record.reference is not None:
            _append(item, _reference(record.reference, record.unit, digits, words))
    _append(item, _definition(record))
    return item


def _append(item: Measurement, contents: Iterator[ContentItem]) -> None:
    """Hang content items under the number."""
    if "ContentSequence" not in item[0]:
        item[0].ContentSequence = ContentSequence()
    item[0].ContentSequence.extend(contents)


def _quantity(record: Record) -> CodedConcept:
    """Name what was measured, by a standard's code if there is one."""
    code = QUANTITIES.get(record.quantity)
    return own(record.quantity.replace(" ", "-")) if code is None else CodedConcept.from_code(code)


def _interval(
    record: Record, interval: Interval, number: Decimal, digits: int
) -> Iterator[ContentItem]:
    """Write how far the interval reaches to each side, its bounds, and the share it holds.

    Bounds that rest on a person's are called that, and hold no share.
    """
    lower, upper = rounded(interval.lower, digits), rounded(interval.upper, digits)
    ucum = record.unit
    yield property_of(CodedConcept.from_code(UPPER), upper - number, ucum)
    yield property_of(CodedConcept.from_code(LOWER), number - lower, ucum)
    if interval.coverage is None:
        basis = BASES[str(record.basis)]
        yield property_of(own(f"{record.basis}-lower", f"Lower bound, {basis}"), lower, ucum)
        yield property_of(own(f"{record.basis}-upper", f"Upper bound, {basis}"), upper, ucum)
        return
    yield property_of(own("interval-lower", "Prediction interval, lower bound"), lower, ucum)
    yield property_of(own("interval-upper", "Prediction interval, upper bound"), upper, ucum)
    coverage = Decimal(f"{interval.coverage * 100:.10g}")
    yield property_of(own("coverage", "Coverage of the prediction interval"), coverage, "%")


def _no_interval(words: Phrasebook) -> Iterator[ContentItem]:
    """Say in the place of the interval that there is none."""
    text = words.reasons[Reason.NO_INTERVAL]
    yield _text(own("interval", "Prediction interval"), text, "HAS PROPERTIES")


def _reference(
    reference: Reference, ucum: str, digits: int, words: Phrasebook
) -> Iterator[ContentItem]:
    """Write the reference with what it describes; it is no normal range, and not coded as one."""
    lower, upper = rounded(reference.lower, digits), rounded(reference.upper, digits)
    yield property_of(own("reference-lower", "Reference distribution, lower bound"), lower, ucum)
    yield property_of(own("reference-upper", "Reference distribution, upper bound"), upper, ucum)
    text = words.export["reference"].format(
        coverage=words.share(reference.coverage),
        n=reference.n,
        source=reference.source,
        scope=words.scopes.get(reference.scope, reference.scope),
    )
    yield _text(own("reference", "Reference distribution"), text, "HAS PROPERTIES")


def _definition(record: Record) -> Iterator[ContentItem]:
    """Write how the value comes about; an expression is over the tracking identifiers."""
    method = CodedConcept.from_code(codes.SCT.MeasurementMethod)
    yield _text(method, record.method, "HAS CONCEPT MOD")
    if record.denominator is not None:
        yield _text(own("denominator"), record.denominator, "HAS CONCEPT MOD")
    if record.expression is not None:
        equation = CodedConcept.from_code(codes.DCM.Equation)  # PS3.16 TID 315
        yield _text(equation, record.expression, "INFERRED FROM")


def _text(name: CodedConcept, text: str, relation: str) -> TextContentItem:
    return TextContentItem(name, one_line(text), RelationshipTypeValues(relation))
