"""Recall and precision lesion by lesion, and FROC, of the three fusions on the two heads.

    python -m tests.benchmarks.froc CROPS RUNS [--write]

Networks, crops, threshold and smallest object are those of ``tests.benchmarks.fusion``: each head
is judged by the network that learned from the other, on all four sequences. The FROC curve drops
marked objects by their score, those of both heads at one threshold. ``--write`` puts the tables
into the documentation.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from segment.detection import AnyOverlap, AtLeastIou, Matching, Rates, Scan, froc, rates
from segment.objects import lesions_in_mask, lesions_in_probability
from tests.benchmarks.documents import put_between
from tests.benchmarks.fusion import DOCUMENT, NETWORKS, ROLES, SMALLEST_MM3, THRESHOLD, trained
from tests.benchmarks.fusion_crops import HEADS, read_head

MATCHINGS: Mapping[str, Matching] = {
    "any overlap": AnyOverlap(),
    "IoU of 0.1": AtLeastIou(0.1),
    "IoU of 0.5": AtLeastIou(0.5),
}
FALSE_A_SCAN = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # of two scans, 0.5 is one object
BEGIN, END = "<!-- printed by tests.benchmarks.froc -->", "<!-- end of what froc printed -->"


def judged(network: str, data: Path, runs: Path) -> list[Scan]:
    """Segment each head by the network that it was left out of."""
    scans = []
    for fold, patient in enumerate(HEADS):
        found, one = trained(network, fold, data, runs), read_head(patient)
        true = lesions_in_mask(one.head.lesions, one.geometry, smallest_mm3=0)
        probability = found(dict(zip(ROLES, one.head.sequences, strict=True)))[0, 1]
        predicted = lesions_in_probability(
            np.clip(probability, 0, 1),
            one.geometry,
            threshold=THRESHOLD,
            smallest_mm3=SMALLEST_MM3,
        )
        scans.append(Scan(true, predicted))
    return scans


def told(scans: Mapping[str, Sequence[Scan]]) -> Iterator[str]:
    """Write both tables."""
    first = next(iter(scans.values()))
    lesions = [len(scan.true.found) for scan in first]
    counts = " and ".join(map(str, lesions))
    yield f"n = {len(first)} heads, {' and '.join(HEADS)}, with {counts} lesions. Of both together:"
    yield ""
    yield "| fusion | an object is right at | recall | precision | false objects a scan |"
    yield "|---|---|---|---|---|"
    for network, mine in scans.items():
        for name, matching in MATCHINGS.items():
            yield f"| {network} | {name} | {rates_line(rates(mine, matching))} |"
    yield ""
    yield f"FROC: recall at so many false objects a scan at most, of {sum(lesions)} lesions"
    yield ""
    yield f"| fusion | right at | {' | '.join(f'{rate:g}' for rate in FALSE_A_SCAN)} |"
    yield "|---" * (len(FALSE_A_SCAN) + 2) + "|"
    for network, mine in scans.items():
        for name, matching in MATCHINGS.items():
            curve = froc(mine, matching)
            cells = " | ".join(f"{curve.sensitivity_at(rate):.2f}" for rate in FALSE_A_SCAN)
            yield f"| {network} | {name} | {cells} |"


def rates_line(found: Rates) -> str:
    """Write recall, precision and false objects a scan, with what each is a share of."""
    precision = "–" if found.precision is None else f"{found.precision:.2f}"
    return (
        f"{found.recall:.2f} ({found.found} of {found.lesions}) |"
        f" {precision} ({found.right} of {found.predicted}) | {found.false_positives_per_scan:g}"
    )


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("runs", type=Path)
    arguments.add_argument("--write", action="store_true")
    chosen = arguments.parse_args()
    scans = {
        network.removeprefix("fusion_"): judged(network, chosen.data, chosen.runs)
        for network in NETWORKS
    }
    printed = "\n".join(told(scans))
    print(printed)
    if chosen.write:
        put_between(DOCUMENT, BEGIN, END, printed)


if __name__ == "__main__":
    main()
