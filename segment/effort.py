"""The names of how hard a segmenter tries to say how sure it is. Knows no network."""

from typing import Literal

# From the least work to the most: one network with its temperature; one that looks several times;
# one without some of its channels, several times; all networks of the ensemble.
Effort = Literal["temperature", "augmentation", "dropout", "ensemble"]
EFFORT: Effort = "ensemble"  # the one that intervals are calibrated for
