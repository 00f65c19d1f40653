"""The loss of a batch: what the network says at the targets, over the vocabulary alone.

Knows nothing of optimisers, processes or of where a batch comes from.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.batches import Batch
from assistant.writers.vlm.sights import Gallery, Sight
from assistant.writers.vlm.vision import normalised

ensure_torchvision()

from transformers import Gemma3ForConditionalGeneration  # noqa: E402
from transformers.modeling_outputs import BaseModelOutputWithPooling  # noqa: E402


class TargetLoss(nn.Module):
    """A network and the rows of its head that the vocabulary has; prompts cost nothing.

    ``network`` is the one below an adapter: its layers carry the adapter, and its head, tied to
    the embedding, is never changed.
    """

    def __init__(
        self, network: Gemma3ForConditionalGeneration, head: Float[Tensor, "v hidden"]
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("head", head.detach().clone(), persistent=False)

    def forward(
        self, tensors: Mapping[str, Tensor], pooled: Float[Tensor, "picture token width"] | None
    ) -> Float[Tensor, ""]:
        """Return the sum of the targets' cross entropies; ``pooled`` is the pictures' features."""
        model = cast(Any, self.network.model)
        images = {}
        if pooled is not None:
            projected = project(model.multi_modal_projector, pooled)
            images["image"] = BaseModelOutputWithPooling(pooler_output=projected)
        hidden = model(
            input_ids=tensors["ids"],
            attention_mask=tensors["mask"],
            token_type_ids=tensors["is_image"] if images else None,
            mm_encoder_outputs=images or None,
            use_cache=False,
        ).last_hidden_state
        said = hidden[tensors["rows"], tensors["columns"]]
        logits = said.to(self.head.dtype) @ self.head.T
        return functional.cross_entropy(logits.float(), tensors["targets"], reduction="sum")


def project(
    projector: nn.Module, pooled: Float[Tensor, "picture token width"]
) -> Float[Tensor, "picture token hidden"]:
    """Do what MedGemma's projector does after pooling, in its own precision."""
    inner = cast(Any, projector)
    weight = inner.mm_input_projection_weight
    normed = inner.mm_soft_emb_norm(pooled.to(weight.dtype))
    found: Tensor = torch.matmul(normed, weight)
    return found


def tensors_of(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """Move a batch to where the network is."""
    names = ("ids", "mask", "is_image", "rows", "columns", "targets")
    return {name: getattr(batch, name).to(device) for name in names}


class Features:
    """What a frozen tower sees in pictures, pooled, computed once for each and kept in memory."""

    def __init__(self, tower: nn.Module, projector: nn.Module, gallery: Gallery) -> None:
        self._tower, self._pool = tower, cast(Any, projector).avg_pool
        self._gallery = gallery
        self._known: dict[Sight, Tensor] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, sights: Sequence[Sight]) -> Float[Tensor, "picture token width"] | None:
        """Return the features of pictures in order; None where there are none."""
        if missing := [sight for sight in dict.fromkeys(sights) if sight not in self._known]:
            self._look(missing)
        return torch.cat([self._known[sight] for sight in sights]) if sights else None

    @torch.no_grad()
    def _look(self, sights: Sequence[Sight]) -> None:
        """Run the tower on new pictures, all at once."""
        parameter = next(self._tower.parameters())
        pixels = [normalised(self._gallery.pixels(sight)) for sight in sights]
        values = torch.cat(pixels).to(parameter.device, parameter.dtype)
        states = self._tower(pixel_values=values).last_hidden_state
        side = math.isqrt(states.shape[1])
        square = states.transpose(1, 2).unflatten(2, (side, side))
        pooled = self._pool(square).flatten(2).transpose(1, 2)
        first = 0
        for sight, shown in zip(sights, pixels, strict=True):
            self._known[sight] = pooled[first : first + len(shown)].clone()
            first += len(shown)
