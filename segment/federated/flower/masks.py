"""Masks of secure aggregation, drawn from every bit of a secret. Decides nothing.

Flower (1.42) folds a secret of 256 bits into 32 and seeds a Mersenne Twister with them, which a
server that only looks could try one after the other. ChaCha20 of the whole secret takes its place
while a message is answered, at the server and at every site alike.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from math import prod

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from flwr.app import Context, Message
from flwr.client.mod import secaggplus_mod
from jaxtyping import Int64

SITE = "flwr.client.mod.secure_aggregation.secaggplus_mod"
SERVER = "flwr.server.workflow.secure_aggregation.secaggplus_workflow"
NAME = "pseudo_rand_gen"  # in both
NONCE = bytes(16)  # a secret is used for one round
RANGE = 2**32

Mask = Int64[np.ndarray, "..."]


def masks(seed: bytes, num_range: int, shapes: Sequence[tuple[int, ...]]) -> list[Mask]:
    """Draw a mask of each shape; raises ValueError for another range than that of 32 bits."""
    if num_range != RANGE:
        msg = f"expected masks of {RANGE} values, found {num_range}; update the project"
        raise ValueError(msg)
    stream = Cipher(ChaCha20(sha256(seed).digest(), NONCE), mode=None).encryptor()
    drawn = [stream.update(bytes(4 * prod(shape))) for shape in shapes]
    return [
        np.frombuffer(part, "<u4").astype(np.int64).reshape(shape)
        for part, shape in zip(drawn, shapes, strict=True)
    ]


@contextmanager
def of_whole_secrets(module: str) -> Iterator[None]:
    """Let a module of Flower draw its masks so."""
    held = import_module(module)
    before = getattr(held, NAME)
    setattr(held, NAME, masks)
    try:
        yield
    finally:
        setattr(held, NAME, before)


def masked(
    message: Message, context: Context, call_next: Callable[[Message, Context], Message]
) -> Message:
    """Answer as Flower's mod does, with such masks."""
    with of_whole_secrets(SITE):
        return secaggplus_mod(message, context, call_next)
