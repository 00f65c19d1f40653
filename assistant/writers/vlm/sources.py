"""Which files a writer is made of: the embedded ones, or those of a user. Reads none of them.

A user's folder is a whole model in MedGemma's layout, what ``voxcite train writer`` wrote into
``shipped``, or an adapter alone, as peft writes it.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from assistant.writers.vlm.errors import Fault, ModelError

MANIFEST, ADAPTER, VOCABULARY = "manifest.json", "adapter", "vocabulary.json"
ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class Source:
    """Where the parts of a writer lie.

    ``whole`` is a folder or a name on the hub; where it is None, the embedded language model is put
    together with ``parts``. ``adapter`` is put on in the place of the one among the parts;
    ``vocabulary`` may be missing.
    """

    whole: str | None
    parts: Path | None
    adapter: Path | None
    vocabulary: Path | None

    @property
    def adapter_folder(self) -> Path | None:
        """The folder of the adapter that is put on; None for a whole model without one."""
        if self.adapter is not None or self.parts is None:
            return self.adapter
        return self.parts / ADAPTER

    def check(self) -> None:
        """Refuse parts that are not there, before anything slow is done; raises ModelError."""
        if self.parts is not None and not (self.parts / MANIFEST).is_file():
            msg = (
                f"expected the trained parts of the vision-language writer, found no {MANIFEST};"
                " train them (voxcite train writer), give --model, or use the template writer"
            )
            raise ModelError(Fault.MISSING, msg)


def source_of(model: str | None, adapter: str | None) -> Source:
    """Find what is meant: ``model`` and ``adapter`` may each be a folder that training wrote.

    Raises ModelError for an adapter's folder that is not there.
    """
    given = None if adapter is None else _adapter_folder(Path(adapter))
    own = None if model is None else Path(model)
    if model is not None and (own is None or not (own / MANIFEST).is_file()):
        return Source(model, None, given, None if adapter is None else _vocabulary(Path(adapter)))
    parts = own or embedded_parts()
    if model is None and adapter is not None and (Path(adapter) / MANIFEST).is_file():
        parts, given = Path(adapter), None
    beside = parts if adapter is None else Path(adapter)
    return Source(None, parts, given, _vocabulary(beside) or _vocabulary(parts))


def embedded_parts() -> Path:
    """Say where the trained parts of this package lie."""
    return Path(str(files("assistant.writers.vlm").joinpath("weights")))


def _adapter_folder(folder: Path) -> Path:
    """Find an adapter in its own folder or in the one that training wrote."""
    for found in (folder, folder / ADAPTER):
        if (found / ADAPTER_CONFIG).is_file():
            return found
    msg = (
        f"{folder.name}: expected the folder of an adapter, found no {ADAPTER_CONFIG} in it;"
        " give the one that peft or voxcite train writer wrote"
    )
    raise ModelError(Fault.MISSING, msg)


def _vocabulary(folder: Path) -> Path | None:
    """Find the words of a training in its folder, or above its adapter."""
    for found in (folder / VOCABULARY, folder.parent / VOCABULARY):
        if found.is_file():
            return found
    return None
