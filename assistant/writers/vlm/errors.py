"""What can be wrong with a model's files or its server, one class, one code each.

Knows nothing of who shows it. The sentences never hold a path above a file's name.
"""

from enum import StrEnum

INSTALL = "pip install voxcite"
SMALLER = "the embedded model or the template writer needs less"


class Fault(StrEnum):
    """Why there is no model to write with; the code stands in logs."""

    MISSING = "missing"
    NOT_INSTALLED = "not-installed"
    WRONG_HASH = "wrong-hash"
    NO_SPACE = "no-space"
    NOT_WRITABLE = "not-writable"
    WRONG_CLASS = "wrong-class"
    MISSING_SHARD = "missing-shard"
    DAMAGED = "damaged"
    WRONG_TOKENIZER = "wrong-tokenizer"
    WRONG_ADAPTER = "wrong-adapter"
    NOT_A_TOWER = "not-a-tower"
    OFFLINE = "offline"
    HUB = "hub"
    NO_MEMORY = "no-memory"
    NO_DEVICE = "no-device"
    UNREACHABLE = "unreachable"
    TOO_SLOW = "too-slow"
    BROKEN_OFF = "broken-off"
    BUSY = "busy"
    SERVER_FAILED = "server-failed"
    FORBIDDEN = "forbidden"
    ELSEWHERE = "elsewhere"
    REFUSED = "refused"
    STRANGE = "strange"
    NO_SUCH_MODEL = "no-such-model"


# What may be wrong with one request alone: the next one may be answered.
OF_ONE_REQUEST = frozenset(
    {
        Fault.TOO_SLOW,
        Fault.BROKEN_OFF,
        Fault.BUSY,
        Fault.SERVER_FAILED,
        Fault.REFUSED,
        Fault.STRANGE,
    }
)


class ModelError(ValueError):
    """The model cannot be used; the sentence says what was expected and what to do."""

    def __init__(self, code: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
