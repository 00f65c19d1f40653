"""How fast the embedded writer drafts, warm, and llama.cpp with the same weights beside it.

    python -m tests.benchmarks.writing_speed [--reports 5] [--threads 2]

Ours writes held-out reports under the grammar, with the pictures of a study, all grey: what they
show costs nothing. llama.cpp (``xllamacpp``, the same GGUF as it comes, four bits) continues a
text of as many tokens by as many, without a grammar and without pictures. In turn, one process.
"""

import argparse
import os
import resource
import tempfile
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch

import prompts
from assistant.writers import Brief, drain
from assistant.writers.vlm.asking import Request
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.base import PACKAGE
from assistant.writers.vlm.generate import Statistics
from assistant.writers.vlm.ready import Ready, read
from assistant.writers.vlm.tell import tell
from tests.benchmarks.writers import no_pictures, reports

FACTS = [field.name for field in fields(Statistics)]
TEXT = "The volume of the left hippocampus is within the reference range of these adults. "


def ours(ready: Ready, n: int, seed: int) -> list[Statistics]:
    """Draft some reports and return what each took."""
    found = []
    for pair in reports(n + 1, seed):
        brief = Brief(pair.task.ledger, exam(), prompts.load(pair.task.language))
        pixels = no_pictures(ready.model.image_px, pair)
        took = drain(tell(ready, brief, Request(seed=seed, pixels=pixels))).took
        found.append(Statistics(**{name: took[name] for name in FACTS}))
    return found[1:]  # the first one warms up


def theirs(path: Path, threads: int, like: list[Statistics]) -> list[dict[str, Any]]:
    """Let llama.cpp read and write as many tokens; return its own timings."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel, params.cache_prompt = 4096, 1, False
    server = xllamacpp.Server(params)
    found = []
    for took in like:
        request = {
            "prompt": (TEXT * int(took.prompt_tokens))[: 4 * int(took.prompt_tokens)],
            "n_predict": int(took.tokens - took.forced),
            "ignore_eos": True,
            "temperature": 0.0,
            "cache_prompt": False,
        }
        found.append(server.handle_completions(request)["timings"])
    return found


def main() -> None:
    """Draft, print, and print the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    took = ours(read(), asked.reports, asked.seed)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.gguf"
        import_module(PACKAGE).assemble(path, overwrite=True)
        peer = theirs(path, asked.threads, took)
    print(f"{asked.threads} threads of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, medians of")
    print(f"{len(took)} reports of {median(t.tokens for t in took):.0f} tokens (of which")
    print(f"{median(t.forced for t in took):.0f} had no alternative) after a prompt of")
    print(f"{median(t.prompt_tokens for t in took):.0f}; peak memory of ours {peak_gb:.2f} GB\n")
    print("| | prompt, tokens a second | writing, tokens a second | first sentence, s | whole, s |")
    print("|---|---|---|---|---|")
    read_per_s = median(t.prompt_tokens / t.prefill_s for t in took)
    first, whole = (
        median(getattr(t, f"{name}_s") for t in took) for name in ("first_statement", "total")
    )
    print(
        f"| voxcite, bfloat16, grammar, pictures | {read_per_s:.0f} |"
        f" {median(t.tokens_per_s for t in took):.0f} | {first:.2f} | {whole:.2f} |"
    )
    theirs_per_s = (
        median(t[f"{name}_per_second"] for t in peer) for name in ("prompt", "predicted")
    )
    print("| llama.cpp, 4 bits | {:.0f} | {:.0f} | - | - |".format(*theirs_per_s))


if __name__ == "__main__":
    main()
