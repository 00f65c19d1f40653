"""A decoding step of Gemma 3's text model: the same layers, called with less ceremony.

Knows nothing of images, words or grammars. Its result is transformers' own, within rounding; what
it saves: masks and positions made anew for every token, attention that repeats the keys for each
head, and bf16 weights that oneDNN reorders at every product.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Project = Callable[[Tensor], Tensor]
SELF_TEST_TOLERANCE = 0.02  # of the largest product; bf16 keeps eight bits
BATCH_HINT = 1


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

    query_key_value: Project
    output: Project
    gate_up: Project
    down: Project
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
        """Return the last hidden state of each new token; remembers their keys and values."""
        start, stop = memory.length, memory.length + len(tokens)
        if stop > memory.capacity:
            msg = f"there is room for {memory.capacity} tokens, and {stop} are asked for"
            raise ValueError(msg)
        hidden = self.embed(torch.tensor(tokens, device=memory.device))
        for index, layer in enumerate(self.layers):
            hidden = hidden + layer.after_attention(
                self._attend(index, layer.before_attention(hidden), memory, start)
            )
            hidden = hidden + layer.after_mlp(_mlp(layer, layer.before_mlp(hidden)))
        memory.length = stop
        return self.norm(hidden)

    def _attend(self, index: int, x: Tensor, memory: "Memory", start: int) -> Tensor:
        """Attend from new tokens to all that the layer may look back at."""
        layer, new = self.layers[index], len(x)
        cosine, sine = memory.rotation(layer.kind, start, start + new)
        states = layer.query_key_value(x).view(new, self.heads + 2 * self.key_heads, self.width)
        turning, value = states.split((self.heads + self.key_heads, self.key_heads), dim=1)
        turning = layer.query_key(turning)
        turning = turning * cosine + turning.roll(self.width // 2, -1) * sine
        query, key = turning.split((self.heads, self.key_heads), dim=1)
        keys, values = memory.append(index, key, value, start)
        first = 0 if layer.window is None else max(0, start + 1 - layer.window)
        # heads that share their keys become more positions of one head
        groups = self.heads // self.key_heads
        folded = query.view(new, self.key_heads, groups, self.width).permute(1, 2, 0, 3)
        out = functional.scaled_dot_product_attention(
            folded.reshape(1, self.key_heads, groups * new, self.width),
            keys[None, :, first:],
            values[None, :, first:],
            attn_mask=_mask(new, groups, start, first, layer.window, x.device),
            scale=layer.scale,
        )
        unfolded = out.view(self.key_heads, groups, new, self.width).permute(2, 0, 1, 3)
        return layer.output(unfolded.reshape(new, self.heads * self.width))


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

    def rotation(self, kind: str, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return cosines and signed sines of positions, ``positions 1 head_width`` each."""
        cosine, sine = self._rotations[kind]
        return cosine[start:stop], sine[start:stop]

    def append(self, index: int, key: Tensor, value: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Remember new keys and values of a layer; return all, ``key_heads tokens head_width``."""
        stop = start + len(key)
        keys, values = self._keys[index], self._values[index]
        keys[:, start:stop] = key.transpose(0, 1)
        values[:, start:stop] = value.transpose(0, 1)
        return keys[:, :stop], values[:, :stop]


def _mlp(layer: Layer, x: Tensor) -> Tensor:
    gate, up = layer.gate_up(x).chunk(2, dim=-1)
    return layer.down(layer.activation(gate) * up)


def _mask(
    new: int, groups: int, start: int, first: int, window: int | None, device: torch.device
) -> Tensor | None:
    """Tell which of the tokens from ``first`` on each new one sees; None where it is all."""
    if new == 1:
        return None
    rows = torch.arange(start, start + new, device=device)[:, None]
    columns = torch.arange(first, start + new, device=device)[None]
    seen = columns <= rows
    if window is not None:
        seen &= columns > rows - window
    return seen.repeat(groups, 1)


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


def projection(*modules: nn.Module) -> Project:
    """Return one product for modules with the same input; what is no plain matrix is called."""
    if all(type(module) is nn.Linear and module.bias is None for module in modules):
        weights = [cast(Tensor, module.weight).detach() for module in modules]
        return product(weights[0] if len(weights) == 1 else torch.cat(weights))
    if len(modules) == 1:
        return modules[0]
    return lambda x: torch.cat([module(x) for module in modules], dim=-1)


def product(weight: Float[Tensor, "out into"]) -> Project:
    """Return ``x -> x @ weight.T``; bf16 on a CPU is reordered once, if that passes a self-test."""
    if weight.dtype is torch.bfloat16 and weight.device.type == "cpu":
        packed = _packed(weight)
        if packed is not None:
            return packed
    return lambda x: functional.linear(x, weight)


def _packed(weight: Tensor) -> Project | None:
    """Reorder a weight as oneDNN wants it; None where this build cannot or gets it wrong."""
    if not torch.backends.mkldnn.is_available():
        return None
    operations = torch.ops.mkldnn
    try:
        reordered = operations._reorder_linear_weight(weight, BATCH_HINT)
        probe = torch.linspace(-1, 1, weight.shape[1], dtype=weight.dtype)[None]
        found = operations._linear_pointwise(probe, reordered, None, "none", [], "")
    except (AttributeError, NotImplementedError, RuntimeError):
        return None
    expected = probe.float() @ weight.float().T
    if (found.float() - expected).abs().max() > SELF_TEST_TOLERANCE * expected.abs().max():
        return None
    return lambda x: operations._linear_pointwise(x, reordered, None, "none", [], "")
