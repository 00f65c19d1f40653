"""The comparison of a runtime with torch finds what differs."""

import numpy as np

from tests.benchmarks.beside_torch import told


def test_what_differs_is_counted():
    ours = np.zeros((1, 3, 2, 2, 2), np.float32)
    ours[0, 0] = 1
    ours[0, :, 0, 0, 0] = (0.1, 0.8, 0.1)
    ours[0, :, 1, 1, :] = np.array([0.1, 0.1, 0.8])[:, None]
    theirs = ours.copy()
    assert told([ours], [theirs]).startswith("probabilities differ by 0.0e+00 at most, 0 of 8")
    theirs[0, :, 1, 1, 1] = (0.8, 0.1, 0.1)
    assert told([ours], [theirs]) == (
        "probabilities differ by 7.0e-01 at most, 1 of 8 labels differ, volumes by 50.000 %"
        " at most, the ensemble's of the whole by 33.333 %"
    )
