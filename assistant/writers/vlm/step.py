"""A decoding step of Gemma 3's text model: the same layers, called with less ceremony.

Knows nothing of images, words or grammars. Its result is transformers' own, within rounding; what
it saves: masks and positions made anew for every token, attention that repeats the keys for each
head, and bf16 weights that oneDNN reorders at every product. Several texts may step together: each
gets to the bit what it would get alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from assistant.writers.vlm.product import Product, Project, projection


@dataclass(frozen=True)
class Norm:
    """Gemma's norm: in fp32, with a weight that is one more than the one stored."""

    weight: Float[Tensor, "*heads n"]  # times the root of n
    floor: Float[Tensor, " 1"]  # root of n times epsilon, which keeps zeros from dividing

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise the last axis; x / sqrt(mean(x^2) + epsilon), in the fewest operations."""
        wide = x.float()
        length = torch.hypot(torch.linalg.vector_norm(wide, dim=-1, keepdim=True), self.floor)
        return (wide * self.weight / length).to(x.dtype)


@dataclass(frozen=True)
class Layer:
    """One layer: its projections, its norms, and what it looks back at."""

    query_key_value: Product
    output: Product
    gate_up: Product
    down: Product
    activation: Project
    query_key: Norm  # a row of weights for each head
    before_attention: Norm
    after_attention: Norm
    before_mlp: Norm
    after_mlp: Norm
    kind: str
    window: int | None
    scale: float


class TextStep:
    """Runs the text model on a few new tokens after those whose keys and values it holds."""

    def __init__(self, text_model: nn.Module) -> None:
        model = cast(Any, text_model)
        config = model.config
        if config.use_bidirectional_attention:
            msg = "decoding expects a text model with causal attention; this one is bidirectional"
            raise ValueError(msg)
        self.embed = model.embed_tokens
        self.rotary = model.rotary_emb
        self.norm = _norm(model.norm)
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = config.head_dim
        self.layers = tuple(_layer(layer, config) for layer in model.layers)

    def begin(self, keys_values: Sequence[tuple[Tensor, Tensor]], room: int) -> "Memory":
        """Copy the keys and values of a prompt, with room for as many new tokens."""
        return Memory(self, keys_values, room)

    def __call__(self, tokens: Sequence[int], memory: "Memory") -> Float[Tensor, "new hidden"]:
        """Feed new tokens of one text, as ``together`` does."""
        return self.together([(tokens, memory)])

    def together(
        self, fed: Sequence[tuple[Sequence[int], "Memory"]]
    ) -> Float[Tensor, "new hidden"]:
        """Return the last hidden state of each new token, text by text; remember what they see.

        Raises ValueError where a text's memory has no room for its tokens.
        """
        for tokens, memory in fed:
            memory.check_room(len(tokens))
        together = _Together(self, fed)
        flat = [token for tokens, _ in fed for token in tokens]
        hidden = self.embed(torch.tensor(flat, device=fed[0][1].device))
        for index, layer in enumerate(self.layers):
            hidden = hidden + layer.after_attention(
                self._attend(index, layer.before_attention(hidden), together)
            )
            hidden = hidden + layer.after_mlp(
                _mlp(layer, layer.before_mlp(hidden), together.counts)
            )
        for tokens, memory in fed:
            memory.length += len(tokens)
        return self.norm(hidden)

    def _attend(self, index: int, x: Tensor, together: "_Together") -> Tensor:
        """Attend from the new tokens of each text to all that the layer may look back at."""
        layer, new, counts = self.layers[index], len(x), together.counts
        cosine, sine = together.rotations[layer.kind]
        states = layer.query_key_value.each(x, counts)
        states = states.view(new, self.heads + 2 * self.key_heads, self.width)
        turning, value = states.split((self.heads + self.key_heads, self.key_heads), dim=1)
        turning = layer.query_key(turning)
        turning = turning * cosine + turning.roll(self.width // 2, -1) * sine
        query, key = turning.split((self.heads, self.key_heads), dim=1)
        of_texts = zip(
            together.memories,
            together.views[layer.window],
            *(part.split(counts) for part in (query, key, value)),
            strict=True,
        )
        seen = [self._look(index, memory, view, *states) for memory, view, *states in of_texts]
        return layer.output.each(torch.cat(seen), counts)

    def _look(
        self, index: int, memory: "Memory", view: "_View", query: Tensor, key: Tensor, value: Tensor
    ) -> Float[Tensor, "new states"]:
        """Attend from the new tokens of one text."""
        new, groups = len(query), self.heads // self.key_heads
        keys, values = memory.append(index, key, value)
        # heads that share their keys become more positions of one head
        folded = query.view(new, self.key_heads, groups, self.width).permute(1, 2, 0, 3)
        out = functional.scaled_dot_product_attention(
            folded.reshape(1, self.key_heads, groups * new, self.width),
            keys[None, :, view.first :],
            values[None, :, view.first :],
            attn_mask=view.mask,
            scale=self.layers[index].scale,
        )
        unfolded = out.view(self.key_heads, groups, new, self.width).permute(2, 0, 1, 3)
        return unfolded.reshape(new, self.heads * self.width)


class Memory:
    """Keys and values of all tokens so far, and the rotations of all positions to come."""

    def __init__(
        self, step: TextStep, keys_values: Sequence[tuple[Tensor, Tensor]], room: int
    ) -> None:
        first = keys_values[0][0]
        self.device, self.length = first.device, first.shape[-2]
        self.capacity = self.length + room
        self._keys = [_extended(keys, room) for keys, _ in keys_values]
        self._values = [_extended(values, room) for _, values in keys_values]
        positions = torch.arange(self.capacity, device=self.device)[None]
        self._rotations = {
            kind: _signed(*step.rotary(first, positions, kind))
            for kind in {layer.kind for layer in step.layers}
        }

    def check_room(self, new: int) -> None:
        """Raise ValueError where so many new tokens are too many."""
        if self.length + new > self.capacity:
            msg = f"there is room for {self.capacity} tokens, and {self.length + new} are asked for"
            raise ValueError(msg)

    def rotation(self, kind: str, new: int) -> tuple[Tensor, Tensor]:
        """Return cosines and signed sines of new tokens, ``new 1 head_width`` each."""
        cosine, sine = self._rotations[kind]
        return cosine[self.length : self.length + new], sine[self.length : self.length + new]

    def append(self, index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Remember new keys and values of a layer; return all, ``key_heads tokens head_width``.

        How long the text is changes after the last layer.
        """
        start, stop = self.length, self.length + len(key)
        keys, values = self._keys[index], self._values[index]
        keys[:, start:stop] = key.transpose(0, 1)
        values[:, start:stop] = value.transpose(0, 1)
        return keys[:, :stop], values[:, :stop]


@dataclass(frozen=True)
class _View:
    """From which token on new ones see, and which of those each sees; None where it is all."""

    first: int
    mask: Tensor | None


class _Together:
    """What one step needs to know of each of its texts, the same for all layers of a kind."""

    counts: list[int]
    memories: list[Memory]
    rotations: Mapping[str, tuple[Tensor, Tensor]]
    views: Mapping[int | None, list[_View]]

    def __init__(self, step: TextStep, fed: Sequence[tuple[Sequence[int], Memory]]) -> None:
        self.counts = [len(tokens) for tokens, _ in fed]
        self.memories = [memory for _, memory in fed]
        sized = [*zip(self.memories, self.counts, strict=True)]
        self.rotations = {
            kind: _joined([memory.rotation(kind, new) for memory, new in sized])
            for kind in {layer.kind for layer in step.layers}
        }
        groups = step.heads // step.key_heads
        self.views = {
            window: [_view(memory, new, groups, window) for memory, new in sized]
            for window in {layer.window for layer in step.layers}
        }


def _joined(rotations: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Put the cosines and the sines of several texts one below the other."""
    cosines, sines = zip(*rotations, strict=True)
    return torch.cat(cosines), torch.cat(sines)


def _mlp(layer: Layer, x: Tensor, counts: list[int]) -> Tensor:
    gate, up = layer.gate_up.each(x, counts).chunk(2, dim=-1)
    return layer.down.each(layer.activation(gate) * up, counts)


def _view(memory: Memory, new: int, groups: int, window: int | None) -> _View:
    """Tell what the new tokens of a text see within a window, for each of so many heads."""
    start = memory.length
    first = 0 if window is None else max(0, start + 1 - window)
    if new == 1:
        return _View(first, None)
    rows = torch.arange(start, start + new, device=memory.device)[:, None]
    columns = torch.arange(first, start + new, device=memory.device)[None]
    seen = columns <= rows
    if window is not None:
        seen &= columns > rows - window
    return _View(first, seen.repeat(groups, 1))


def _extended(states: Tensor, room: int) -> Tensor:
    """Copy ``1 key_heads tokens head_width`` into a buffer with room for more tokens."""
    _, heads, length, width = states.shape
    buffer = states.new_zeros(heads, length + room, width)
    buffer[:, :length] = states[0]
    return buffer


def _signed(cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """Move the minus of the rotated half into the sine, so that a roll is all that is left."""
    half = sine.shape[-1] // 2
    signed = torch.cat((-sine[..., :half], sine[..., half:]), dim=-1)
    return cosine[0][:, None], signed[0][:, None]


def _layer(layer: Any, config: Any) -> Layer:  # noqa: ANN401  # transformers' classes
    attention, mlp = layer.self_attn, layer.mlp
    query, key = _norm(attention.q_norm), _norm(attention.k_norm)
    rows = (
        *(query.weight,) * config.num_attention_heads,
        *(key.weight,) * config.num_key_value_heads,
    )
    return Layer(
        query_key_value=projection(attention.q_proj, attention.k_proj, attention.v_proj),
        output=projection(attention.o_proj),
        gate_up=projection(mlp.gate_proj, mlp.up_proj),
        down=projection(mlp.down_proj),
        activation=mlp.act_fn,
        query_key=Norm(torch.stack(rows), query.floor),
        before_attention=_norm(layer.input_layernorm),
        after_attention=_norm(layer.post_attention_layernorm),
        before_mlp=_norm(layer.pre_feedforward_layernorm),
        after_mlp=_norm(layer.post_feedforward_layernorm),
        kind=attention.layer_type,
        window=attention.sliding_window,
        scale=attention.scaling,
    )


def _norm(norm: Any) -> Norm:  # noqa: ANN401  # transformers' class
    weight = 1.0 + norm.weight.detach().float()
    width = len(weight)
    floor = torch.tensor([math.sqrt(width * norm.eps)], device=weight.device)
    return Norm(weight * math.sqrt(width), floor)
