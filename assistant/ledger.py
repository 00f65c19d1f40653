"""What may be said: records, scores and judgements of a study. Knows no words and no writers."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from assistant.judgement import Judgement, fault
from assistant.score import Score
from segment.measurement import Measurement

RELATIVE_TOLERANCE = 1e-9
MEDIAN = "median"  # the one function of an expression
OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Ledger:
    """The measurements of one study, what was read from its pictures, and which criteria are met.

    Derived measurements are checked against their expression, judgements against their records. A
    measurement is found by ``ledger[id]``, a score by ``ledger.score(id)`` and a judgement by
    ``ledger.judgement(id)``; no id is two of these.
    """

    records: tuple[Measurement, ...]
    scores: tuple[Score, ...] = ()
    judgements: tuple[Judgement, ...] = ()

    def __post_init__(self) -> None:
        ids = [*(record.id for record in self.records), *(score.id for score in self.scores)]
        ids += (judgement.id for judgement in self.judgements)
        if len(set(ids)) != len(ids):
            msg = f"the ledger holds an id twice: {ids}"
            raise ValueError(msg)
        for record in self.records:
            if record.expression is not None:
                self._check_expression(record)
        for judgement in self.judgements:
            if wrong := fault(judgement, self.records):
                raise ValueError(wrong)

    def _check_expression(self, record: Measurement) -> None:
        assert record.expression is not None
        if unknown := names_in(record.expression) - {r.id for r in self.records}:
            msg = f"{record.id} is an expression over unknown records {sorted(unknown)}"
            raise ValueError(msg)
        if record.value is None:
            return
        values = {r.id: r.value for r in self.records if r.value is not None}
        derived = evaluate(record.expression, values)
        if not math.isclose(derived, record.value, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-9):
            msg = f"{record.id} holds {record.value}, but {record.expression} is {derived}"
            raise ValueError(msg)

    def __getitem__(self, record_id: str) -> Measurement:
        """Return one measurement by its id; raises KeyError for an unknown one."""
        for record in self.records:
            if record.id == record_id:
                return record
        raise KeyError(record_id)

    def __contains__(self, record_id: object) -> bool:
        return any(record.id == record_id for record in self.records)

    def score(self, score_id: str) -> Score:
        """Return one score by its id; raises KeyError for an unknown one."""
        for score in self.scores:
            if score.id == score_id:
                return score
        raise KeyError(score_id)

    def holds_score(self, score_id: str) -> bool:
        """Tell whether an id is that of a score."""
        return any(score.id == score_id for score in self.scores)

    def judgement(self, judgement_id: str) -> Judgement:
        """Return one judgement by its id; raises KeyError for an unknown one."""
        for judgement in self.judgements:
            if judgement.id == judgement_id:
                return judgement
        raise KeyError(judgement_id)

    def holds_judgement(self, judgement_id: str) -> bool:
        """Tell whether an id is that of a judgement."""
        return any(judgement.id == judgement_id for judgement in self.judgements)


def names_in(expression: str) -> set[str]:
    """List the record ids an expression uses."""
    names = {n.id for n in ast.walk(ast.parse(expression, mode="eval")) if isinstance(n, ast.Name)}
    return names - {MEDIAN}


def evaluate(expression: str, values: Mapping[str, float]) -> float:
    """Evaluate ``200 * (m1 - m4) / (m1 + m4)``: numbers, ids, + - * /, a median."""

    def visit(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
                return OPERATIONS[type(op)](visit(left), visit(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -visit(operand)
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if (
                name == MEDIAN
            ):
                return median(map(visit, args))
        msg = f"{expression!r} holds more than numbers, known records, + - * / and a median"
        raise ValueError(msg)

    return visit(ast.parse(expression, mode="eval").body)
