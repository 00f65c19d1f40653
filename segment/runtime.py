"""The names of what can run an ensemble's networks. Knows neither them nor any network."""

from typing import Literal

Runtime = Literal["auto", "torch", "openvino", "openvino-bfloat16", "cuda"]
OF_OPENVINO: tuple[Runtime, ...] = ("openvino", "openvino-bfloat16")
