"""A vision-language writer of some thousand weights, and one that is made to write a given text.

Steering only changes logits: prompt, grammar, decoding and parsing are the real ones.
"""

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from assistant.finish import complete
from assistant.report import report_bytes
from assistant.verify import verify_report
from assistant.writers.vlm.corpus import corpus
from assistant.writers.vlm.generate import Decoder
from assistant.writers.vlm.model import Placement, load_checkpoint
from assistant.writers.vlm.ready import Ready, make_ready
from assistant.writers.vlm.spoken import vocabulary_of
from assistant.writers.vlm.text import Bounds
from assistant.writers.vlm.vocabulary import NEWLINE
from tests.toy_vlm import toy_checkpoint

EXACT = Placement("cpu", "float32")
LANGUAGES = ("en", "zh")


def letters():
    """Return every character that can be written, so that a tokenizer has it."""
    return [" ".join(sorted(set(corpus(language)))) for language in LANGUAGES]


@cache
def toy_ready():
    """Load the toy, once for all tests."""
    with TemporaryDirectory() as folder:
        made = toy_checkpoint(Path(folder) / "toy", texts=letters())
        model = load_checkpoint(made, EXACT)
    model.config.get_text_config().max_position_embeddings = 4096  # room for a whole report
    return make_ready(model, vocabulary_of(model.tokenizer, LANGUAGES), "float32")


@dataclass(frozen=True, eq=False)
class Steered(Decoder):
    """A decoder whose logits are changed, in each text in another way where there are several.

    It keeps the prompts it was given in ``seen``.
    """

    change: object = None
    limits: Bounds | None = None
    seen: list = field(default_factory=list)
    chosen: list = field(default_factory=list)

    def write_together(self, wanted, at_once=1):
        return super().write_together(map(self._steered, wanted), at_once)

    def _steered(self, given):
        key, commission = given
        self.seen.append(commission.prompt)
        bounds = self.limits or commission.bounds
        change = self.change if callable(self.change) else self.change[len(self.seen) - 1]
        return key, replace(commission, bounds=bounds, change_logits=self._counted(change))

    def _counted(self, change):
        def changed(logits, tokens):
            self.chosen.append(len(tokens))
            return change(logits, tokens)

        return changed


def steered(change, bounds=None, *, compares=False):
    """Return the toy under other logits, and its decoder; several changes are for several texts."""
    ready = toy_ready()
    decoder = Steered(**vars(ready.decoder), change=change, limits=bounds)
    return Ready(ready.model, decoder, ready.markup, ready.facts, compares), decoder


def towards(text, breaks_after=None):
    """Want the pieces of a text; its logits are no numbers after ``breaks_after`` lines."""
    ready = toy_ready()
    vocabulary = ready.decoder.vocabulary
    lines = [line + NEWLINE for line in text.split(NEWLINE)]
    cut = ready.model.tokenizer.encode_batch(lines, add_special_tokens=False)
    pieces = [piece for found in cut for piece in found.tokens][:-1]
    wanted = [vocabulary.dense[piece] for piece in (*pieces, vocabulary.stops[0])]
    newline = vocabulary.dense[NEWLINE]

    def change(logits, tokens):
        if breaks_after is not None and list(tokens).count(newline) >= breaks_after:
            return logits * torch.nan
        found = torch.zeros_like(logits)
        found[wanted[len(tokens)]] = 1.0
        return found

    return change


def report_of(composed, about):
    """Finish what was composed into a report, which verifies."""
    report = complete(composed, about, dict(composed.draft.facts))
    assert verify_report(json.loads(report_bytes(report))) == ()
    return report
