"""Judges bound sentences against the records: every number, unit and word. Never corrects."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from assistant.verify import facts
from assistant.verify.bind import Bound, Sentence
from assistant.verify.lexer import Number
from segment.measurement import Measurement, Reliability

Records = Mapping[str, Measurement]
LEFT_OVER = ("residue", "joiner", "side")
MEASURED = ("value", "interval", "reference")  # what has the unit of the record
INCOMPARABLE = "not comparable"  # what is withheld of examinations that cannot be compared
NOTHING = "bound to nothing"
NO_NUMBER = ("number word", "limit")  # of a measurement; a limit such as >99 % is a score's
# What a person editing a line may write.
OWN_WORDS = (*LEFT_OVER, "hedge", "quantity", "prior", "because", "uncertainty", "reference")
# What the next token must be or state, for words that would otherwise claim what they like.
FOLLOWED_BY: Mapping[str, tuple[str, ...]] = {
    "because": ("reason",),
    "uncertainty": ("coverage",),
    "reference": ("reference",),
    "since": ("date",),
}


def check_sentence(
    sentence: Sentence, records: Records, *, is_edited: bool, predicted: Sequence[str]
) -> Iterator[str]:
    """Say what in a sentence about records differs from them.

    In a line edited by a person only numbers and claims are bound, the other words are theirs.
    ``predicted`` are the words for bounds that are a prediction.
    """
    for bound in sentence.bound:
        yield from _check_basis(bound, predicted)
        if not is_edited or bound.token.kind not in OWN_WORDS or bound.token.is_numeric:
            yield from _check_token(bound, sentence, records)
    for record in sentence.subjects:
        yield from _check_reliability(record, sentence, is_edited=is_edited)
        yield from _check_complete(record, sentence, records)
    if not sentence.subjects and not is_edited:
        yield "a sentence names no structure that its line cites"


def _check_basis(bound: Bound, predicted: Sequence[str]) -> Iterator[str]:
    """Say where bounds that rest on a person or an outline are called a prediction."""
    if not any(phrase in bound.token.text.lower() for phrase in predicted):
        return
    for record in (bound.record, *bound.also):
        basis = None if record is None else facts.basis(record)
        if record is not None and basis in ("entered", "derived", "outlined"):
            yield f"{bound.token.text!r}: the bounds of {record.id} are {basis} and no prediction"


def _check_token(bound: Bound, sentence: Sentence, records: Records) -> Iterator[str]:
    """Say what is wrong with one token."""
    token, record = bound.token, bound.record
    if token.kind in (*LEFT_OVER, *NO_NUMBER):
        why = "no number that a record holds, as it is written" if token.is_numeric else NOTHING
        yield f"{token.text!r} is {why}"
    elif token.kind == "name" and (record is None or record not in sentence.subjects):
        yield f"{token.text!r} is not what the line cites"
    elif token.kind in ("number", "range"):
        yield from _check_number(bound)
    elif token.kind == "hedge" and not _is_followed_by_value(bound, sentence):
        yield f"{token.text!r} hedges no value"
    elif token.kind in FOLLOWED_BY and not _is_followed(bound, sentence):
        yield f"{token.text!r} stands before nothing that it speaks of"
    elif token.kind == "reference" and not _is_apart(bound):
        yield f"{token.text!r} places the value by words that are not bound"
    elif token.kind == "quantity" and token.key not in {r.quantity for r in sentence.subjects}:
        yield f"{token.text!r} is not the quantity of what the line cites"
    else:
        yield from _check_claim(bound, records)


def _check_claim(bound: Bound, records: Records) -> Iterator[str]:
    """Say what the record does not carry of what a word claims of it."""
    token, record = bound.token, bound.record
    if token.kind in CLAIMS:
        for meant in (record, *bound.also):
            carried = None if meant is None else CLAIMS[token.kind](meant, records)
            if token.key != carried:
                yield _not_carried(token.text, meant, carried)
    elif token.kind == "prior" and (record is None or not record.is_of_comparison):
        yield f"{token.text!r}: the record is compared with no earlier study"
    elif token.kind == "date":
        yield from _check_date(bound)


def _not_carried(text: str, record: Measurement | None, carried: str | None) -> str:
    """Say what a record carries in the place of what a word says of it."""
    if record is None:
        return f"{text!r} is said of nothing that the line cites"
    if carried is None:
        return f"{text!r} is not what the record carries: {record.id} has nothing of the kind"
    return f"{text!r} is not what the record carries, which is {carried}"


def _check_date(bound: Bound) -> Iterator[str]:
    """Say where a date is not the record's, or after "since" not that of the earlier one."""
    record = bound.record
    is_since = bound.before is not None and bound.before.kind == "since"
    carried = None if record is None else (record.comparator if is_since else record.date)
    if bound.token.key != carried:
        yield _not_carried(bound.token.text, record, carried)


def _scope(record: Measurement, records: Records) -> str | None:
    return record.reference.scope if record.reference else None


CLAIMS: Mapping[str, Callable[[Measurement, Records], str | None]] = {
    "comparator": lambda record, records: facts.comparison(record),
    "difference": facts.difference,
    "zero": facts.zero,
    "order": facts.order,
    "change": lambda record, records: facts.change(record),
    "bounds": lambda record, records: facts.includes_no_change(record),
    "size": lambda record, records: facts.size(record),
    "precision": lambda record, records: facts.precision(record),
    "basis": lambda record, records: facts.basis(record),
    "reportable": lambda record, records: str(record.reliability),
    "denominator": lambda record, records: record.denominator,
    "scope": _scope,
}


def _is_followed(bound: Bound, sentence: Sentence) -> bool:
    """Tell whether what a word must stand before is the next token that is no punctuation."""
    index = next(i for i, b in enumerate(sentence.bound) if b is bound)
    rest = (b for b in sentence.bound[index + 1 :] if b.token.kind != "punctuation")
    following = next(rest, None)
    expected = FOLLOWED_BY[bound.token.kind]
    return following is not None and bool({following.token.kind, following.role} & {*expected})


def _is_apart(bound: Bound) -> bool:
    """Tell whether no word stands right before a token: "in the reference range" is a claim."""
    return bound.before is None or bound.before.kind == "punctuation"


def _is_followed_by_value(bound: Bound, sentence: Sentence) -> bool:
    """Tell whether a hedge stands right before a value."""
    return any(b.before is bound.token and b.role == "value" for b in sentence.bound)


def _check_number(bound: Bound) -> Iterator[str]:
    """Say how a number differs from the field of the record that it states."""
    record, text = bound.record, bound.token.text
    if record is None or bound.role == "unbound":
        yield f"{text!r} is bound to no record"
    elif not _has_number(bound, record):
        yield f"{text!r} is a number of {record.id}, which is {record.reliability}"
    elif not NUMBERS[bound.role](bound, record):
        yield f"{text!r} is not the {bound.role} of {record.id}{_as_it_must_stand(bound, record)}"


def _as_it_must_stand(bound: Bound, record: Measurement) -> str:
    """Say what a number that may be the record's lacks; nothing where the number is another."""
    token = bound.token
    if bound.role in MEASURED and token.unit != record.unit:
        return f" as it must stand, in {record.unit}"
    if bound.role != "value" or not facts.agrees(token.numbers[0], record.value or 0.0):
        return ""
    if not facts.is_precise(token.numbers[0], record.value or 0.0, record):
        return " as it must stand, with the decimals that its interval deserves"
    is_called = "called" if facts.is_approximate(record) else "not called"
    return f" as it must stand, {is_called} approximate"


def _has_number(bound: Bound, record: Measurement) -> bool:
    """Tell whether a record has a number for the role; one without an interval has its value."""
    if record.reliability is Reliability.WITHOUT_INTERVAL:
        return bound.role == "value"
    return record.reliability is Reliability.REPORTABLE


def _is_value(bound: Bound, record: Measurement) -> bool:
    """Compare value, unit, precision and hedge."""
    assert record.value is not None
    is_hedged = bound.before is not None and bound.before.kind == "hedge"
    return (
        is_hedged == facts.is_approximate(record)
        and bound.token.unit == record.unit
        and _agree(bound.token.numbers, (record.value,), record)
    )


def _is_interval(bound: Bound, record: Measurement) -> bool:
    """Compare both bounds in their order, the unit and the precision."""
    interval = record.interval
    if interval is None or bound.token.unit != record.unit:
        return False
    return _agree(bound.token.numbers, (interval.lower, interval.upper), record)


def _is_reference(bound: Bound, record: Measurement) -> bool:
    """Compare both limits in their order, the unit and the precision."""
    reference = record.reference
    if reference is None or bound.token.unit != record.unit:
        return False
    return _agree(bound.token.numbers, (reference.lower, reference.upper), record)


def _is_coverage(bound: Bound, record: Measurement) -> bool:
    """Compare the coverage of the interval."""
    share = record.interval.coverage if record.interval else None
    return _is_percentage(bound, share)


def _is_reference_coverage(bound: Bound, record: Measurement) -> bool:
    """Compare the coverage of the reference range."""
    share = record.reference.coverage if record.reference else None
    return _is_percentage(bound, share)


def _is_percentage(bound: Bound, share: float | None) -> bool:
    """Compare a percentage with a share of one."""
    if share is None or bound.token.unit != "%":
        return False
    return facts.is_share(bound.token.numbers[0], share)


def _is_count(bound: Bound, record: Measurement) -> bool:
    """Compare the number of cases of the reference range."""
    shown = bound.token.numbers[0]
    if record.reference is None or bound.token.unit is not None or shown.decimals:
        return False
    return shown.value == record.reference.n


def _agree(shown: tuple[Number, ...], actual: tuple[float, ...], record: Measurement) -> bool:
    """Compare numbers one by one, all with the decimals that the record deserves."""
    if len(shown) != len(actual):
        return False
    return all(
        facts.agrees(number, value) and facts.is_precise(number, value, record)
        for number, value in zip(shown, actual, strict=True)
    )


NUMBERS: Mapping[str, Callable[[Bound, Measurement], bool]] = {
    "value": _is_value,
    "interval": _is_interval,
    "coverage": _is_coverage,
    "reference": _is_reference,
    "reference coverage": _is_reference_coverage,
    "n": _is_count,
}


def _check_reliability(
    record: Measurement, sentence: Sentence, *, is_edited: bool
) -> Iterator[str]:
    """Say where a withheld record is not called that, for its reason, or another one is."""
    if is_edited and record.is_withheld:
        return
    expected = {str(record.reliability)} if record.is_withheld else set()
    told = set(sentence.keys("withheld"))
    is_told_apart = told == {INCOMPARABLE} and facts.is_incomparable(record)
    if told != expected and not is_told_apart:
        yield f"{record.id} is {record.reliability}, and the sentence does not say so"
    expected = set() if record.reason is None else {str(record.reason)}
    if set(sentence.keys("reason")) != expected:
        why = f"the reason {record.reason}, and the sentence has another or none"
        yield f"{record.id} has {why if record.reason else 'no reason, and the sentence has one'}"


def _check_complete(record: Measurement, sentence: Sentence, records: Records) -> Iterator[str]:
    """Say what is missing beside a number of a record."""
    roles = sentence.roles(record)
    if "value" in roles:
        yield from _check_value_complete(record, sentence, records)
    is_predicted = facts.basis(record) == "predicted"
    if ("interval" in roles and is_predicted) != ("coverage" in roles):
        yield f"{record.id}: an interval stands with its coverage, a person's bounds without one"
    stated = roles & {"reference", "reference coverage", "n"}
    kinds = ("comparator", "size", "change")
    compared = [key for kind in kinds for key in sentence.keys(kind, record)]
    if stated and (len(stated) < 3 or not compared or not sentence.keys("scope", record)):
        yield f"{record.id}: a reference range stands with its n, coverage, scope and comparison"


def _check_value_complete(
    record: Measurement, sentence: Sentence, records: Records
) -> Iterator[str]:
    """Say what is missing beside a value."""
    is_alone = record.reliability is Reliability.WITHOUT_INTERVAL
    if (
        not is_alone
        and not facts.is_bounded_by_itself(record)
        and "interval" not in sentence.roles(record)
    ):
        yield f"{record.id}: a value stands with its interval"
    if record.quantity not in sentence.keys("quantity"):
        yield f"{record.id}: a value stands with its quantity, {record.quantity}"
    if record.denominator and not sentence.keys("denominator", record):
        yield f"{record.id}: a ratio stands with its denominator, {record.denominator}"
    if facts.order(record, records) and not sentence.keys("order", record):
        yield f"{record.id}: a difference stands with its order, which side minus which"
    if not facts.has_since(record, sentence.keys("date", record), len(sentence.keys("prior"))):
        yield f"{record.id}: a change stands with the examination that it is counted from"
    if facts.change(record) and not sentence.keys("change", record):
        yield f"{record.id}: a change stands with what it is beside its measurement error"


def check_shown(sentence: Sentence) -> Iterator[str]:
    """Say where a change of lesions is stated without saying that its bounds include none.

    Of a criterion, a sentence says how the bounds lie to its limit instead.
    """
    for record in sentence.subjects:
        is_stated = "value" in sentence.roles(record) and facts.includes_no_change(record)
        if is_stated and not sentence.keys("bounds", record):
            yield f"{record.id}: bounds that include zero stand with that no change is shown"


def expected_origin(cited: Sequence[Measurement]) -> str:
    """Say where a line about records comes from."""
    is_absent = all(record.reliability is Reliability.NOT_ASSESSED for record in cited)
    return "not assessed" if is_absent else "measured"
