"""The vision-language writer, which is read in the background. Loads no framework by itself."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assistant.draft import Draft, Statement
from assistant.loading import Loading
from assistant.settings import Device, Precision
from assistant.writers import Brief, Preparing, Turn
from assistant.writers.vlm.errors import INSTALL, Fault, ModelError

if TYPE_CHECKING:
    from assistant.writers.vlm.ready import Ready


@dataclass(frozen=True, eq=False)
class VisionLanguage:
    """Write with the embedded model or with another one, held to the ledger by its grammar.

    ``model`` is a folder or a name on the hub in MedGemma's layout, or a folder that training
    wrote; ``adapter`` is a folder. Nothing is read before ``start`` or the first statement; what
    is wrong with the model is a ModelError then.
    """

    model: str | None = None
    adapter: str | None = None
    precision: Precision = "bfloat16"
    device: Device = "auto"
    seed: int = 0
    loading: "Loading[Ready]" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loading", Loading(self._read))

    @classmethod
    def of(cls, ready: "Ready", seed: int = 0) -> "VisionLanguage":
        """Write with a model that is in memory already."""
        writer = cls(seed=seed)
        object.__setattr__(writer, "loading", Loading.of(ready))
        return writer

    def preparing(self) -> Iterator[Preparing]:
        """Convert the embedded model into the cache, if it is asked for and not there yet."""
        from assistant.writers.vlm.base import cached_base, convert_base
        from assistant.writers.vlm.sources import source_of

        source = source_of(self.model, self.adapter)
        source.check()
        if source.whole is None and cached_base() is None:
            for stage in convert_base():
                yield Preparing(stage.done, stage.stages)

    def start(self) -> None:
        """Begin to read the model in the background."""
        self.loading.start()

    def check(self) -> None:
        """Raise now what has gone wrong with reading so far."""
        self.loading.check()

    def write(self, brief: Brief) -> Generator[Statement, None, Draft]:
        """Write findings and impression, line by line; the rest of a report is fixed."""
        from assistant.writers.vlm.asking import Request
        from assistant.writers.vlm.tell import tell

        return (yield from tell(self.loading.result(), brief, Request(seed=self.seed)))

    def write_many(self, briefs: Iterable[Brief], at_once: int) -> Iterator[tuple[int, Draft]]:
        """Write the reports of several studies, so many at once, each as ``write`` does."""
        ready = self.loading.result()
        from assistant.writers.vlm.asking import Request
        from assistant.writers.vlm.tell import tell_together

        requests = ((brief, Request(seed=self.seed)) for brief in briefs)
        for place, told in tell_together(ready, requests, at_once):
            if isinstance(told, Draft):
                yield place, told

    def answer(
        self, brief: Brief, question: str, turns: tuple[Turn, ...] = ()
    ) -> Generator[Statement, None, Draft]:
        """Answer a question, line by line."""
        ready = self.loading.start().result()
        from assistant.writers.vlm.asking import Request
        from assistant.writers.vlm.reply import reply

        return (yield from reply(ready, brief, Request(question, turns, self.seed)))

    def _read(self) -> "Ready":
        try:
            from assistant.writers.vlm.ready import read
        except ModuleNotFoundError as error:
            msg = f"expected the packages of the vlm writer, found no {error.name}; {INSTALL}"
            raise ModelError(Fault.NOT_INSTALLED, msg) from error
        return read(self.model, self.adapter, self.precision, self.device)
