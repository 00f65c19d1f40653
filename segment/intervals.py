"""Which calibration cases judge a count: the choice by its names. Imports nothing heavy."""

from typing import Literal

Grouping = Literal["pooled", "size", "weighted"]
POOLED: Grouping = "pooled"
SIZE: Grouping = "size"
WEIGHTED: Grouping = "weighted"
