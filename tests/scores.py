"""Scores as the shipped reader gives them, and lines about them as the stock sentences say them."""

import prompts
from assistant.ledger import Ledger
from assistant.quality import quality_statements
from assistant.render import render
from assistant.report import Line
from assistant.score import Score

FAULTS = ("motion", "noise", "low_resolution", "bias_field", "clipping")
HEAD = {"kind.mr_t1": 0.9, "kind.ct": 0.1, "part.head": 0.95, "part.trunk": 0.05}


def scores_of(probabilities, calibration="held-out"):
    """Number scores by their findings."""
    return tuple(
        Score(f"s{n}", finding, p, calibration, "siglip-1")
        for n, (finding, p) in enumerate(probabilities.items(), start=1)
    )


def faulty(calibration="held-out", **faults):
    """Return the scores of a T1 of the head with these probabilities of faults, 0.1 of the rest."""
    found = {f"quality.{fault}": faults.get(fault, 0.1) for fault in FAULTS}
    return scores_of(HEAD | found, calibration)


def quality_lines(scores, language="en"):
    """Render the stock sentences of scores."""
    words, ledger = prompts.load(language), Ledger((), scores)
    return tuple(
        Line(said.section, render(said, ledger, words), said.cites, "read from the image")
        for said in quality_statements(ledger, words)
    )
