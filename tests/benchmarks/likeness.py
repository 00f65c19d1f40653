"""How like two sentences are, by their runs of characters. Knows nothing of what they say.

chrF: M. Popovic, chrF: character n-gram F-score for automatic MT evaluation, WMT 2015; runs of one
to six characters, spaces left out, recall twice as heavy as precision.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from statistics import mean

LONGEST, BETA = 6, 2.0


def distance(said: Sequence[str], known: Sequence[str]) -> float:
    """Return one minus the mean likeness of each sentence to the most like one that is known."""
    nearest = {sentence: max(chrf(sentence, other) for other in known) for sentence in {*said}}
    return 1 - mean(nearest[sentence] for sentence in said)


def chrf(said: str, reference: str) -> float:
    """Return the F-score of a sentence's runs of characters against a reference's, 0 to 1."""
    precisions, recalls = [], []
    for ours, theirs in zip(_runs(said), _runs(reference), strict=True):
        if not ours or not theirs:
            continue
        both = (ours & theirs).total()
        precisions.append(both / ours.total())
        recalls.append(both / theirs.total())
    if not precisions:
        return 0.0
    precision, recall = mean(precisions), mean(recalls)
    weighed = BETA**2 * precision + recall
    return (1 + BETA**2) * precision * recall / weighed if weighed else 0.0


@cache
def _runs(text: str) -> tuple[Counter[str], ...]:
    plain = "".join(text.split())
    return tuple(
        Counter(plain[start : start + n] for start in range(len(plain) - n + 1))
        for n in range(1, LONGEST + 1)
    )
