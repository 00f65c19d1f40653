"""The benchmark of a whole model trains, loads, reads and writes with one that it made."""

import re

import pytest

from assistant.writers.vlm.base import cached_base
from tests.benchmarks import whole_model

pytestmark = pytest.mark.slow  # a toy is made and trained

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
}
FIGURE = re.compile(r"([\d.]+) (samples|tokens) (?:and|a second)")


@pytest.mark.skipif(cached_base() is None, reason="the embedded model is not in the cache")
def test_a_small_one_goes_all_the_way(tmp_path, capsys):
    model = tmp_path / "model"
    tokenizer = cached_base() / "tokenizer.json"
    small = (dict(whole_model.TEXT) | TEXT, dict(whole_model.VISION) | VISION)
    whole_model.make(model, tokenizer, *small)
    whole_model.main([str(tmp_path), "--steps", "1", "--tokens", "4"])
    printed = capsys.readouterr().out
    assert "random weights" in printed
    assert "training, 1 steps of 32 samples" in printed
    figures = [float(number) for number, _ in FIGURE.findall(printed)]
    assert len(figures) == 4
    assert all(figure > 0 for figure in figures)
