"""Numbers of a structured report: as the report shows them, each with its unit.

Knows nothing of records or of groups.
"""

from decimal import Decimal

from highdicom.sr import CodedConcept, NumContentItem, RelationshipTypeValues
from pydicom.dataset import Dataset
from pydicom.valuerep import DSdecimal

from assistant.exports.dicom.codes import unit


def rounded(value: float, digits: int) -> Decimal:
    """Return a number with the decimals that the report shows; no minus before a zero."""
    return Decimal(f"{value:.{digits}f}") + 0


def put_number(item: Dataset, number: Decimal) -> None:
    """Write a number digit by digit: a binary fraction would give it decimals it does not have."""
    (measured,) = item.MeasuredValueSequence
    measured.NumericValue = DSdecimal(f"{number:f}")
    if "FloatingPointValue" in measured:
        del measured.FloatingPointValue


def property_of(name: CodedConcept, number: Decimal, ucum: str) -> NumContentItem:
    """Return a number that says something of another one: PS3.16 TID 310."""
    item = NumContentItem(
        name=name,
        value=float(number),
        unit=unit(ucum),
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )
    put_number(item, number)
    return item


def withhold_numbers(item: Dataset) -> None:
    """Take the number out of every item whose qualifier says that there is none.

    PS3.3 C.18.1 has it so; highdicom builds no such item, so it is done to the finished instance.
    """
    if "NumericValueQualifierCodeSequence" in item:
        item.MeasuredValueSequence = []
    for child in item.get("ContentSequence", ()):
        withhold_numbers(child)
