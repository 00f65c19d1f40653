"""The benchmark of a training step gives both sides the same tokens and prints one ratio."""

import json
import re
from dataclasses import asdict

import pytest
import torch

from assistant.writers.vlm.batches import Tokens, padding
from assistant.writers.vlm.untrained import begin, markup_of, vocabulary_of
from tests.benchmarks.lora_step import NO_TARGET, batches, main, side_by_side
from tests.toy_training import toy_base, toy_plan

pytestmark = pytest.mark.slow  # a toy is trained, by both

RATE = re.compile(r"\| ([\w', ]+) \| ([\d.]+) \| [\d.]+ \|")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return toy_base(tmp_path_factory.mktemp("base"))


def test_the_trainer_gets_the_tokens_padding_and_targets_of_ours(base):
    plan = toy_plan(base, batch=3)
    model = begin(plan).model
    vocabulary = vocabulary_of(model.tokenizer, plan.languages)
    tokens = Tokens(model.tokenizer, vocabulary, markup_of(model), vocabulary.stops[0])
    together = batches(plan, tokens, 4)
    assert [len(samples) for samples in together] == [3] * 4
    assert max(map(padding, together)) < 0.5
    ours = tokens.batch(together[0])
    theirs = side_by_side([{"prompt": s.prompt, "target": s.target} for s in together[0]])
    assert torch.equal(theirs["input_ids"], ours.ids)
    assert torch.equal(theirs["attention_mask"], ours.mask)
    rows, columns = torch.nonzero(theirs["labels"] != NO_TARGET, as_tuple=True)
    assert (rows.tolist(), (columns - 1).tolist()) == (ours.rows.tolist(), ours.columns.tolist())
    ids = torch.tensor(vocabulary.ids)
    assert torch.equal(theirs["labels"][rows, columns], ids[ours.targets])


def test_both_rates_and_their_ratio_are_printed(base, tmp_path, capsys):
    plan = {
        key: list(v) if isinstance(v, tuple) else v for key, v in asdict(toy_plan(base)).items()
    }
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in plan.items())
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    options = ["--batch", "2", "--steps", "2", "--threads", "1", "--model", str(base)]
    main([*options, "--plan", str(tmp_path / "plan.toml")])
    told = capsys.readouterr().out
    assert [name for name, _ in RATE.findall(told)] == ["voxcite", "transformers' Trainer, peft"]
    assert re.search(r"^ratio [\d.]+$", told, re.MULTILINE)
