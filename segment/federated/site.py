"""One hospital of a federation: what stays here, and what it says of it.

Its scans and labels lie as ``voxcite train segmenter`` finds them. Knows nothing of Flower; the
networks are trained elsewhere.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import load_file, save

from segment.federated.updates import Weights
from segment.resume import replacing
from segment.table import read_as

NAME = re.compile(r"[A-Za-z0-9-]{1,40}")  # it stands in the server's journal
SENT, LEARNT, LOG = "sent.safetensors", "learnt.safetensors", "site.log"
FINAL, SEEN = "final.safetensors", "trained.json"


@dataclass(frozen=True)
class Site:
    """A hospital's own settings; ``command`` starts the voxcite that trains."""

    name: str
    plan: Path
    data: Path
    work: Path
    command: tuple[str, ...]

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            msg = f"name: expected 1 to 40 letters, digits and hyphens, found {self.name!r}"
            raise ValueError(f"{msg}; change it")

    @classmethod
    def read(cls, path: Path) -> "Site":
        """Read the settings; what is not absolute lies beside the file.

        Raises ValueError for a key that is missing or unknown, and for a name that is none.
        """
        beside = path.resolve().parent

        def placed(name: str, plan: str, data: str, work: str, command: tuple[str, ...]) -> Site:
            return cls(name, beside / plan, beside / data, beside / work, command)

        return read_as(placed, path)

    @property
    def final(self) -> Path:
        """Where the weights lie that the sites learnt together."""
        return self.work / FINAL

    def round_folder(self, number: int) -> Path:
        """Return where the files of a round lie."""
        return self.work / f"round-{number:04d}"

    def trained(self) -> frozenset[int]:
        """Return the cases that any round here was trained on."""
        if not self._seen.exists():
            return frozenset()
        return frozenset(json.loads(self._seen.read_text(encoding="utf-8")))

    def will_train(self, cases: Iterable[int]) -> None:
        """Keep that a round is trained on these cases, so that they judge nothing."""
        self.work.mkdir(parents=True, exist_ok=True)
        with replacing(self._seen) as temporary:
            temporary.write_text(json.dumps(sorted({*self.trained(), *cases})), encoding="utf-8")

    @property
    def _seen(self) -> Path:
        return self.work / SEEN

    def keep_final(self, sent: Weights) -> None:
        """Keep the weights that the sites learnt together, to be judged."""
        self.work.mkdir(parents=True, exist_ok=True)
        with replacing(self.final) as temporary:
            temporary.write_bytes(save(dict(sent)))

    def learnt(self, number: int, sent: Weights, learn: Callable[[], object]) -> Weights:
        """Return what the site learns from what was sent; what it has learnt, it learns no more.

        ``learn`` reads what was sent from the round's folder, and writes what it learnt there.
        """
        folder = self.round_folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        content = save(dict(sent))
        is_new = not (folder / SENT).exists() or (folder / SENT).read_bytes() != content
        if is_new or not (folder / LEARNT).exists():
            (folder / LEARNT).unlink(missing_ok=True)
            (folder / SENT).write_bytes(content)
            learn()
        return load_file(folder / LEARNT)
