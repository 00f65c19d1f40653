"""How well held-out subjects' pictures are read, with intervals by subject. Knows no network."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from assistant.readers.siglip.artefacts import can_have
from assistant.readers.siglip.facts import ARTEFACTS, FACTS, NONE, UNKNOWN, place_of
from assistant.readers.siglip.heads import OUTPUTS, QUALITY, fit_temperature, probabilities

BINS = 10
DRAWS = 500
LEAST_SUBJECTS = 2  # of a value, for anything to be claimed of it
DESCRIPTION = ("fold", "subject", "kind", "part", "plane", "artefact", "strength")


@dataclass(frozen=True)
class Row:
    """One picture of a held-out subject: what is true of it and what the heads made of it.

    ``zero_shot`` holds, by fact, the value whose captions lay nearest.
    """

    fold: int
    subject: str
    kind: str
    part: str
    plane: str
    artefact: str
    strength: float
    logits: Mapping[str, tuple[float, ...]]
    zero_shot: Mapping[str, str]


@dataclass(frozen=True)
class Figure:
    """One figure with its 95 % bootstrap interval by subject, and what it rests on."""

    name: str
    value: float
    lower: float
    upper: float
    subjects: int
    pictures: int
    note: str = ""

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.name}: {self.value:.3f} ({self.lower:.3f} to {self.upper:.3f},"
            f" {self.subjects} subjects, {self.pictures} pictures{note})"
        )


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Every held-out picture, with the temperatures that other folds' pictures give."""

    rows: tuple[Row, ...]

    def logits(self, name: str) -> Float32[np.ndarray, "n value"]:
        """Return one head's logits."""
        return np.array([row.logits[name] for row in self.rows], dtype=np.float32)

    def place(self, fact: str) -> Int64[np.ndarray, " n"]:
        """Say which value of a fact is true of each picture; UNKNOWN for none."""
        places = [place_of(fact, getattr(row, fact), row.part) for row in self.rows]
        return np.array(places, dtype=np.int64)

    def has(self, artefact: str) -> Int64[np.ndarray, " n"]:
        """Say which pictures have a fault."""
        return np.array([row.artefact == artefact for row in self.rows], dtype=np.int64)

    @cached_property
    def folds(self) -> Int64[np.ndarray, " n"]:
        """Say in which fold each picture was held out."""
        return np.array([row.fold for row in self.rows], dtype=np.int64)

    @cached_property
    def is_plain(self) -> Bool[np.ndarray, " n"]:
        """Say which pictures have no fault."""
        return np.array([row.artefact == NONE for row in self.rows])

    @cached_property
    def subjects(self) -> Int64[np.ndarray, " n"]:
        """Number the subjects."""
        codes = {
            name: code for code, name in enumerate(dict.fromkeys(r.subject for r in self.rows))
        }
        return np.array([codes[row.subject] for row in self.rows], dtype=np.int64)

    def judged(self, fact: str) -> Bool[np.ndarray, " n"]:
        """Say which pictures a fact is judged on: those without a fault that show it."""
        return np.asarray(self.is_plain & (self.place(fact) != UNKNOWN))

    def comparable(self, artefact: str) -> Bool[np.ndarray, " n"]:
        """Say which pictures a fault is judged on: those with it and those without any."""
        possible = np.array([can_have(row.kind, artefact) for row in self.rows])
        return np.asarray(possible & (self.is_plain | (self.has(artefact) == 1)))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write pictures and logits as a table."""
    columns = [f"{name}.{value}" for name, values in OUTPUTS.items() for value in values]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*DESCRIPTION, *columns, *(f"zero_shot.{fact}" for fact in FACTS)])
        for row in rows:
            known = [getattr(row, name) for name in DESCRIPTION[:-1]]
            logits = [f"{x:.3f}" for name in OUTPUTS for x in row.logits[name]]
            near = [row.zero_shot[fact] for fact in FACTS]
            writer.writerow([*known, f"{row.strength:.3f}", *logits, *near])


def read_rows(path: Path) -> tuple[Row, ...]:
    """Read what ``write_rows`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(_row(entry) for entry in csv.DictReader(file))


def _row(entry: Mapping[str, str]) -> Row:
    return Row(
        fold=int(entry["fold"]),
        subject=entry["subject"],
        kind=entry["kind"],
        part=entry["part"],
        plane=entry["plane"],
        artefact=entry["artefact"],
        strength=float(entry["strength"]),
        logits={
            name: tuple(float(entry[f"{name}.{value}"]) for value in values)
            for name, values in OUTPUTS.items()
        },
        zero_shot={fact: entry[f"zero_shot.{fact}"] for fact in FACTS},
    )


def temperatures(held_out: HeldOut, without_fold: int | None = None) -> dict[str, list[float]]:
    """Fit every temperature, a fact's or a fault's; one fold can be left out."""
    kept = np.ones(len(held_out.rows), dtype=bool)
    if without_fold is not None:
        kept = held_out.folds != without_fold
    found = {}
    for fact in FACTS:
        use = kept & held_out.judged(fact)
        found[fact] = [fit_temperature(held_out.logits(fact)[use], held_out.place(fact)[use])]
    found[QUALITY] = []
    for n, artefact in enumerate(ARTEFACTS):
        use = kept & held_out.comparable(artefact)
        logits = held_out.logits(QUALITY)[use][:, n : n + 1]
        found[QUALITY].append(fit_temperature(logits, held_out.has(artefact)[use]))
    return found


def calibrated(held_out: HeldOut) -> dict[str, Float32[np.ndarray, "n value"]]:
    """Give each fold's pictures the probabilities of the temperatures that the others fit."""
    found = {name: np.zeros_like(held_out.logits(name)) for name in OUTPUTS}
    for fold in sorted(set(held_out.folds.tolist())):
        mine = held_out.folds == fold
        fitted = temperatures(held_out, fold if not mine.all() else None)
        for name in OUTPUTS:
            scale = np.array(fitted[name], dtype=np.float32)
            found[name][mine] = probabilities(name, held_out.logits(name)[mine], scale)
    return found


def figures(rows: Sequence[Row], seed: int = 0) -> tuple[Figure, ...]:
    """Judge every fact and every fault."""
    held_out, rng = HeldOut(tuple(rows)), np.random.default_rng(seed)
    probability = calibrated(held_out)
    return (
        *(f for fact in FACTS for f in _fact_figures(held_out, fact, probability[fact], rng)),
        *(
            figure
            for n, artefact in enumerate(ARTEFACTS)
            for figure in _artefact_figures(held_out, artefact, probability[QUALITY][:, n], rng)
        ),
    )


def _fact_figures(
    held_out: HeldOut,
    fact: str,
    probability: Float32[np.ndarray, "n value"],
    rng: np.random.Generator,
) -> Iterator[Figure]:
    use = held_out.judged(fact)
    truth, subjects = held_out.place(fact)[use], held_out.subjects[use]
    read, sure = probability[use].argmax(axis=1), probability[use].max(axis=1)
    nearest = np.array([FACTS[fact].index(row.zero_shot[fact]) for row in held_out.rows])[use]
    note = _missing(fact, truth, subjects)
    for name, values in (("", read), (" zero-shot", nearest)):
        yield _bootstrapped(
            f"{fact}{name} balanced accuracy",
            partial(balanced_accuracy, truth, values),
            subjects,
            rng,
            note,
        )
    yield _bootstrapped(f"{fact} ECE", partial(ece, sure, read == truth), subjects, rng)


def _artefact_figures(
    held_out: HeldOut,
    artefact: str,
    probability: Float32[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Iterator[Figure]:
    use = held_out.comparable(artefact)
    truth, subjects = held_out.has(artefact)[use] == 1, held_out.subjects[use]
    mine = probability[use]
    yield _bootstrapped(f"{artefact} AUROC", partial(auroc, mine, truth), subjects, rng)
    yield _bootstrapped(f"{artefact} ECE", partial(ece, mine, truth), subjects, rng)


def _missing(fact: str, truth: Int64[np.ndarray, " n"], subjects: Int64[np.ndarray, " n"]) -> str:
    """Name the values of which too few subjects were held out to claim anything."""
    counts = {v: len(set(subjects[truth == n].tolist())) for n, v in enumerate(FACTS[fact])}
    thin = [f"{value} n = {n}" for value, n in counts.items() if n < LEAST_SUBJECTS]
    return f"no claim of {', '.join(thin)}" if thin else ""


def _bootstrapped(
    name: str,
    measure: Callable[[Float64[np.ndarray, " n"]], float],
    subjects: Int64[np.ndarray, " n"],
    rng: np.random.Generator,
    note: str = "",
) -> Figure:
    """Measure with every picture once, and with whole subjects drawn with replacement."""
    codes, places = np.unique(subjects, return_inverse=True)
    drawn = []
    for _ in range(DRAWS):
        counts = np.bincount(rng.integers(len(codes), size=len(codes)), minlength=len(codes))
        drawn.append(measure(counts[places].astype(np.float64)))
    lower, upper = np.nanquantile(drawn, [0.025, 0.975])
    value = measure(np.ones(len(subjects)))
    return Figure(name, value, float(lower), float(upper), len(codes), len(subjects), note)


def balanced_accuracy(
    truth: Int64[np.ndarray, " n"],
    read: Int64[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"],
) -> float:
    """Average, over the values that occur, the weighted share that was read right."""
    shares = []
    for value in np.unique(truth[weight > 0]):
        mine = weight * (truth == value)
        shares.append(float(mine[read == value].sum() / mine.sum()))
    return float(np.mean(shares)) if shares else float("nan")


def auroc(
    score: Float[np.ndarray, " n"],
    truth: Bool[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"],
) -> float:
    """Return the weighted chance that what has it scores higher than what has not; ties half."""
    values, places = np.unique(score, return_inverse=True)
    positive = np.bincount(places, weight * truth, minlength=len(values))
    negative = np.bincount(places, weight * ~truth, minlength=len(values))
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def ece(
    probability: Float[np.ndarray, " n"],
    is_so: Bool[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"],
) -> float:
    """Return the expected calibration error over ten bins of equal width (Guo et al. 2017)."""
    places = np.minimum((probability * BINS).astype(int), BINS - 1)
    said = np.bincount(places, weight * probability, minlength=BINS)
    true = np.bincount(places, weight * is_so, minlength=BINS)
    return float(np.abs(said - true).sum() / max(weight.sum(), 1.0))
