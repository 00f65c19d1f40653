"""What is answered about a topic, in stock sentences. Knows nothing of how a topic was found."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from assistant.criteria import told_together
from assistant.draft import Statement
from assistant.writers import Brief, assess
from assistant.writers.questions.asked import Asked
from assistant.writers.questions.criteria import CRITERIA
from assistant.writers.questions.topics import (
    ACQUISITION,
    ASIDE,
    DECLINED,
    LESION,
    LESION_PLACE,
    OF_TRUST,
    OTHER_STRUCTURES,
    PRIOR,
    RATE,
    REALITY,
    UNKNOWN,
)
from assistant.writers.template.stock import (
    ASYMMETRY,
    CAUTION,
    gaps,
    occurs,
    phrase_statement,
    stock_statement,
    together,
    whole_statements,
    withheld_statement,
)
from segment.change import RELATIVE, TREND, YEARLY
from segment.lesion_change import Fate
from segment.lesion_records import COUNTS as FATES
from segment.lesion_records import (
    ENLARGED,
    LOAD,
    LOAD_CHANGE,
    NEW,
    OF_CHANGE,
    excludes_no_change,
)
from segment.measurement import Measurement

TOLD = (RELATIVE, YEARLY, TREND)  # of the records of a comparison
OF_CLASSES = (NEW, ENLARGED, FATES[Fate.SHRUNK], FATES[Fate.RESOLVED])
LESIONS = ("lesion_error", "lesion_rate", "load_differs", LESION_PLACE)  # fixed answers
# Topics that are answered alike whatever was measured.
FIXED = (*DECLINED, *ASIDE, ACQUISITION, LESION_PLACE)
ENHANCEMENT = "enhancement"  # where an exam lists it as not assessed, nobody looked for it
FIRST = "a"  # of the wordings that a fixed answer has
# Where another line stands before: "that" would mean what this one tells of.
BESIDE = {OTHER_STRUCTURES: "b"}


def respond(asked: Asked, brief: Brief) -> Iterator[Statement]:
    """Answer about the records asked for, about all of them, or in a fixed sentence.

    Trust in a report that is to be taken with caution is answered with that sentence first.
    """
    if asked.topic in OF_TRUST and brief.is_cautious:
        yield phrase_statement(CAUTION, (), brief.phrasebook, "answer")
    yield from _of_topic(asked, brief)
    for topic in asked.besides:
        yield fixed(topic, brief, BESIDE.get(topic, FIRST))


def _of_topic(asked: Asked, brief: Brief) -> Iterator[Statement]:
    """Answer about the topic alone."""
    if asked.topic == CRITERIA:
        yield from _criteria(asked.rules, brief)
    elif brief.exam.compares == "lesions":
        yield from _about_lesions(asked, brief)
    elif asked.topic in OF_RECORDS:
        for record in asked.records:
            yield from OF_RECORDS[asked.topic](record, brief)
    elif asked.topic == PRIOR:
        yield from _compare_prior(brief, asked.records)
    elif asked.topic in OF_LEDGER:
        yield from OF_LEDGER[asked.topic](brief)
    else:
        yield fixed(asked.topic, brief)


def _criteria(rules: Sequence[str], brief: Brief) -> Iterator[Statement]:
    """Say what became of each criterion of the rules named, or that none was held against."""
    told = [j for j in brief.ledger.judgements if not rules or j.rule in rules]
    yield from told_together(told, brief.ledger, brief.phrasebook)
    if set(rules) - {judgement.rule for judgement in told} or not told:
        yield fixed("criteria", brief)


def _about_lesions(asked: Asked, brief: Brief) -> Iterator[Statement]:
    """Answer from the lesions; of enhancement only where the exam looks for it."""
    is_unseen = asked.is_of_enhancement and ENHANCEMENT in brief.exam.not_assessed
    if is_unseen and asked.topic not in FIXED:
        yield fixed(UNKNOWN, brief)
    else:
        yield from _told_of_lesions(asked, brief)


def _told_of_lesions(asked: Asked, brief: Brief) -> Iterator[Statement]:
    """Answer from the lesions: what became of them, what was not assessed, else them in short."""
    compared = [record for record in brief.ledger.records if record.comparator]
    is_of_change = asked.topic == PRIOR or asked.of_change == REALITY
    if compared and is_of_change and asked.of_change == RATE:
        yield fixed("lesion_rate", brief)
    elif compared and asked.of_change == REALITY:
        yield from _reality(asked.records, brief)
    elif is_of_change and not compared:
        yield fixed(PRIOR, brief)
    elif asked.topic in OF_TRUST:
        yield from _outlined(compared, brief)
    elif asked.topic == LESION or (asked.topic == PRIOR and asked.records):
        yield from _states(asked.records, brief)
    elif is_of_change or (asked.topic == "size" and compared):
        wanted = (*OF_CHANGE, *OF_CLASSES)
        yield from _states([r for r in compared if r.quantity in wanted or occurs(r)], brief)
    elif asked.topic in FIXED:
        yield fixed(asked.topic, brief)
    else:
        yield from OF_LEDGER[asked.topic if asked.topic == "not_assessed" else "summary"](brief)


def _outlined(compared: Sequence[Measurement], brief: Brief) -> Iterator[Statement]:
    """Say what the total hangs on: outlines that nobody checked, and an error nobody knows."""
    yield from _states([r for r in brief.ledger.records if r.quantity == LOAD], brief)
    yield phrase_statement("not_assessed.lesion_outlines", (), brief.phrasebook, "answer")
    if compared:
        yield fixed("lesion_error", brief)


def _reality(asked: Sequence[Measurement], brief: Brief) -> Iterator[Statement]:
    """Say that nothing tells a change of lesions from its error, and how their bounds lie.

    It is told of the lesions asked about alone, else of all together. That bounds include no change
    stands with the change itself.
    """
    yield fixed("lesion_error", brief)
    loads = [record for record in brief.ledger.records if record.quantity == LOAD_CHANGE]
    is_of_some = asked and not {record.id for record in asked} & {record.id for record in loads}
    own = [record for record in asked if record.comparator and is_of_some]
    yield from _states(own or loads, brief)
    for record in () if own else loads:
        if excludes_no_change(record):
            yield fixed("load_differs", brief)


def _states(records: Sequence[Measurement], brief: Brief) -> Iterator[Statement]:
    for record in records:
        yield from _state(record, brief)


def fixed(topic: str, brief: Brief, wording: str = FIRST) -> Statement:
    """Say a wording of a fixed answer."""
    return phrase_statement(f"answer.{topic}.{wording}", (), brief.phrasebook, "answer")


def _state(record: Measurement, brief: Brief) -> Iterator[Statement]:
    yield stock_statement(record, brief.exam, brief.phrasebook, "answer")


def _place(record: Measurement, brief: Brief) -> Iterator[Statement]:
    """Compare a record with its reference range, a part as well as a whole."""
    placed = assess(record)
    if placed is None:
        yield from _state(record, brief)
        if record.reason is None and record.reference is None:
            yield fixed("no_reference", brief)
        return
    kind = "reference" if record.quantity == ASYMMETRY else "volume"
    yield phrase_statement(f"{kind}.{placed}", (record.id,), brief.phrasebook, "answer")


def _size(record: Measurement, brief: Brief) -> Iterator[Statement]:
    """Place a record, and say how it changed where it was compared: "shrunk?" may ask either."""
    yield from _place(record, brief)
    for change in brief.ledger.records:
        is_its_own = (change.structure, change.side) == (record.structure, record.side)
        if change.quantity == RELATIVE and is_its_own and not record.is_of_comparison:
            yield from _state(change, brief)


def _trust(record: Measurement, brief: Brief) -> Iterator[Statement]:
    """Say that a record is reliable, or why it is not; a change, what it is beside its error."""
    if record.reason is not None or record.is_of_comparison:  # also one without an interval
        yield from _state(record, brief)
        return
    yield phrase_statement("reliable.one", (record.id,), brief.phrasebook, "answer")


def _compare_sides(brief: Brief) -> Iterator[Statement]:
    """State the asymmetry index; without one there is one side only, or nothing was compared."""
    if indices := _indices(brief):
        for record in indices:
            yield from _state(record, brief)
        return
    is_one_sided = len({record.side for record in brief.ledger.records}) == 1
    yield fixed("one_side" if is_one_sided else UNKNOWN, brief)


def _compare_prior(brief: Brief, asked: Sequence[Measurement] = ()) -> Iterator[Statement]:
    """State what is asked for, else the changes of whole structures and how fast they were."""
    compared = [record for record in brief.ledger.records if record.comparator is not None]
    wholes = [r for r in compared if r.structure in brief.exam.asymmetry and r.quantity in TOLD]
    for records in together(asked or wholes or compared):
        if records[0].reason is not None:
            yield withheld_statement(records, brief.phrasebook, "answer")
            continue
        for record in records:
            yield from _state(record, brief)
    if not compared:
        yield fixed("prior", brief)


def _explain_index(brief: Brief) -> Iterator[Statement]:
    yield fixed("asymmetry", brief)
    for record in _indices(brief):
        yield from _state(record, brief)


def _list_gaps(brief: Brief) -> Iterator[Statement]:
    """List what is withheld and what the exam does not cover."""
    groups = [g for g in together(brief.ledger.records) if g[0].is_withheld]
    for records in groups:
        yield withheld_statement(records, brief.phrasebook, "answer")
    if not groups:
        yield fixed("nothing_withheld", brief)
    for key in gaps(brief.ledger, brief.exam):
        yield phrase_statement(f"not_assessed.{key}", (), brief.phrasebook, "answer")


def _indices(brief: Brief) -> list[Measurement]:
    return [record for record in brief.ledger.records if record.quantity == ASYMMETRY]


OF_RECORDS: Mapping[str, Callable[[Measurement, Brief], Iterator[Statement]]] = {
    "volume": _state,
    "size": _size,
    "sure": _state,
    "reliable": _trust,
}
OF_LEDGER: Mapping[str, Callable[[Brief], Iterator[Statement]]] = {
    "sides": _compare_sides,
    "prior": _compare_prior,
    "asymmetry": _explain_index,
    "not_assessed": _list_gaps,
    "summary": lambda brief: whole_statements(brief, "answer"),
}
