"""The selective scan of a state-space model, in chunks. Knows nothing of pictures or networks.

Linear in the length of the sequence: within a chunk every step meets every earlier one, and from
chunk to chunk only the state is carried.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 16  # steps; longer ones take more memory and fewer turns


def selective_scan(
    values: Float[Tensor, "b t h p"],
    steps: Float[Tensor, "b t h"],
    decay: Float[Tensor, " h"],
    taken: Float[Tensor, "b t n"],
    read: Float[Tensor, "b t n"],
    chunk: int = CHUNK,
) -> Float[Tensor, "b t h p"]:
    """Run ``h`` state-space models of ``p`` channels and ``n`` states over a sequence.

    With a state S of p x n, from S = 0 on: ``S = exp(step * decay) S + step * value taken^T`` and
    what comes out is ``S read``. ``steps`` are positive and ``decay`` negative; both ``steps`` and
    what is ``taken`` and ``read`` depend on the sequence, which makes the scan selective. Source:
    Dao and Gu 2024, "Transformers are SSMs", section 6.
    """
    length = values.shape[1]
    missing = -length % chunk  # steps of 0 change no state
    values = _chunked(pad(values * steps[..., None], (0, 0, 0, 0, 0, missing)), chunk)
    fading = _chunked(pad(steps * decay, (0, 0, 0, missing)), chunk).cumsum(dim=2)
    taken, read = (_chunked(pad(part, (0, 0, 0, missing)), chunk) for part in (taken, read))
    found = _within(values, fading, taken, read) + _carried(values, fading, taken, read)
    return found.flatten(1, 2)[:, :length]


def _chunked(sequence: Tensor, chunk: int) -> Tensor:
    """Turn ``b t ...`` into ``b chunk step ...``."""
    batch, length, *rest = sequence.shape
    return sequence.reshape(batch, length // chunk, chunk, *rest)


def _within(values: Tensor, fading: Tensor, taken: Tensor, read: Tensor) -> Tensor:
    """Let each step read what earlier steps of its own chunk left behind."""
    chunk = fading.shape[2]
    since = fading[:, :, :, None] - fading[:, :, None]  # b c reader writer h
    is_later = torch.ones(chunk, chunk, dtype=torch.bool, device=fading.device).triu(1)
    left = since.masked_fill(is_later[:, :, None], -torch.inf).exp()
    shares = torch.einsum("bcrn,bcwn->bcrw", read, taken)[..., None] * left
    return torch.einsum("bcrwh,bcwhp->bcrhp", shares, values)


def _carried(values: Tensor, fading: Tensor, taken: Tensor, read: Tensor) -> Tensor:
    """Let each step read what earlier chunks left behind."""
    until_end = (fading[:, :, -1:] - fading).exp()
    written = torch.einsum("bcwh,bcwhp,bcwn->bchpn", until_end, values, taken)
    kept = fading[:, :, -1].exp()
    state = torch.zeros_like(written[:, 0])
    states = []
    for number in range(written.shape[1]):
        states.append(state)
        state = kept[:, number, :, None, None] * state + written[:, number]
    found = torch.einsum("bcrn,bchpn->bcrhp", read, torch.stack(states, dim=1))
    return found * fading.exp()[..., None]
