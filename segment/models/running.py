"""Chooses what runs an ensemble's networks, and says what did. Knows no scan."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from segment.models.devices import device_here, device_name, placed
from segment.runtime import OF_OPENVINO, Runtime

PACKAGE = "openvino"
INSTALL = "pip install 'voxcite[cpu]', or choose --runtime torch"


@runtime_checkable
class Network(Protocol):
    """A network, wherever it runs."""

    def __call__(self, windows: Tensor, /) -> Tensor:
        """Map ``batch 1 i j k`` to ``batch structure i j k`` logits, an encoder to features."""


class ConversionError(Exception):
    """Why a network cannot be had in another runtime, as the end of a sentence about it."""


def networks_in(
    runtime: Runtime,
    build: Callable[[], Sequence[nn.Module]],
    window: Sequence[int],
    origin: str,
) -> tuple[tuple[Network, ...], str]:
    """Return an ensemble's networks, and the name and version of what runs them.

    ``build`` makes them in torch, and is not called where they were converted before; ``origin``
    names their weights and architecture. ``torch`` is the processor, ``cuda`` torch on a GPU.
    ``auto`` is the GPU where torch sees one, else OpenVINO where it is installed, and torch where
    it is not or where it cannot take the networks, which the name then says.
    ``openvino-bfloat16`` is OpenVINO in half precision. Raises ValueError where OpenVINO or
    ``cuda`` was asked for and cannot be had.
    """
    if runtime == "cuda" or (runtime == "auto" and device_here().type == "cuda"):
        return _on_gpu(build)
    if runtime == "torch":
        return tuple(build()), torch_version()
    if find_spec(PACKAGE) is None:
        if runtime in OF_OPENVINO:
            msg = f"expected OpenVINO, found it not installed; {INSTALL}"
            raise ValueError(msg)
        return tuple(build()), torch_version()
    in_bfloat16 = runtime == "openvino-bfloat16"
    name = f"OpenVINO {version(PACKAGE)}{' in bfloat16' if in_bfloat16 else ''}"
    try:
        return _compiled(build, window, origin, in_bfloat16=in_bfloat16), name
    except ConversionError as error:
        if runtime in OF_OPENVINO:
            msg = f"expected networks that {name} can run, found that it {error}"
            raise ValueError(f"{msg}; choose --runtime torch") from error
        return tuple(build()), f"{torch_version()}, since {name} {error}"


def _on_gpu(build: Callable[[], Sequence[nn.Module]]) -> tuple[tuple[Network, ...], str]:
    if device_here().type != "cuda":
        msg = "expected a GPU that torch sees, found none; choose --runtime torch"
        raise ValueError(msg)
    networks = tuple(placed(network, device_here()) for network in build())
    return networks, f"{torch_version()} on {device_name()}"


def _compiled(
    build: Callable[[], Sequence[nn.Module]],
    window: Sequence[int],
    origin: str,
    *,
    in_bfloat16: bool,
) -> tuple[Network, ...]:
    try:
        from segment.models.compiled import compiled
    except ImportError as error:  # installed, and a library of the system is missing
        msg = "cannot be imported"
        raise ConversionError(msg) from error
    return compiled(build, window, origin, in_bfloat16=in_bfloat16)


def torch_version() -> str:
    """Name torch and its version, as reports do."""
    return f"torch {version('torch')}"
