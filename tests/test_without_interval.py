"""A value without an interval is stated as that and nothing else, wherever it is shown."""

from dataclasses import replace

import pytest

import prompts
from assistant import exams
from assistant.draft import Statement
from assistant.exports.dicom_sr.measurement import measurement as sr_measurement
from assistant.exports.fhir.observation import observation
from assistant.ledger import Ledger
from assistant.override import EditError, Overridden, overridden
from assistant.page.evidence import plot
from assistant.provenance import of_calibration
from assistant.records import measurement_from_record, measurement_record
from assistant.render import SlotError, render
from assistant.report import Line
from assistant.rows import decimals_alone, measurement_row
from assistant.verify import verify_line
from assistant.writers.template import stock_statement
from segment import organs
from segment.calibration import Calibrated, Level
from segment.measurement import Calibration, Interval, Measurement, Reason, Reliability
from tests.ledgers import plain_ledger

languages = pytest.mark.parametrize("language", prompts.languages())


def alone(quantity="volume", unit="mL", value=3.216, **changes):
    """Return a record that has a value and no interval."""
    fields = {
        "id": "m1",
        "structure": "hippocampus",
        "code": "5366008",
        "side": "left",
        "quantity": quantity,
        "unit": unit,
        "value": value,
        "interval": None,
        "reliability": Reliability.WITHOUT_INTERVAL,
        "reason": Reason.NO_INTERVAL,
        "method": "voxel count",
    }
    return Measurement(**(fields | changes))


def problems(text, record, others=()):
    """Say what is wrong with a line that cites the record alone."""
    records = {r.id: r for r in (record, *others)}
    line = Line("findings", text, (record.id,), "measured")
    return verify_line(line, records, prompts.load("en"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"interval": Interval(3.0, 3.5, 0.9)}, "yet holds an interval"),
        ({"calibration": Calibration("c", 10)}, "yet holds an interval or what rests"),
        ({"reference": plain_ledger()["m1"].reference}, "yet holds an interval or what rests"),
        ({"reason": Reason.TRUNCATED}, "is without interval and has the reason truncated"),
        ({"reason": None}, "a reason stands exactly when"),
        ({"value": None}, "no finite value"),
        ({"reliability": Reliability.NOT_RELIABLE}, "is not reliable and has the reason"),
    ],
)
def test_a_record_without_an_interval_is_that_and_nothing_else(changes, match):
    with pytest.raises(ValueError, match=match):
        alone(**changes)


def test_a_reportable_record_still_needs_its_interval():
    with pytest.raises(ValueError, match="reportable without an interval"):
        alone(reliability=Reliability.REPORTABLE, reason=None)


def test_a_calibration_without_cases_is_not_named_as_what_intervals_come_from():
    scored = Calibrated("8-subjects", "", {}, {}, (), (Level(1.0, {"hippocampus": (0.1,)}, {}),))
    assert of_calibration(scored) == {"calibration": "8-subjects", "calibration_n": 1}
    empty = replace(scored, levels=(Level(1.0, {"hippocampus": ()}, {}),))
    assert of_calibration(empty) == {"calibration": "none", "calibration_n": 0}


def test_it_is_not_withheld_and_comes_back_from_its_record():
    record = alone()
    assert not record.is_withheld
    assert measurement_from_record(measurement_record(record)) == record


@languages
@pytest.mark.parametrize(
    "record", [alone(), alone("mean attenuation", "[hnsf'U]", -812.4), alone(value=1523.49)]
)
def test_its_stock_sentence_says_so_and_holds(language, record):
    words = prompts.load(language)
    statement = stock_statement(record, exams.load("hippocampus"), words)
    text = render(statement, Ledger((record,)), words)
    assert words.reasons["no-interval"] in text
    assert verify_line(Line("findings", text, ("m1",), "measured"), {"m1": record}, words) == ()


@pytest.mark.parametrize("field", ["bounds", "coverage", "interval", "reference"])
def test_no_slot_of_an_interval_is_filled(field):
    statement = Statement("findings", f"{{m1.name}} {{m1.{field}}}", ("m1",), "")
    with pytest.raises(SlotError, match="has no number to be written"):
        render(statement, Ledger((alone(),)), prompts.load("en"))


VOLUME = "The volume of the left hippocampus is"
TOLD = "prediction interval not available, uncertainty unknown"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f"{VOLUME} 3.22 mL.", "another or none"),
        (f"{VOLUME} approximately 3.22 mL ({TOLD}).", "is not the value"),
        (f"{VOLUME} 3.2160 mL ({TOLD}).", "is not the value"),
        (f"{VOLUME} 3.23 mL ({TOLD}).", "is not the value"),
        (f"{VOLUME} 3.22 % ({TOLD}).", "is not the value"),
        (f"{VOLUME} 3.22 mL (90 % prediction interval 3.00 to 3.50 mL), {TOLD}.", "is a number of"),
        (f"{VOLUME} is reported as reliable: 3.22 mL ({TOLD}).", "not what the record carries"),
        (f"{VOLUME} 3.22 mL ({TOLD}), within the reference range.", "not what the record carries"),
        (f"{VOLUME} withheld as not reliable: 3.22 mL ({TOLD}).", "does not say so"),
        (f"The left hippocampus is 3.22 mL ({TOLD}).", "stands with its quantity"),
    ],
)
def test_a_sentence_that_says_more_or_less_is_found(text, match):
    assert any(match in problem for problem in problems(text, alone()))


def test_the_plain_sentence_holds():
    assert problems(f"{VOLUME} 3.22 mL ({TOLD}).", alone()) == ()


def test_a_record_with_an_interval_must_not_be_said_to_have_none():
    record = plain_ledger()["m1"]
    found = problems(f"{VOLUME} {record.value:.2f} mL ({TOLD}).", record)
    assert any("no reason, and the sentence has one" in problem for problem in found)
    assert any("a value stands with its interval" in problem for problem in found)


@pytest.mark.parametrize(
    ("value", "unit", "digits"),
    [
        (1523.4, "mL", 0),
        (152.3, "mL", 0),
        (15.23, "mL", 1),
        (1.523, "mL", 2),
        (0.152, "mL", 2),
        (0.0, "mL", 0),
        (-812.4, "[hnsf'U]", 0),
    ],
)
def test_it_is_written_with_three_significant_digits(value, unit, digits):
    assert decimals_alone(value, unit) == digits


@languages
def test_its_row_shows_the_value_and_that_there_is_no_interval(language):
    words = prompts.load(language)
    cells = measurement_row(alone(), words)
    assert cells[4] == "3.22 mL"
    assert cells[5] == words.marks["no_interval"]
    assert words.reasons["no-interval"] in cells[6]


@languages
def test_its_observation_holds_the_absence_where_the_interval_would_stand(language):
    words = prompts.load(language)
    resource = observation(alone(), organs.load("hippocampus"), words)
    (component,) = resource["component"]
    assert str(resource["valueQuantity"]["value"]) == "3.22"
    assert component["code"]["coding"][0]["code"] == "prediction-interval"
    assert words.reasons["no-interval"] in component["dataAbsentReason"]["text"]
    assert "valueRange" not in component


def test_an_attenuation_is_coded_in_ucum_and_shown_in_hounsfield_units():
    record = alone("mean attenuation", "[hnsf'U]", -812.4)
    quantity = observation(record, organs.load("hippocampus"), prompts.load("en"))["valueQuantity"]
    assert (quantity["code"], quantity["unit"]) == ("[hnsf'U]", "HU")


@languages
def test_its_measurement_in_dicom_holds_the_absence_and_no_bounds(language):
    words = prompts.load(language)
    (item,) = sr_measurement(alone(), words)
    assert float(item.MeasuredValueSequence[0].NumericValue) == 3.22
    told = {str(i.get("TextValue", "")) for i in item.ContentSequence}
    assert words.reasons["no-interval"] in told
    assert not [i for i in item.ContentSequence if i.ValueType == "NUM"]


def test_the_page_plots_nothing_without_an_interval():
    assert plot(alone(), prompts.load("en")) == ""
    assert plot(replace(plain_ledger()["m1"]), prompts.load("en")) != ""


def test_a_person_may_state_an_attenuation_below_zero():
    record = alone("mean attenuation", "[hnsf'U]", -6.0)
    (changed,) = overridden(Overridden("m1", -8.0, -20.0, 4.0, "Dr A", "now"), (record,))
    assert (changed.value, changed.reliability) == (-8.0, Reliability.REPORTABLE)


def test_a_person_may_state_no_volume_below_zero():
    with pytest.raises(EditError, match="expected a value between its bounds"):
        overridden(Overridden("m1", 1.0, -1.0, 4.0, "Dr A", "now"), (alone(),))
