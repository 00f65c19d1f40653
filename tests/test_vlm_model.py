"""A model in MedGemma's layout is loaded, adapted, merged and saved; others are refused."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.writers.vlm import memory, parts
from assistant.writers.vlm.adapter import (
    KEY,
    BaseFacts,
    Rank,
    add_adapter,
    load_adapter,
    merge,
    save_adapter,
)
from assistant.writers.vlm.checkpoint import TEXT, Checkpoint, inspect
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.model import (
    Model,
    Placement,
    load_checkpoint,
    load_embedded,
)
from assistant.writers.vlm.parts import read_parts, write_parts
from assistant.writers.vlm.saving import save_checkpoint
from tests.toy_vlm import IMAGE_PX, toy_checkpoint, toy_text_model

EXACT = Placement(device="cpu", precision="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole model's folder that no test changes."""
    return toy_checkpoint(tmp_path_factory.mktemp("toy") / "medgemma-toy")


@pytest.fixture
def copy(folder, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(folder, tmp_path / "medgemma-toy")


@pytest.fixture
def model(folder):
    return load_checkpoint(folder, EXACT)


@pytest.fixture
def adapter(folder, tmp_path):
    """An adapter of the toy, trained to nowhere in particular, and the model it sits on."""
    model = load_checkpoint(folder, EXACT)
    adapted = add_adapter(model.network, Rank(r=4, alpha=8))
    shake(adapted)
    save_adapter(adapted, tmp_path / "adapter", model.base)
    return tmp_path / "adapter"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A language model without a tower, and parts that were trained with it."""
    root = tmp_path_factory.mktemp("embedded")
    text = toy_text_model(root / "gemma3-toy", soft=False)
    whole = load_checkpoint(toy_checkpoint(root / "whole", soft=False), EXACT)
    language = inspect(text, "gemma3-toy", TEXT)
    facts = BaseFacts("gemma3-toy", language.fingerprint, 32)
    adapted = add_adapter(whole.network, Rank(r=4))
    shake(adapted)
    save_adapter(adapted, root / "parts" / "adapter", facts)
    plain = adapted.unload()
    write_parts(root / "parts", plain, facts, torch.float32)
    return text, root / "parts"


def shake(adapted):
    """Give an adapter an effect: a fresh one does nothing."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


def pictures(n=2, seed=0):
    shape = (n, IMAGE_PX, IMAGE_PX)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def asked(model, n=2, seed=0):
    return model.inputs(model.image_block * n + "\nreport", pictures(n, seed))


def logits(network, inputs):
    with torch.inference_mode():
        return network(**inputs).logits


def refused(code, *args, **options):
    with pytest.raises(ModelError) as caught:
        load_checkpoint(*args, **options)
    assert caught.value.code is code
    assert "/" not in str(caught.value).replace("nobody/nothing", "")
    return str(caught.value)


# loading and prompting


def test_the_loaded_network_is_the_one_that_transformers_loads_by_itself(folder, model):
    from transformers import AutoModelForImageTextToText

    other = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(other) is type(model.network)
    inputs = asked(model)
    assert torch.equal(logits(model.network, inputs), logits(other, inputs))


def test_a_prompt_is_tokenised_as_medgemmas_own_processor_does(folder, model):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    seen = (pictures() * 255).round().astype(np.uint8)
    theirs = processor(
        text="<start_of_image><start_of_image>report",
        images=[np.repeat(picture[..., None], 3, axis=-1) for picture in seen],
        return_tensors="pt",
    )
    block = f"\n\n{model.image_block}\n\n"
    ours = model.inputs(block * 2 + "report", (seen / 255).astype(np.float32))
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        assert torch.equal(ours[name], theirs[name])
    torch.testing.assert_close(ours["pixel_values"], theirs["pixel_values"], rtol=0, atol=1e-5)


def test_another_picture_gives_other_logits(model):
    first, second = (logits(model.network, asked(model, seed=seed)) for seed in (0, 1))
    assert (first - second).abs().max() > 1e-3


def test_some_tokens_are_generated_after_the_pictures(model):
    inputs = asked(model)
    found = model.network.generate(**inputs, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert found.shape[1] == inputs["input_ids"].shape[1] + 4


def test_a_prompt_without_pictures_needs_none(model):
    assert "pixel_values" not in asked(model, n=0)
    assert logits(model.network, asked(model, n=0)).isfinite().all()


def test_a_prompt_with_another_number_of_pictures_is_refused(model):
    with pytest.raises(ValueError, match="places for 1 pictures and 2 were given"):
        model.inputs(model.image_block, pictures())


def test_the_head_is_the_embedding(model):
    whole = model.network
    assert whole.lm_head.weight is whole.model.language_model.embed_tokens.weight


def test_half_precision_is_the_default(folder):
    assert Placement().dtype is torch.bfloat16
    found = load_checkpoint(folder, Placement(device="cpu"))
    assert {p.dtype for p in found.network.parameters()} == {torch.bfloat16}
    assert logits(found.network, asked(found)).isfinite().all()


def test_loading_says_nothing(folder, capfd):
    load_checkpoint(folder, EXACT)
    assert capfd.readouterr() == ("", "")


def test_loading_leaves_transformers_as_talkative_as_it_was(folder):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    load_checkpoint(folder, EXACT)
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before


# the embedded model


def test_the_embedded_model_is_put_together_of_its_parts(shipped):
    found = load_embedded(*shipped, EXACT)
    assert set(found.sha256) == {"base", "parts", "adapter"}
    assert logits(found.network, asked(found)).isfinite().all()


def test_a_picture_stands_for_an_unused_token_where_the_vocabulary_has_no_other(shipped):
    found = load_embedded(*shipped, EXACT)
    assert found.image_block == "<start_of_image>" + "<unused3000>" * 4 + "<end_of_image>"
    assert found.config.image_token_id < found.config.text_config.vocab_size


def test_its_tower_and_its_projector_are_the_trained_ones(shipped):
    base, folder = shipped
    whole = load_embedded(base, folder, EXACT, with_adapter=False).network
    trained = read_parts(folder)
    tower, projector = whole.model.vision_tower, whole.model.multi_modal_projector
    for network, state in ((tower, trained.tower), (projector, trained.projector)):
        assert set(network.state_dict()) == set(state)
        assert all(torch.equal(network.state_dict()[name], state[name]) for name in state)


def test_its_language_model_is_the_base_untouched(shipped):
    base, folder = shipped
    whole = load_embedded(base, folder, EXACT, with_adapter=False).network
    state = load_file(base / "model.safetensors")
    found = whole.model.language_model.state_dict()
    assert all(torch.equal(found[name.removeprefix("model.")], state[name]) for name in state)


@pytest.mark.parametrize("file", [parts.TOWER, parts.PROJECTOR, "adapter/adapter_config.json"])
def test_a_shipped_file_that_was_changed_is_refused(shipped, tmp_path, file):
    base, folder = shipped[0], shutil.copytree(shipped[1], tmp_path / "parts")
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match="expected sha256") as caught:
        load_embedded(base, folder, EXACT)
    assert caught.value.code is Fault.WRONG_HASH


def test_a_shipped_file_that_is_gone_is_refused(shipped, tmp_path):
    folder = shutil.copytree(shipped[1], tmp_path / "parts")
    (folder / parts.TOWER).unlink()
    with pytest.raises(ModelError, match=r"expected vision_tower\.safetensors"):
        load_embedded(shipped[0], folder, EXACT)


@pytest.mark.parametrize("content", [None, "{}", "["])
def test_parts_without_their_manifest_are_refused(shipped, tmp_path, content):
    folder = shutil.copytree(shipped[1], tmp_path / "parts")
    (folder / parts.MANIFEST).unlink()
    if content is not None:
        (folder / parts.MANIFEST).write_text(content)
    with pytest.raises(ModelError, match=r"manifest\.json"):
        load_embedded(shipped[0], folder, EXACT)


def test_parts_of_another_base_are_refused(shipped, tmp_path):
    other = toy_text_model(tmp_path / "other", soft=False, seed=1)
    with pytest.raises(ModelError, match="found other weights") as caught:
        load_embedded(other, shipped[1], EXACT)
    assert caught.value.code is Fault.WRONG_ADAPTER


# the adapter


def test_a_fresh_adapter_changes_nothing(model):
    inputs = asked(model)
    before = logits(model.network, inputs)
    assert torch.equal(logits(add_adapter(model.network, Rank()), inputs), before)


def test_with_the_adapter_disabled_the_outputs_are_the_bases(folder, model, adapter):
    inputs = asked(model)
    before = logits(model.network, inputs)
    adapted = load_checkpoint(folder, EXACT, adapter=adapter).network
    assert not torch.allclose(logits(adapted, inputs), before, atol=1e-3)
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted, inputs), before)


def test_a_merged_adapter_gives_what_it_gave_unmerged(folder, adapter):
    model = load_checkpoint(folder, EXACT, adapter=adapter)
    inputs = asked(model)
    unmerged = logits(model.network, inputs)
    merged = merge(model.network)
    torch.testing.assert_close(logits(merged, inputs), unmerged, rtol=0, atol=1e-4)
    assert merged.lm_head.weight is merged.model.language_model.embed_tokens.weight


def test_only_layers_of_the_language_model_are_adapted_and_no_embedding(adapter):
    names = list(load_file(adapter / "adapter_model.safetensors"))
    assert names
    assert all(".language_model.layers." in name and "lora_" in name for name in names)
    assert json.loads((adapter / "adapter_config.json").read_text())["modules_to_save"] is None


def test_a_saved_adapter_names_no_folder(folder, adapter):
    text = (adapter / "adapter_config.json").read_text()
    assert str(folder.parent) not in text
    assert json.loads(text)["base_model_name_or_path"] == folder.name


@pytest.mark.slow
def test_a_saved_adapter_gives_the_same_in_a_fresh_process_and_in_plain_peft(folder, adapter):
    model = load_checkpoint(folder, EXACT, adapter=adapter)
    ids = torch.tensor([[2, 110, 400, 401]])
    here = logits(model.network, {"input_ids": ids})
    code = (
        "import sys, torch\n"
        "from assistant.vision_shim import ensure_torchvision; ensure_torchvision()\n"
        "from peft import PeftModel\n"
        "from transformers import AutoModelForImageTextToText\n"
        "base = AutoModelForImageTextToText.from_pretrained(sys.argv[1])\n"
        "adapted = PeftModel.from_pretrained(base, sys.argv[2]).eval()\n"
        "with torch.inference_mode(): found = adapted(input_ids=torch.tensor([[2,110,400,401]]))\n"
        "torch.save(found.logits, sys.argv[3])\n"
    )
    output = adapter.parent / "logits.pt"
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder), str(adapter), str(output)]
    subprocess.run(command, check=True, capture_output=True)
    torch.testing.assert_close(torch.load(output), here, rtol=0, atol=1e-5)


def test_a_loaded_adapter_can_be_trained_on(model, adapter):
    adapted = load_adapter(model.network, adapter, model.base, is_trainable=True)
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_an_adapter_of_other_weights_of_the_same_name_is_refused(tmp_path, adapter):
    other = toy_checkpoint(tmp_path / "other" / "medgemma-toy", seed=1)
    sentence = refused(Fault.WRONG_ADAPTER, other, EXACT, adapter=adapter)
    assert "expected medgemma-toy, for which it was made" in sentence
    assert "found other weights of medgemma-toy" in sentence


def test_an_adapter_of_another_model_is_refused_by_its_name(tmp_path, adapter):
    other = toy_checkpoint(tmp_path / "gemma-toy", seed=1)
    assert "found gemma-toy" in refused(Fault.WRONG_ADAPTER, other, EXACT, adapter=adapter)


def test_an_adapter_of_plain_peft_is_held_against_the_layers(folder, adapter):
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file(tensors, path, metadata={"format": "pt"})
    load_checkpoint(folder, EXACT, adapter=adapter)
    wider = {k: v.repeat(1, 2) if "q_proj.lora_A" in k else v for k, v in tensors.items()}
    save_file(wider, path, metadata={"format": "pt"})
    sentence = refused(Fault.WRONG_ADAPTER, folder, EXACT, adapter=adapter)
    assert "layers 64 wide" in sentence


def test_an_adapter_that_brings_an_embedding_is_refused(folder, adapter):
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors["base_model.model.lm_head.weight"] = torch.zeros(2, 2)
    save_file(tensors, path, metadata={"format": "pt"})
    assert "modules_to_save" in refused(Fault.WRONG_ADAPTER, folder, EXACT, adapter=adapter)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"peft_type": "IA3"}, "found IA3"),
        ({"modules_to_save": ["lm_head"]}, "found modules_to_save"),
        ({"megatron_config": {"a": 1}}, "found megatron_config"),
    ],
)
def test_an_adapter_that_is_no_plain_lora_is_refused(folder, adapter, change, found):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert found in refused(Fault.WRONG_ADAPTER, folder, EXACT, adapter=adapter)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_that_lacks_a_file_is_refused(folder, adapter, file):
    (adapter / file).unlink()
    assert f"with {file}" in refused(Fault.MISSING, folder, EXACT, adapter=adapter)


def test_an_adapter_whose_header_is_spoilt_is_refused(folder, adapter):
    path = adapter / "adapter_model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", KEY: "[]"})
    sentence = refused(Fault.DAMAGED, folder, EXACT, adapter=adapter)
    assert "expected to read for which base it was made, found no such facts" in sentence


# saving


def test_a_merged_model_is_saved_so_that_both_load_it(folder, adapter, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = load_checkpoint(folder, EXACT, adapter=adapter)
    inputs = asked(model)
    merged = merge(model.network)
    expected = logits(merged, inputs)
    saved = Model(merged, model.tokenizer, model.base, model.sha256)
    save_checkpoint(saved, tmp_path / "merged")
    theirs = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    assert torch.equal(logits(theirs, inputs), expected)
    ours = load_checkpoint(tmp_path / "merged", EXACT)
    assert torch.equal(logits(ours.network, asked(ours)), expected)
    assert AutoProcessor.from_pretrained(tmp_path / "merged").image_seq_length == 4


def test_a_model_with_its_adapter_still_on_is_not_saved_whole(folder, adapter, tmp_path):
    model = load_checkpoint(folder, EXACT, adapter=adapter)
    with pytest.raises(ValueError, match="merge the adapter first"):
        save_checkpoint(model, tmp_path / "whole")


# what is refused


def test_a_folder_that_is_not_there_is_refused_by_its_name_alone(tmp_path):
    assert "'nowhere'" in refused(Fault.MISSING, tmp_path / "nowhere", EXACT)


def test_a_folder_without_a_model_is_refused(tmp_path):
    assert "config.json" in refused(Fault.MISSING, tmp_path, EXACT)


@pytest.mark.parametrize("found", [["LlavaForConditionalGeneration"], ["Gemma3ForCausalLM"], None])
def test_another_class_is_refused(copy, found):
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": found}))
    sentence = refused(Fault.WRONG_CLASS, copy, EXACT)
    assert (found[0] if found else "gemma3") in sentence


def test_a_missing_shard_is_refused_by_its_name(copy):
    (copy / "model-00002-of-00002.safetensors").unlink()
    sentence = refused(Fault.MISSING_SHARD, copy, EXACT)
    assert "expected 2 files of weights" in sentence
    assert "model-00002-of-00002.safetensors" in sentence


def test_an_index_cannot_point_out_of_the_folder(copy):
    path = copy / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../../secret.safetensors")
    path.write_text(json.dumps(index))
    assert "secret.safetensors" in refused(Fault.MISSING_SHARD, copy, EXACT)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_shard_that_was_cut_is_refused(copy, kept):
    path = copy / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert path.name in refused(Fault.DAMAGED, copy, EXACT)


def spoil(folder, change):
    """Change the projector's matrix in whichever shard holds it."""
    name = "multi_modal_projector.mm_input_projection_weight"
    path = inspect(folder, "toy").weights[name].shard
    tensors = load_file(path)
    matrix = tensors.pop(name)
    save_file(tensors | change(name, matrix), path, metadata={"format": "pt"})


def test_a_shard_that_lacks_a_weight_is_refused(copy):
    spoil(copy, lambda name, matrix: {})
    assert "mm_input_projection_weight" in refused(Fault.DAMAGED, copy, EXACT)


def test_a_weight_of_another_shape_is_refused(copy):
    spoil(copy, lambda name, matrix: {name: matrix.T.contiguous()})
    assert "fit its config.json" in refused(Fault.DAMAGED, copy, EXACT)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_file_that_is_no_json_object_is_refused(copy, file, content):
    (copy / file).write_text(content)
    assert file in refused(Fault.DAMAGED, copy, EXACT)


def test_a_folder_without_a_tokenizer_is_refused(copy):
    (copy / "tokenizer.json").unlink()
    sentence = refused(Fault.WRONG_TOKENIZER, copy, EXACT)
    assert "expected tokenizer.json in the folder, found none" in sentence


def test_a_tokenizer_file_that_is_none_is_refused(copy):
    (copy / "tokenizer.json").write_text("{}")
    sentence = refused(Fault.WRONG_TOKENIZER, copy, EXACT)
    assert "expected a tokenizer, found another file" in sentence


def test_a_tokenizer_of_another_model_is_refused(copy):
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boi_token_index": 7}))
    assert "<start_of_image>" in refused(Fault.WRONG_TOKENIZER, copy, EXACT)


def test_a_name_on_the_hub_is_refused_while_offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "offline" in refused(Fault.OFFLINE, "nobody/nothing", EXACT)


def test_a_model_for_which_there_is_no_memory_is_refused_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", folder / "config.json")
    monkeypatch.setattr("assistant.writers.vlm.model.available_bytes", lambda device: 200_000_000)
    sentence = refused(Fault.NO_MEMORY, folder, EXACT)
    assert "expected 0.3 GB of free memory, found 0.2 GB" in sentence
    assert "embedded model or the template writer" in sentence


def test_a_gpu_that_is_not_there_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "found none" in refused(Fault.NO_DEVICE, folder, Placement(device="cuda"))


def test_four_bits_without_bitsandbytes_are_refused(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    four_bits = Placement(device="cpu", precision="4bit")
    assert "bitsandbytes" in refused(Fault.NOT_INSTALLED, folder, four_bits)


# what is measured of a folder


def test_the_fingerprint_is_the_same_for_a_copy_and_another_for_other_weights(
    folder, copy, tmp_path
):
    other = toy_checkpoint(tmp_path / "other", seed=1)
    first, second, third = (inspect(each, "toy").fingerprint for each in (folder, copy, other))
    assert first == second != third


def test_twice_the_width_needs_twice_the_memory_and_four_bits_the_least(folder):
    weights = inspect(folder, "toy").weights.items()
    half, full, four = (
        memory.needed_bytes(weights, precision) - memory.FIXED_BYTES
        for precision in ("bfloat16", "float32", "4bit")
    )
    assert full == pytest.approx(2 * half, abs=1)
    assert four < half


def test_a_model_of_medgemmas_size_needs_about_ten_gigabytes_in_half_precision():
    from assistant.writers.vlm.checkpoint import Stored

    weights = {"w": Stored(Path("one"), "BF16", (4_300_079, 1000), 0, 0)}
    assert memory.needed_bytes(weights.items(), "bfloat16") / 1e9 == pytest.approx(10, abs=0.5)


def test_a_containers_limit_counts_without_what_can_be_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert memory.available_bytes("cpu") is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 500\nfile 400\n")
    assert memory.available_bytes("cpu") == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_bytes("cpu") is None


def test_the_machines_free_memory_is_read_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    3 kB\n")
    assert memory.available_bytes("cpu") == 3072


def test_a_checkpoint_says_which_weights_lie_in_which_shard(folder):
    found = inspect(folder, "toy")
    assert isinstance(found, Checkpoint)
    stored = found.weights["language_model.model.norm.weight"]
    assert stored.shape == (32,)
    raw = stored.shard.read_bytes()[stored.start : stored.stop]
    expected = load_file(stored.shard)["language_model.model.norm.weight"].numpy().tobytes()
    assert hashlib.sha256(raw).digest() == hashlib.sha256(expected).digest()
