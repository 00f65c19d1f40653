"""A model's folder, looked at before anything of it is loaded. Knows nothing of networks.

The layout is the hub's: config.json, safetensors in one file or in shards with an index, and
tokenizer.json. Only headers are read here, so that a refusal costs milliseconds.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from assistant.writers.vlm.errors import Fault, ModelError

AGAIN = "install voxcite, or copy the folder, again"
WHOLE = "Gemma3ForConditionalGeneration"
TEXT = "Gemma3ForCausalLM"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
HUB_FILES = ("*.json", "*.safetensors", "*.jinja")
LARGEST_HEADER = 100 * 2**20  # as safetensors itself allows
PROBED_BYTES = 4096  # of each weight go into the fingerprint


@dataclass(frozen=True)
class Stored:
    """Where one weight lies: in which shard, from which byte to which, and what it is."""

    shard: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for edge in self.shape:
            count *= edge
        return count


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds a whole model; ``name`` is the folder's, or the hub's."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Stored]

    @property
    def fingerprint(self) -> str:
        """Hash names, shapes and the beginning of each weight: another fine-tune has another."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            stored = self.weights[name]
            digest.update(f"{name} {stored.dtype} {stored.shape}".encode())
            with stored.shard.open("rb") as stream:
                stream.seek(stored.start)
                digest.update(stream.read(min(PROBED_BYTES, stored.stop - stored.start)))
        return digest.hexdigest()


def find(source: str | Path) -> tuple[str, Path]:
    """Find the folder of a model: a local one, or a name on the hub; return its name and folder.

    Raises ModelError for a folder that is not there and for a hub that cannot be asked.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder.resolve().name, folder
    if isinstance(source, str) and HUB_NAME.fullmatch(source):
        return source, _fetch(source)
    msg = (
        f"expected the folder of a model, found none called {folder.name!r};"
        " give the folder that holds config.json, or a name on the hub"
    )
    raise ModelError(Fault.MISSING, msg)


def inspect(folder: Path, name: str, architecture: str = WHOLE) -> Checkpoint:
    """Read a folder's configuration and the headers of its weights; raises ModelError."""
    config = _read_json(folder, "config.json", name)
    found = config.get("architectures") or [config.get("model_type", "no class")]
    if architecture not in found:
        msg = f"{name}: expected a model of class {architecture}, found {found[0]}; give another"
        raise ModelError(Fault.WRONG_CLASS, msg)
    if not (folder / "tokenizer.json").is_file():
        msg = f"{name}: expected tokenizer.json in the folder, found none; copy the whole folder"
        raise ModelError(Fault.WRONG_TOKENIZER, msg)
    weights: dict[str, Stored] = {}
    for shard in _shards(folder, name):
        weights |= read_header(shard)
    return Checkpoint(name, folder, MappingProxyType(config), MappingProxyType(weights))


def check_hashes(folder: Path, expected: Mapping[str, str]) -> None:
    """Refuse files whose sha256 is not the one listed for them; raises ModelError."""
    for file, digest in expected.items():
        path = folder / file
        if not path.is_file():
            msg = f"expected {path.name} beside the manifest, found none; {AGAIN}"
            raise ModelError(Fault.MISSING, msg)
        if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != digest:
            msg = f"{path.name}: expected sha256 {digest[:12]}, found {found[:12]}; {AGAIN}"
            raise ModelError(Fault.WRONG_HASH, msg)


def read_header(path: Path) -> dict[str, Stored]:
    """Read which weights a safetensors file holds; raises ModelError where it is cut or is none."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, LARGEST_HEADER):
                raise ValueError(length)
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        found = {name: _stored(path, 8 + length, entry) for name, entry in header.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, "no safetensors") from error
    end = max((stored.stop for stored in found.values()), default=8 + length)
    if end != size:
        raise _damaged(path, f"{size} bytes where its header says {end}")
    return found


def _stored(path: Path, offset: int, entry: Mapping[str, Any]) -> Stored:
    start, stop = entry["data_offsets"]
    shape = tuple(int(edge) for edge in entry["shape"])
    return Stored(path, str(entry["dtype"]), shape, offset + int(start), offset + int(stop))


def _shards(folder: Path, name: str) -> list[Path]:
    """List the files that hold the weights; refuse a folder that lacks one."""
    if not (folder / INDEX).is_file():
        files = [SINGLE]
    else:
        listed = _read_json(folder, INDEX, name).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise _damaged(folder / INDEX, "no list of weights")
        files = sorted({Path(str(file)).name for file in listed.values()})
    for number, file in enumerate(files, start=1):
        if not (folder / file).is_file():
            msg = (
                f"{name}: expected {len(files)} files of weights, found that {file}"
                f" (number {number}) is not there; copy the folder again"
            )
            raise ModelError(Fault.MISSING_SHARD, msg)
    return [folder / file for file in files]


def _read_json(folder: Path, file: str, name: str) -> dict[str, Any]:
    path = folder / file
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{name}: expected {file} in the folder, found none; give a model's own folder"
        raise ModelError(Fault.MISSING, msg) from error
    except ValueError as error:  # not UTF-8, not JSON
        raise _damaged(path, "no JSON") from error
    if not isinstance(content, dict):
        raise _damaged(path, "no JSON object")
    return content


def _damaged(path: Path, found: str) -> ModelError:
    msg = f"{path.name}: expected a whole file, found {found}; copy it again"
    return ModelError(Fault.DAMAGED, msg)


def _fetch(name: str) -> Path:
    """Fetch a model from the hub, or find what was fetched before."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except GatedRepoError as error:
        msg = f"{name}: expected leave to fetch it, found none; accept its terms on its page first"
        raise ModelError(Fault.HUB, msg) from error
    except RepositoryNotFoundError as error:
        msg = f"expected a model on the hub, found none called {name}; give its whole name"
        raise ModelError(Fault.HUB, msg) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        msg = (
            f"{name}: expected the hub or an earlier download, found this machine offline and"
            " none; go online once, or give a local folder"
        )
        raise ModelError(Fault.OFFLINE, msg) from error
