"""One record as an R4 Observation. Knows nothing of reports or of files.

The prediction interval is a component, as R4 defines it: a supporting result that cannot be
interpreted outside the observation. HL7's extension quantity-confidenceInterval is not used: it
names a confidence interval, which this is not, is still for trial use, and may be ignored by a
reader, who would then show the value alone. Where there is no interval, the same component says
that it is absent.

The side is a SNOMED CT expression, not an extension, for the same reason. ``interpretation`` is
left out: its codes say normal and abnormal, and the reference is one study's distribution.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from assistant.rows import decimals, decimals_alone
from prompts import Phrasebook
from segment.measurement import Interval, Measurement, Reference, Reliability
from segment.organs import Organ

HL7 = "http://terminology.hl7.org/CodeSystem"
SNOMED, UCUM = "http://snomed.info/sct", "http://unitsofmeasure.org"
LATERALITY, MODIFIER = "272741003", "106233006"  # SNOMED CT, as in DICOM PS3.16 TID 300
SIDES = {"left": "7771000", "right": "24028007", "none": "51440002"}  # none: right and left
QUANTITIES = {"volume": "118565006"}  # SNOMED CT, as in DICOM PS3.16 CID 7474
ABSENT = {
    Reliability.NOT_RELIABLE: "unknown",
    Reliability.NOT_ASSESSED: "not-performed",
    Reliability.WITHOUT_INTERVAL: "not-performed",  # of the interval: nothing was calibrated
}
Element = dict[str, Any]


def observation(record: Measurement, organ: Organ, words: Phrasebook) -> Element:
    """Write a record; one that may not be reported holds its reason and no number.

    One without an interval holds its value, and in the interval's place why there is none.
    """
    resource: Element = {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:voxcite:record", "value": record.id}],
        "category": [{"coding": [_coding(f"{HL7}/observation-category", "imaging")]}],
        "code": _code(record, words),
        "bodySite": _body_site(record, organ, words),
        "method": {"text": ": ".join(filter(None, (record.method, record.expression)))},
    }
    if record.date is not None:
        resource["effectiveDateTime"] = record.date
    components = list(_part(record, organ, words))
    if record.value is not None and record.reliability is Reliability.WITHOUT_INTERVAL:
        digits = decimals_alone(record.value, record.unit)
        resource["valueQuantity"] = _quantity(record.value, record.unit, digits, words)
        components.append(_no_interval(record, words))
    elif record.value is None or record.interval is None or record.reason is not None:
        resource["dataAbsentReason"] = _absent(record, words)
    else:
        resource |= _numbers(record, record.value, record.interval, words)
        components += _interval(record, record.interval, words)
    return resource | ({"component": components} if components else {})


def _numbers(record: Measurement, value: float, interval: Interval, words: Phrasebook) -> Element:
    """Write value and reference, with the decimals that the report shows."""
    digits = decimals(interval, record.unit)
    found: Element = {"valueQuantity": _quantity(value, record.unit, digits, words)}
    if record.reference is not None:
        found["referenceRange"] = [_reference(record.reference, record.unit, digits, words)]
    if record.calibration is not None:
        label, calibration = words.provenance["calibration"], record.calibration
        text = f"{label}{words.marks['colon']}{calibration.id} (n = {calibration.n})"
        found["note"] = [{"text": text}]
    return found


def _interval(record: Measurement, interval: Interval, words: Phrasebook) -> Iterator[Element]:
    """Write the prediction interval and its coverage, or bounds that rest on a person's."""
    bounds = _bounds(interval, record.unit, decimals(interval, record.unit), words)
    if interval.coverage is None:
        name = words.export[f"bounds_{record.basis}"]
        yield _component(f"{record.basis}-bounds", name, valueRange=bounds)
        return
    yield _component("prediction-interval", words.columns["interval"], valueRange=bounds)
    share = Decimal(f"{interval.coverage * 100:.10g}")
    quantity = {"value": share, "unit": "%", "system": UCUM, "code": "%"}
    yield _component("coverage", words.export["coverage"], valueQuantity=quantity)


def _no_interval(record: Measurement, words: Phrasebook) -> Element:
    """Say in the place of the interval that there is none."""
    name = words.columns["interval"]
    return _component("prediction-interval", name, dataAbsentReason=_absent(record, words))


def _code(record: Measurement, words: Phrasebook) -> Element:
    """Name the quantity, what a ratio is of, and of which structure."""
    codings = [_coding("urn:voxcite:quantity", record.quantity.replace(" ", "-"))]
    if record.quantity in QUANTITIES:
        codings.insert(0, _coding(SNOMED, QUANTITIES[record.quantity]))
    name = words.structure(record.structure, record.side)
    parts = [name, words.quantities[record.quantity]]
    if record.denominator is not None:
        parts.append(words.denominators.get(record.denominator, record.denominator))
    return {"coding": codings, "text": words.marks["colon"].join(parts)}


def _body_site(record: Measurement, organ: Organ, words: Phrasebook) -> Element:
    """Name organ and side in SNOMED CT, the part by its own name, both in words."""
    expression = record.code
    if record.side != "none" or organ.sides != ("none",):
        expression = f"{record.code}:{LATERALITY}={SIDES[record.side]}"
    part = record.structure.replace(" ", "-")
    return {
        "coding": [_coding(SNOMED, expression), _coding("urn:voxcite:structure", part)],
        "text": words.structure(record.structure, record.side),
    }


def _part(record: Measurement, organ: Organ, words: Phrasebook) -> Iterator[Element]:
    """Say which part of the organ was measured, as DICOM's TID 300 does."""
    modifier = organ.structure(record.structure).modifier
    if modifier is not None:
        code = {"coding": [_coding(SNOMED, MODIFIER)], "text": words.export["part"]}
        yield {"code": code, "valueCodeableConcept": {"coding": [_coding(SNOMED, modifier)]}}


def _absent(record: Measurement, words: Phrasebook) -> Element:
    """Say why there is no number: measured and not to be trusted, or never measured."""
    codings = [_coding(f"{HL7}/data-absent-reason", ABSENT[record.reliability])]
    text = words.reliability[record.reliability]
    if record.reason is not None:
        codings.append(_coding("urn:voxcite:reason", str(record.reason)))
        text += words.marks["colon"] + words.reasons[record.reason]
    return {"coding": codings, "text": text}


def _reference(reference: Reference, unit: str, digits: int, words: Phrasebook) -> Element:
    """Write the reference; its type is stated, since R4 takes a range without one as normal."""
    scope = words.scopes.get(reference.scope, reference.scope)
    text = words.export["reference"].format(
        coverage=words.share(reference.coverage),
        n=reference.n,
        source=reference.source,
        scope=scope,
    )
    kind = {"coding": [_coding("urn:voxcite:scope", reference.scope)], "text": scope}
    return {**_bounds(reference, unit, digits, words), "type": kind, "text": text}


def _component(code: str, text: str, **value: Element) -> Element:
    """Write one supporting result."""
    return {"code": {"coding": [_coding("urn:voxcite:component", code)], "text": text}, **value}


def _bounds(bounds: Interval | Reference, unit: str, digits: int, words: Phrasebook) -> Element:
    """Write two bounds."""
    return {
        "low": _quantity(bounds.lower, unit, digits, words),
        "high": _quantity(bounds.upper, unit, digits, words),
    }


def _quantity(value: float, unit: str, digits: int, words: Phrasebook) -> Element:
    """Write a number with its UCUM unit; it is the one that the report shows."""
    number = Decimal(f"{value:.{digits}f}") + 0  # no minus before a zero
    return {"value": number, "unit": words.units.get(unit, unit), "system": UCUM, "code": unit}


def _coding(system: str, code: str) -> Element:
    """Write a code of a system."""
    return {"system": system, "code": code}
