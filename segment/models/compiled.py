"""Networks in OpenVINO: converted once into the user's cache, compiled at each start.

Knows nothing of scans, of training or of any one network. It imports OpenVINO without its
telemetry, which would tell of every import.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.cache import cache_folder
from segment.models.hiding import hidden
from segment.models.running import ConversionError

with hidden("openvino_telemetry"):
    import openvino

SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "ENABLE_CPU_PINNING": False,  # the processes of a batch would all choose the same cores
}
PRECISION = "INFERENCE_PRECISION_HINT"  # unless told, bfloat16 wherever a processor has it
SINGLE, HALF = "f32", "bf16"
TOLERANCE = 1e-3  # of a probability, or of the largest feature, against torch
FEATURE_AXES = 2  # of features: window, feature
MANIFEST = "whole.json"
MAKERS = ("openvino", "torch", "monai")  # whose versions a conversion depends on


@dataclass(frozen=True, eq=False)
class Compiled:
    """A network for windows of one size, of which it sees one at a time.

    More at once are no faster, and one alone comes out the same whatever others there are.
    """

    model: openvino.CompiledModel

    def __call__(self, windows: Float32[Tensor, "b 1 i j k"]) -> Float32[Tensor, "b ..."]:
        """Return each voxel's logits, or an encoder's features; several threads may ask."""
        request = self.model.create_infer_request()
        found = [torch.from_numpy(request.infer([w.numpy()])[0]) for w in windows.split(1)]
        return torch.cat(found)


def compiled(
    build: Callable[[], Sequence[nn.Module]],
    window: Sequence[int],
    origin: str,
    *,
    in_bfloat16: bool = False,
) -> tuple[Compiled, ...]:
    """Compile networks for a window, from the cache or from what ``build`` returns.

    Each conversion is compared with torch, in single precision, before it is kept. Where the cache
    cannot be written, they are converted anew each time. Raises ConversionError, also where the
    processor has no bfloat16 and that was asked for.
    """
    folder = cache_folder() / f"openvino-{_recipe(window, origin)}"
    core = openvino.Core()
    if in_bfloat16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        msg = "cannot compute in bfloat16 on this processor"
        raise ConversionError(msg)
    precision = HALF if in_bfloat16 else SINGLE
    if _is_whole(folder):
        names = sorted(path.name for path in folder.glob("*.xml"))
        return tuple(_compile(core, core.read_model(folder / name), precision) for name in names)
    networks = build()
    models = [_converted(network, window) for network in networks]
    made = tuple(_compile(core, model, SINGLE) for model in models)
    for network, one in zip(networks, made, strict=True):
        _expect_same(network, one, window)
    with suppress(OSError, RuntimeError):  # without a cache they are converted at each start
        _keep(models, folder)
    return tuple(_compile(core, model, HALF) for model in models) if in_bfloat16 else made


def _recipe(window: Sequence[int], origin: str) -> str:
    """Name all that a conversion follows from: weights, code, sizes and versions."""
    here = Path(__file__).parent
    sources = sorted(path for kind in ("*.py", "*.toml") for path in here.rglob(kind))
    digest = hashlib.sha256(json.dumps([origin, *window, *map(version, MAKERS)]).encode())
    for path in sources:
        digest.update(f"{path.relative_to(here).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def _converted(network: nn.Module, window: Sequence[int]) -> openvino.Model:
    """Convert a network for one window at a time."""
    try:
        model = openvino.convert_model(network, example_input=_example(window), share_weights=False)
        model.reshape([1, 1, *window])
    except Exception as error:  # whatever a converter raises: torch runs the network then
        msg = f"could not convert the network ({type(error).__name__})"
        raise ConversionError(msg) from error
    return model


def _compile(core: openvino.Core, model: openvino.Model, precision: str) -> Compiled:
    """Compile for this machine's processor, for as many threads as torch may use."""
    threads = torch.get_num_threads()
    settings = {**SETTINGS, PRECISION: precision, "INFERENCE_NUM_THREADS": threads}
    try:
        return Compiled(core.compile_model(model, "CPU", settings))
    except RuntimeError as error:
        msg = "could not compile the network"
        raise ConversionError(msg) from error


def _example(window: Sequence[int]) -> Float32[Tensor, "1 1 i j k"]:
    """Return a window of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 1, *window, generator=generator, dtype=torch.float32)


def _expect_same(network: nn.Module, made: Compiled, window: Sequence[int]) -> None:
    """Raise ConversionError where a conversion computes something else than torch."""
    example = _example(window)
    with torch.inference_mode():
        wanted, found = (_comparable(part(example)) for part in (network, made))
    if not (difference := float((wanted - found).abs().max())) <= TOLERANCE:
        msg = f"differed by {difference:.2g} in a probability or a feature"
        raise ConversionError(msg)


def _comparable(found: Tensor) -> Tensor:
    """Turn logits into probabilities, and features into shares of the largest."""
    return found.softmax(dim=1) if found.ndim > FEATURE_AXES else found / found.abs().max()


def _is_whole(folder: Path) -> bool:
    """Whether a conversion lies there, bit by bit as it was written."""
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(sums) and sums == _sums(folder)
    except (OSError, ValueError):
        return False


def _sums(folder: Path) -> dict[str, str]:
    """Hash a conversion's files."""
    paths = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _keep(models: Sequence[openvino.Model], folder: Path) -> None:
    """Write a conversion, whole or not at all; of two at once, one stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.part-", dir=folder.parent) as scratch:
        written = Path(scratch) / folder.name
        written.mkdir()
        for number, model in enumerate(models):
            path = written / f"member{number:02d}.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
        (written / MANIFEST).write_text(json.dumps(_sums(written)), encoding="utf-8")
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            written.rename(folder)
