"""How fast the embedded writer drafts, warm, alone and together, with llama.cpp beside it.

    python -m tests.benchmarks.writing_speed [--reports 16] [--at-once 1 8] [--threads 2]

Ours writes held-out reports under the grammar, so many at once, with the pictures of a study, all
grey: what they show costs nothing. llama.cpp (``xllamacpp``, the same GGUF as it comes, four bits)
continues as many texts of as many tokens, as many at once, without a grammar and without pictures.
Tokens that the grammar leaves no choice of cost ours less; so they are counted and, in a column of
its own, left out, as llama.cpp is asked for the others alone. The reading of prompts is taken off;
of several that llama.cpp reads at once each is taken to have had its share of the time.

The limit of the memory is that of a copy, bytes read and written. A step reads every weight of the
layers and of the head once, for however many texts; texts that end before others make it read more
often than is counted, so that the share is the least that it can be.
"""

import argparse
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

import prompts
from assistant.draft import Draft
from assistant.writers import Brief
from assistant.writers.vlm.asking import Request
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.base import PACKAGE
from assistant.writers.vlm.ready import Ready, read
from assistant.writers.vlm.tell import tell_together
from tests.benchmarks.writers import no_pictures, reports

TEXT = "The volume of the left hippocampus is within the reference range of these adults. "
CONTEXT = 4096
COPIED_BYTES, COPIES = 2**28, 8
HEADS = (
    *("writer", "at once", "prompt, tokens a second", "writing, tokens a second"),
    *("without forced ones", "of the memory's limit", "first sentence, s", "whole, s"),
)


@dataclass(frozen=True)
class Rate:
    """What writing some texts took; ``steps_s`` are steps a second, each with all weights."""

    at_once: int
    read_s: float
    write_s: float
    read_tokens: float
    tokens: float
    chosen: float
    first_s: float | None = None
    whole_s: float | None = None

    def row(self, name: str, step_bytes: float, memory_bytes_per_s: float) -> str:
        """Write a row of the table."""
        steps_per_s = self.chosen / self.at_once / self.write_s
        cells = (
            *(name, f"{self.at_once}", f"{self.read_tokens / self.read_s:.0f}"),
            *(f"{self.tokens / self.write_s:.0f}", f"{self.chosen / self.write_s:.0f}"),
            f"{100 * steps_per_s * step_bytes / memory_bytes_per_s:.0f} %",
            *("-" if s is None else f"{s:.2f}" for s in (self.first_s, self.whole_s)),
        )
        return f"| {' | '.join(cells)} |"


def ours(ready: Ready, count: int, seed: int, at_once: int) -> tuple[Rate, list[Draft]]:
    """Draft some reports, the first apart to warm up; return what they took."""
    asked = []
    for pair in reports(count + 1, seed):
        brief = Brief(pair.task.ledger, exam(), prompts.load(pair.task.language))
        asked.append((brief, Request(seed=seed, pixels=no_pictures(ready.model.image_px, pair))))
    list(tell_together(ready, asked[:1]))
    began = perf_counter()
    told = [draft for _, draft in tell_together(ready, asked[1:], at_once)]
    wall_s = perf_counter() - began
    drafts = [draft for draft in told if isinstance(draft, Draft) and draft.took]
    total = {name: sum(draft.took[name] for draft in drafts) for name in drafts[0].took}
    rate = Rate(
        at_once,
        read_s=total["prefill_s"],
        write_s=wall_s - total["prefill_s"],
        read_tokens=total["prompt_tokens"],
        tokens=total["tokens"],
        chosen=total["tokens"] - total["forced"],
        first_s=median(draft.took["first_statement_s"] for draft in drafts),
        whole_s=median(draft.took["total_s"] for draft in drafts),
    )
    return rate, drafts


def theirs(path: Path, threads: int, like: Sequence[Draft], at_once: int) -> Rate:
    """Let llama.cpp read and write as many tokens, so many texts at once."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel, params.cache_prompt = CONTEXT * at_once, at_once, False
    server = xllamacpp.Server(params)

    def complete(draft: Draft) -> dict[str, Any]:
        took = draft.took
        request = {
            "prompt": (TEXT * int(took["prompt_tokens"]))[: 4 * int(took["prompt_tokens"])],
            "n_predict": int(took["tokens"] - took["forced"]),
            "ignore_eos": True,
            "temperature": 0.0,
            "cache_prompt": False,
        }
        timings: dict[str, Any] = server.handle_completions(request)["timings"]
        return timings

    with ThreadPoolExecutor(at_once) as pool:
        began = perf_counter()
        found = list(pool.map(complete, like))
        wall_s = perf_counter() - began
    read_s = sum(timings["prompt_ms"] for timings in found) / 1e3 / at_once
    read_tokens = sum(timings["prompt_n"] for timings in found)
    predicted = sum(timings["predicted_n"] for timings in found)
    return Rate(at_once, read_s, wall_s - read_s, read_tokens, predicted, predicted)


def weight_bytes(ready: Ready) -> int:
    """Count the bytes of weights that a step of ours reads."""
    layers = ready.decoder.model.model.language_model.layers
    head = len(ready.decoder.vocabulary.ids) * ready.model.config.get_text_config().hidden_size
    inner = [weight for layer in layers for weight in layer.parameters()]
    return sum(w.numel() * w.element_size() for w in inner) + head * inner[0].element_size()


def copy_bytes_per_s() -> float:
    """Measure a copy of more than any cache holds, the best of some: STREAM's first kernel."""
    source = torch.ones(COPIED_BYTES // 4)
    into = torch.empty_like(source)
    return 2 * COPIED_BYTES / min(_seconds(lambda: into.copy_(source)) for _ in range(COPIES))


def _seconds(run: Callable[[], object]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def main() -> None:
    """Draft, print, and print the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=16)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    memory = copy_bytes_per_s()
    ready = read()
    drafted = [ours(ready, asked.reports, asked.seed, count) for count in asked.at_once]
    took = [draft.took for draft in drafted[0][1]]
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{asked.threads} threads of {os.cpu_count()}, load {os.getloadavg()[0]:.1f};")
    print(
        f"{len(took)} reports of {median(t['tokens'] for t in took):.0f} tokens in the median (of"
    )
    print(f"which {median(t['forced'] for t in took):.0f} had no alternative) after a prompt of")
    print(f"{median(t['prompt_tokens'] for t in took):.0f}; peak memory of ours {peak_gb:.2f} GB;")
    print(f"a copy moves {memory / 1e9:.1f} GB a second\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for rate, _ in drafted:
        name = "voxcite, bfloat16, grammar, pictures"
        print(rate.row(name, weight_bytes(ready), memory), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.gguf"
        import_module(PACKAGE).assemble(path, overwrite=True)
        for count, (_, drafts) in zip(asked.at_once, drafted, strict=True):
            rate = theirs(path, asked.threads, drafts, count)
            print(rate.row("llama.cpp, 4 bits", path.stat().st_size, memory), flush=True)


if __name__ == "__main__":
    main()
