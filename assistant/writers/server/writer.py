"""The writer behind a server's address; the server is looked up in the background.

Importing this module loads no framework and opens no connection.
"""

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assistant.draft import Draft, Statement
from assistant.loading import Loading
from assistant.writers import Brief, Preparing, Turn
from assistant.writers.server.address import root_of

if TYPE_CHECKING:
    from assistant.writers.server.connection import Patience
    from assistant.writers.server.tell import Server

KEY = "VOXCITE_SERVER_KEY"


@dataclass(frozen=True, eq=False)
class ServerWriter:
    """Write with a model of an OpenAI-compatible server, held to the ledger by the verifier.

    Where the engine takes a grammar, its text is held by that as well. The key, if the server wants
    one, comes from VOXCITE_SERVER_KEY and stands nowhere else. Raises ValueError for an address
    that is none, and without an address or a model's name when it prepares; what is wrong with the
    server is a ModelError when it is first asked.
    """

    server: str | None = None
    model: str | None = None
    seed: int = 0
    patience: "Patience | None" = None
    most_tokens: int | None = None
    loading: "Loading[Server]" = field(init=False)

    def __post_init__(self) -> None:
        if self.server is not None:
            object.__setattr__(self, "server", root_of(self.server))
        object.__setattr__(self, "loading", Loading(self._find))

    def preparing(self) -> Iterator[Preparing]:
        """Look whether it is said which model of which server writes; there is no more to do."""
        self._chosen()
        return iter(())

    def start(self) -> None:
        """Begin to look the model up in the background."""
        self.loading.start()

    def check(self) -> None:
        """Raise now what has gone wrong with looking it up so far."""
        self.loading.check()

    def write(self, brief: Brief) -> Generator[Statement, None, Draft]:
        """Write findings and impression; the rest of a report is fixed."""
        server = self.loading.start().result()
        from assistant.writers.server.tell import tell
        from assistant.writers.vlm.asking import Request

        return (yield from tell(server, brief, Request(seed=self.seed)))

    def answer(
        self, brief: Brief, question: str, turns: tuple[Turn, ...] = ()
    ) -> Generator[Statement, None, Draft]:
        """Answer a question: what is told is planned, how it is told the server's model writes."""
        server = self.loading.start().result()
        from assistant.writers.server.tell import NAME, tell
        from assistant.writers.vlm.asking import Request
        from assistant.writers.vlm.reply import planned

        def telling(request: Request) -> Generator[Statement, None, Draft]:
            return tell(server, brief, request)

        nothing = Draft((), NAME, self.seed, server.facts)
        return (yield from planned(telling, nothing, brief, Request(question, turns, self.seed)))

    def _find(self) -> "Server":
        from assistant.writers.server.connection import Connection, Patience
        from assistant.writers.server.engine import find
        from assistant.writers.server.tell import MOST_TOKENS, Server

        root, model = self._chosen()
        key = os.environ.get(KEY) or None
        connection = Connection(root, key, self.patience or Patience())
        served = find(connection, model)
        return Server(connection, served, self.most_tokens or MOST_TOKENS)

    def _chosen(self) -> tuple[str, str]:
        """Return the server's root and the model's name; raises ValueError without one of them."""
        if self.server is None or self.model is None:
            missing = "--server" if self.server is None else "--model"
            msg = f"the server writer: expected {missing}, found none; give --server and --model"
            raise ValueError(msg)
        return self.server, self.model
