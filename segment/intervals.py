"""Which calibration cases judge a count: the choice by its names. Imports nothing heavy."""

from typing import Literal

Grouping = Literal["pooled", "size"]
POOLED: Grouping = "pooled"
SIZE: Grouping = "size"
