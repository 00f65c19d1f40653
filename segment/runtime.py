"""The names of what can run an ensemble's networks. Knows neither them nor any network."""

from typing import Literal

Runtime = Literal["auto", "torch", "openvino", "cuda"]
