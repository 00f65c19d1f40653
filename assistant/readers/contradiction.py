"""Whether what was read from the picture contradicts what an exam needs. Knows no network."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from assistant.exams import Exam
from assistant.readers import Score

# What an exam needs may be improbable and still be there: only where at most one in twenty such
# pictures would be the right one is the study refused. A wrong refusal costs the whole study,
# while what passes wrongly still meets the registration, which withholds what is no head, and the
# temperatures rest on so few subjects that probabilities closer to 0 cannot be told apart.
LARGEST_CONTRADICTED = 0.05
# Which parts of the body can show an organ; an organ that is not here is not checked.
SHOWN_IN: Mapping[str, frozenset[str]] = {"hippocampus": frozenset({"head", "hippocampus"})}


def contradiction(scores: Sequence[Score], exam: Exam) -> str | None:
    """Say in a clause what the picture shows that the exam cannot use; None if nothing does.

    Scores that are not calibrated are no ground for a refusal and are left out.
    """
    usable = [score for score in scores if score.is_calibrated]
    wanted: dict[str, Callable[[str], bool]] = {"kind": lambda value: _is_kind(value, exam)}
    if exam.organ in SHOWN_IN:
        wanted["part"] = lambda value: value in SHOWN_IN[exam.organ]
    for fact, fits in wanted.items():
        values = _values(usable, fact)
        fitting = sum(p for value, p in values.items() if fits(value))
        if values and fitting <= LARGEST_CONTRADICTED:
            likeliest = max(values, key=lambda value: values[value])
            return (
                f"the picture looks like {likeliest.replace('_', ' ')}"
                f" (probability {values[likeliest]:.2f})"
            )
    return None


def _values(scores: Iterable[Score], fact: str) -> dict[str, float]:
    """Return the probability of every value of one fact."""
    prefix = f"{fact}."
    return {
        score.finding.removeprefix(prefix): score.probability
        for score in scores
        if score.finding.startswith(prefix)
    }


def _is_kind(kind: str, exam: Exam) -> bool:
    """Whether a kind is the exam's; contrast does not make a T1 another sequence."""
    modality, _, sequence = kind.partition("_")
    if modality != exam.modality.lower():
        return False
    return not sequence or sequence.partition("_")[0] == exam.sequence.lower()
