"""From pairs to batches: tokens, where the targets stand, and which pictures go before them.

What a step shows depends on the plan's seed and the step alone, whatever the number of processes,
so that a resumed run goes on with the samples that it would have had. Knows nothing of networks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from tokenizers import Tokenizer
from torch import Tensor

from assistant.writers.vlm.data import Pair, training_pairs
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.prompt import Markup, write_prompt
from assistant.writers.vlm.sights import PLANES, Gallery, Sight
from assistant.writers.vlm.vocabulary import NEWLINE, Vocabulary

Stage = Literal["projector", "adapter"]
STREAMS: dict[Stage, int] = {"projector": 1, "adapter": 2}  # of random numbers
TRIES = 20  # samples drawn for one that is not too long, before the plan is refused
LOOK = "task: pictures"


@dataclass(frozen=True)
class Shown:
    """A pair and the pictures that it is shown with."""

    pair: Pair
    sights: tuple[Sight, ...]


@dataclass(frozen=True)
class Sample:
    """One prompt and its target as tokens: of the base model, and dense in the vocabulary."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    dense: tuple[int, ...]
    sights: tuple[Sight, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples side by side, padded at the end.

    The hidden state at ``rows, columns`` must say ``targets``, which are numbered densely.
    """

    ids: Int64[Tensor, "sample token"]
    mask: Int64[Tensor, "sample token"]
    is_image: Int64[Tensor, "sample token"]
    rows: Int64[Tensor, " target"]
    columns: Int64[Tensor, " target"]
    targets: Int64[Tensor, " target"]
    sights: tuple[Sight, ...]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Turns pairs into samples for one tokenizer, vocabulary and way of marking prompts up."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    markup: Markup
    stop: str

    def sample(self, shown: Shown) -> Sample:
        """Write the prompt and the target of a pair; raises ValueError for a foreign token."""
        task = replace(shown.pair.task, pictures=PLANES * len(shown.sights))
        prompt = write_prompt(task, self.markup).text
        return self._made(prompt, shown.pair.target, shown.sights)

    def looked(self, sights: tuple[Sight, ...]) -> Sample:
        """Ask what pictures show: what a projector learns from."""
        markup = self.markup
        pictures = markup.pictures(PLANES * len(sights))
        prompt = f"{markup.user}{pictures}{LOOK}{markup.end}{markup.model}"
        return self._made(prompt, NEWLINE.join(sight.said for sight in sights), sights)

    def _made(self, prompt: str, target: str, sights: tuple[Sight, ...]) -> Sample:
        pieces = [*self.pieces(target), self.stop]
        dense = self.vocabulary.dense
        if foreign := sorted({piece for piece in pieces if piece not in dense}):
            msg = f"a target holds tokens that may not be written: {foreign[:5]}"
            raise ValueError(msg)
        placed = tuple(dense[piece] for piece in pieces)
        ids = tuple(self.vocabulary.ids[place] for place in placed)
        return Sample(tuple(self.tokenizer.encode(prompt).ids), ids, placed, sights)

    def pieces(self, target: str) -> list[str]:
        """Cut a target line by line, each with its end, as the vocabulary was made."""
        lines = [line + NEWLINE for line in target.split(NEWLINE)]
        found = self.tokenizer.encode_batch(lines, add_special_tokens=False)
        return [piece for encoding in found for piece in encoding.tokens][:-1]

    @cached_property
    def image_id(self) -> int:
        """The token that pictures take the place of."""
        number = self.tokenizer.token_to_id(self.markup.picture)
        assert number is not None
        return number

    def batch(self, samples: Sequence[Sample]) -> Batch:
        """Put samples side by side."""
        longest = max(map(len, samples))
        ids = torch.zeros(len(samples), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        rows: list[int] = []
        columns: list[int] = []
        targets: list[int] = []
        for row, sample in enumerate(samples):
            whole = (*sample.prompt, *sample.target)
            ids[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
            first = len(sample.prompt) - 1  # the last token of the prompt says the first target
            rows += [row] * len(sample.target)
            columns += range(first, first + len(sample.target))
            targets += sample.dense
        return Batch(
            ids=ids,
            mask=mask,
            is_image=(ids == self.image_id).long() * mask,
            rows=torch.tensor(rows),
            columns=torch.tensor(columns),
            targets=torch.tensor(targets),
            sights=tuple(sight for sample in samples for sight in sample.sights),
        )


@dataclass(frozen=True, eq=False)
class Stream:
    """The samples of one stage, step by step; ``own`` are pairs of a user's own folder."""

    plan: TrainingPlan
    stage: Stage
    tokens: Tokens
    gallery: Gallery
    own: tuple[Shown, ...] = ()

    def from_step(self, step: int) -> Iterator[tuple[Sample, ...]]:
        """Yield the samples of a step and of all that follow it."""
        number, place = divmod(step, self.plan.pool)
        while True:
            yield from self.pool(number)[place:]
            number, place = number + 1, 0

    def pool(self, number: int) -> list[tuple[Sample, ...]]:
        """Draw the samples of ``pool`` steps; those of one step are of about the same length."""
        rng = np.random.default_rng([self.plan.seed, STREAMS[self.stage], number])
        wanted = self.plan.pool * self.plan.batch
        draw = self._pairs if self.stage == "adapter" else self._looks
        short = (s for s in draw(rng, TRIES * wanted) if len(s) <= self.plan.longest)
        samples = sorted(islice(short, wanted), key=len)
        if len(samples) < wanted:
            msg = f"samples are longer than {self.plan.longest} tokens; set longest to more"
            raise ValueError(msg)
        steps = [
            tuple(samples[first : first + self.plan.batch])
            for first in range(0, wanted, self.plan.batch)
        ]
        return [steps[place] for place in rng.permutation(len(steps))]

    def _pairs(self, rng: np.random.Generator, n: int) -> Iterator[Sample]:
        """Make pairs, and take one of the user's own now and then."""
        for pair in training_pairs(rng, n, self.plan.languages):
            if self.own and rng.random() < self.plan.own_share:
                yield self.tokens.sample(self.own[int(rng.integers(len(self.own)))])
            else:
                yield self.tokens.sample(Shown(pair, self.gallery.of_pair(pair, rng)))

    def _looks(self, rng: np.random.Generator, n: int) -> Iterator[Sample]:
        for _ in range(n):
            yield self.tokens.looked((self.gallery.draw(rng),))


def shares(
    samples: Sequence[Sample], process: int, processes: int, at_once: int
) -> list[Sequence[Sample]]:
    """Cut out what one process does of a step, as many samples at once as it can hold."""
    own = samples[process::processes]
    return [own[first : first + at_once] for first in range(0, len(own), at_once)]


def padding(samples: Sequence[Sample]) -> float:
    """Return the share of a batch that is padding."""
    lengths = [len(sample) for sample in samples]
    return 1 - sum(lengths) / (max(lengths) * len(lengths))
