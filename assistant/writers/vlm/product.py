"""Products with a model's weights, for one text or for several at once. Knows nothing of layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Project = Callable[[Tensor], Tensor]
SELF_TEST_TOLERANCE = 0.02  # of the largest product; bf16 keeps eight bits
BATCH_HINT = 1
MOST_ROWS = 32  # in one product of several texts; each number up to it is tested


@dataclass(frozen=True)
class Product:
    """``x -> x @ weight.T``; ``is_rowwise`` says that no row's bits depend on those beside it.

    That is known of up to MOST_ROWS rows.
    """

    multiply: Project
    is_rowwise: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply rows that belong together."""
        return self.multiply(x)

    def each(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Multiply the rows of several texts, to the bit as each would be by itself.

        ``counts`` are their numbers of rows. Rows are multiplied all at once where that is so.
        """
        if len(counts) == 1 or (self.is_rowwise and len(x) <= MOST_ROWS):
            return self.multiply(x)
        return torch.cat([self.multiply(rows) for rows in x.split(list(counts))])


def projection(*modules: nn.Module) -> Product:
    """Return one product for modules with the same input; what is no plain matrix is called."""
    if all(type(module) is nn.Linear and module.bias is None for module in modules):
        weights = [cast(Tensor, module.weight).detach() for module in modules]
        return product(weights[0] if len(weights) == 1 else torch.cat(weights))
    if len(modules) == 1:
        return Product(modules[0])
    return Product(lambda x: torch.cat([module(x) for module in modules], dim=-1))


def product(weight: Float[Tensor, "out into"]) -> Product:
    """Return ``x -> x @ weight.T``; bf16 on a CPU is reordered once, if that passes a self-test."""
    if weight.dtype is torch.bfloat16 and weight.device.type == "cpu":
        packed = _packed(weight)
        if packed is not None:
            return Product(packed, _is_rowwise(*weight.shape, torch.get_num_threads()))
    return Product(lambda x: functional.linear(x, weight))


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


@cache
def _is_rowwise(outs: int, into: int, threads: int) -> bool:
    """Try whether rows of a reordered product come out the same however many are multiplied.

    oneDNN chooses how to add up by the shape, the processor and the number of threads, not by the
    numbers, so that one weight of a shape speaks for all.
    """
    generator = torch.Generator().manual_seed(0)
    weight, x = (
        torch.randn(rows, into, generator=generator).to(torch.bfloat16)
        for rows in (outs, MOST_ROWS)
    )
    multiply = _packed(weight)
    if multiply is None:
        return False
    alone = torch.cat([multiply(row) for row in x.split(1)])
    return all(torch.equal(multiply(x[:n]), alone[:n]) for n in range(2, MOST_ROWS + 1))
