"""Which program answers, and what only that one understands. Knows nothing of studies.

The programs name themselves in the list of their models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assistant.writers.server.connection import Connection, strange
from assistant.writers.server.gbnf import gbnf
from assistant.writers.server.spelling import Spelling
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.grammar import Grammar

Engine = Literal["vllm", "llamacpp", "other"]
KNOWN: Mapping[object, Engine] = {"vllm": "vllm", "llamacpp": "llamacpp"}
RENAMED_IN = (0, 12)  # vLLM's guided_grammar became structured_outputs


@dataclass(frozen=True)
class Served:
    """One model of a server: the engine behind it, and whether it looks at pictures.

    ``is_old`` is true of a vLLM from before structured outputs got their name.
    """

    model: str
    engine: Engine
    takes_pictures: bool = True
    is_old: bool = False

    @property
    def spelling(self) -> Spelling:
        """How it reads and writes slots."""
        return Spelling(in_letters=self.engine != "vllm")

    @property
    def notation(self) -> str:
        """Name the notation in which it takes a grammar; none where it takes no grammar."""
        return {"vllm": "lark", "llamacpp": "gbnf", "other": "none"}[self.engine]

    def fields(self, grammar: Grammar) -> dict[str, Any]:
        """Return what a request holds for this engine alone; to others unknown fields are wrong."""
        if self.engine == "llamacpp":
            return {"grammar": self.spelling.written(gbnf(grammar))}
        if self.engine == "other":
            return {}
        whole = {"skip_special_tokens": False}
        if self.is_old:
            return {"guided_grammar": grammar.text, **whole}
        return {"structured_outputs": {"grammar": grammar.text}, **whole}


def find(connection: Connection, model: str) -> Served:
    """Look a model up in a server's list; raises ModelError where it is not there."""
    entry = _entry(connection.get(f"{connection.root}/models"), model)
    engine = KNOWN.get(entry.get("owned_by"), "other")
    is_old = engine == "vllm" and _version(connection) < RENAMED_IN
    return Served(model, engine, _takes_pictures(entry), is_old)


def _entry(listed: object, model: str) -> Mapping[str, Any]:
    """Find the entry of a model in a list of models."""
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise strange()
    for entry in entries:
        if entry.get("id") == model:
            return dict(entry)
    msg = (
        f"the writer's server: expected a model called {model!r}, found {len(entries)} other;"
        " its list under /v1/models has their names"
    )
    raise ModelError(Fault.NO_SUCH_MODEL, msg)


def _takes_pictures(entry: Mapping[str, Any]) -> bool:
    """Read of a model's entry whether it looks at pictures; one that does not say may."""
    said = entry.get("architecture")
    kinds = said.get("input_modalities") if isinstance(said, dict) else None
    return not isinstance(kinds, list) or "image" in kinds


def _version(connection: Connection) -> tuple[int, ...]:
    """Ask a vLLM for its version; one that does not tell is a new one."""
    try:
        told = connection.get(f"{connection.root.removesuffix('/v1')}/version")
        first, second, *_ = str(told["version"]).split(".")
        return int(first), int(second)
    except (ModelError, TypeError, KeyError, ValueError):
        return RENAMED_IN
