"""Fit heads on a frozen tower, and judge them by subjects that it never saw.

Knows nothing of how the tower was trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file, save_file
from torch import Tensor

from assistant.readers.siglip.evaluate import Row, write_rows
from assistant.readers.siglip.facts import FACTS
from assistant.readers.siglip.heads import OUTPUTS, Head, fit_heads
from assistant.readers.siglip.pairs import (
    Captions,
    Corpus,
    Pair,
    draw_combinations,
    draw_pair,
    held_out_part,
    targets_of,
    training_part,
)
from assistant.readers.siglip.plan import (
    HEAD_STREAM,
    HELD_OUT_STREAM,
    Progress,
    Run,
    TrainingPlan,
)
from assistant.readers.siglip.tower import (
    as_input,
    best_device,
    build_vision,
    described,
    load_state,
    pooled,
)
from segment.resume import replacing

EVALUATION_BATCH = 64


def train_heads(plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path) -> Iterator[Progress]:
    """Fit the heads on the frozen tower's features of newly drawn pictures."""
    path = folder / "heads.safetensors"
    if path.exists():
        return
    found: list[Tensor] = []
    drawn: list[Pair] = []
    for pairs, features, _ in _described(plan, run, corpus, folder, HEAD_STREAM):
        drawn += pairs
        found.append(features)
        yield Progress(run.name, "heads", len(drawn), plan.head_pictures)
    heads = fit_heads(torch.cat(found), targets_of(drawn), plan.head_penalty)
    tensors = {f"{name}.weight": head.weight for name, head in heads.items()}
    tensors |= {f"{name}.bias": head.bias for name, head in heads.items()}
    with replacing(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def judge(plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path) -> Iterator[Progress]:
    """Write what the heads make of the subjects that the run left out.

    Pictures of a kind or part of which the run has seen nothing are left out: nobody can know
    what was never shown.
    """
    path = folder / "held_out.csv"
    if path.exists() or run.held_out is None:
        return
    trained = training_part(corpus, run.held_out)
    known = {name: {getattr(label, name) for label in trained.labels} for name in ("kind", "part")}
    left_out = held_out_part(corpus, run.held_out)
    fair = left_out.chosen(
        [
            index
            for index, label in enumerate(left_out.labels)
            if label.kind in known["kind"] and label.part in known["part"]
        ]
    )
    heads, near = read_heads(folder / "heads.safetensors"), _zero_shot_of(folder)
    rows: list[Row] = []
    for pairs, features, embedded in _described(plan, run, fair, folder, HELD_OUT_STREAM):
        logits = {name: head(features).tolist() for name, head in heads.items()}
        nearest = {fact: (embedded @ near[fact].T).argmax(dim=1).tolist() for fact in FACTS}
        rows += _rows(run.held_out, pairs, logits, nearest)
        yield Progress(run.name, "held out", len(rows), plan.held_out_pictures)
    with replacing(path) as temporary:
        write_rows(rows, temporary)


def read_heads(path: Path) -> dict[str, Head]:
    """Read what ``train_heads`` wrote."""
    stored = load_file(path)
    return {name: Head(stored[f"{name}.weight"], stored[f"{name}.bias"]) for name in OUTPUTS}


def _described(
    plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path, stream: int
) -> Iterator[tuple[list[Pair], Float32[Tensor, "n width"], Float32[Tensor, "n width"]]]:
    """Draw pictures, describe and embed them by the run's frozen tower, a batch after the other.

    Held-out pictures are taken as they are; those that heads are fitted on are posed.
    """
    n = plan.head_pictures if stream == HEAD_STREAM else plan.held_out_pictures
    captions, device = Captions.load(), best_device()
    stored = load_file(folder / "tower.safetensors")
    state = {k.removeprefix("tower."): v for k, v in stored.items() if k.startswith("tower.")}
    tower = build_vision(plan.shape)
    load_state(tower, state)
    tower = tower.to(device).eval()
    size = min(EVALUATION_BATCH, len(corpus.combinations))
    for start in range(0, n, size):
        rng = np.random.default_rng([run.seed, stream, start])
        chosen = draw_combinations(corpus, min(size, n - start), rng)
        is_posed = stream == HEAD_STREAM
        pairs = [
            draw_pair(corpus, c, captions, plan.strengths, rng, is_posed=is_posed) for c in chosen
        ]
        images = as_input(np.stack([pair.grey for pair in pairs])).to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            features, embedded = described(tower, images), pooled(tower, images)
        yield pairs, features.float().cpu(), embedded.float().cpu()


def _rows(
    fold: int,
    pairs: Sequence[Pair],
    logits: Mapping[str, Sequence[Sequence[float]]],
    nearest: Mapping[str, Sequence[int]],
) -> Iterator[Row]:
    for n, pair in enumerate(pairs):
        label = pair.label
        yield Row(
            fold,
            label.subject,
            label.kind,
            label.part,
            label.plane,
            pair.artefact,
            pair.strength,
            {name: tuple(values[n]) for name, values in logits.items()},
            {fact: FACTS[fact][places[n]] for fact, places in nearest.items()},
        )


def _zero_shot_of(folder: Path) -> dict[str, Tensor]:
    stored = load_file(folder / "tower.safetensors")
    return {fact: stored[f"zero_shot.{fact}"] for fact in FACTS}
