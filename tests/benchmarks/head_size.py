"""How much larger one of two heads is found to be: of one person, and of copies made larger.

    python -m tests.benchmarks.head_size

Two scans of one adult differ in no size but by the scanner; a copy whose voxels are said to be a
little larger differs by a known volume. ``LARGEST_GROWTH`` of ``segment/register/pair.py`` lies
between both. Each pair that would be refused for it is marked.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from assistant.study import read_sample, read_study
from segment.measurement import Reason
from segment.register import register
from segment.register.pair import align, doubt
from segment.retest import HEAD, MOVE_MM, repeated
from segment.volume import Volume
from tests.shared_data import shared_data

TIMES = (0.98, 0.99, 1.01, 1.02)  # of the edge of a voxel


def scaled(volume: Volume, times: float) -> Volume:
    """Say that voxels are so many times as long."""
    affine = np.array(volume.geometry.affine)
    affine[:3, :3] *= times
    return replace(volume, geometry=replace(volume.geometry, affine=affine))


def pairs() -> Iterator[tuple[str, float, Volume, Volume]]:
    """Yield pairs with the true ratio of their volumes."""
    folder = shared_data("dicom", "mr_t1_one_person_two_positions")
    supine, aside = (read_study(folder / name).volume for name in ("supine", "left_side"))
    yield "one person within the hour, 4.8 mm", 1.0, supine, aside
    for patient in ("patient01", "patient03"):
        folder = shared_data("ms_longitudinal", patient)
        dates = [read_study(folder / f"flair_t{n}.nii.gz").volume for n in (1, 2)]
        yield f"FLAIR of two dates, {patient}", 1.0, *dates
    template = read_sample().volume
    whole = read_study(shared_data("dicom", "mr_t1_whole_head_120slices")).volume
    for name, volume in (("template", template), ("T1 head", whole)):
        for seed in range(3):
            moved = repeated(volume, np.random.default_rng(seed), MOVE_MM[HEAD])
            yield f"{name}, moved copy {seed + 1}", 1.0, volume, moved
        for times in TIMES:
            yield f"{name}, moved copy of larger voxels", times**3, volume, scaled(moved, times)


def main() -> None:
    """Print the table."""
    print(
        "| pair | true growth | found | similarity | refused for its size |\n|---|---|---|---|---|"
    )
    for name, true, one, other in pairs():
        found = align((one, other), (register(one), register(other)))
        is_refused = "yes" if doubt(found) is Reason.OTHER_SIZE else "no"
        told = f"{true - 1:+.1%} | {found.growth - 1:+.1%} | {found.similarity:.3f}"
        print(f"| {name} | {told} | {is_refused} |", flush=True)


if __name__ == "__main__":
    main()
