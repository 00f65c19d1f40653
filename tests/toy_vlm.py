"""A vision-language model of some thousand weights in the very files that MedGemma 4B comes in.

It says nothing sensible: it proves loading, prompting with pictures, LoRA, merging and generation.
"""

import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from assistant.vision_shim import ensure_torchvision

FIRST = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]")
TURNS = ("<start_of_turn>", "<end_of_turn>")
BREAKS = ("\n", "\n\n", "\n\n\n")
UNUSED = (*range(100), *range(1000, 1064), *range(2000, 2010), *range(3000, 3004))
BYTES = tuple(f"<0x{n:02X}>" for n in range(256))
IMAGE = ("<start_of_image>", "<end_of_image>")
SOFT = "<image_soft_token>"
# Single characters that hold a number in some script, as Gemma's vocabulary has them too.
NUMERIC = "0123456789²½Ⅳ①٣৩三十"
SENTENCES = (
    "The volume of the left hippocampus is within the reference range.",
    "The right hippocampus is larger than the left one, and not reliably measurable.",
    "volume, left hippocampus: , reliable, within reference",
    "language: en\nreport\nquestion: Is the hippocampus small? Compare both sides.",
    "This was not measured in this study. No difference between the sides is shown.",
    "左侧海马体积在参考范围内，右侧海马体积无法可靠测量。",
)
IMAGE_PX, PATCH_PX, TOKENS_PER_IMAGE = 24, 4, 4
WIDTH, VISION_WIDTH = 32, 16
PADDING_ROWS = 7  # the embedding has rows that no token uses, as MedGemma's has


def toy_checkpoint(folder: Path, *, seed: int = 0, texts: Iterable[str] = (), soft=True) -> Path:
    """Write a model into a folder that is made; ``texts`` add to what its tokenizer can spell.

    Without ``soft`` its vocabulary lacks the image's token, as that of Gemma 3 270M does, and
    ``<unused3000>`` stands in for it.
    """
    folder.mkdir(parents=True)
    tokenizer = toy_tokenizer(texts, soft=soft)
    tokenizer.save(str(folder / "tokenizer.json"))
    network = toy_network(tokenizer, seed=seed)
    _write_json(folder / "config.json", _config_of(network))
    ends = [tokenizer.token_to_id(token) for token in ("<eos>", "<end_of_turn>")]
    _write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": 2,
            "eos_token_id": ends,
            "pad_token_id": 0,
            "cache_implementation": "hybrid",
        },
    )
    _write_shards(folder, network)
    _write_processor(folder, tokenizer)
    return folder


def toy_text_model(folder: Path, *, seed: int = 0, texts: Iterable[str] = (), soft=False) -> Path:
    """Write the language model of ``toy_checkpoint`` alone, as the converted Gemma 3 270M lies."""
    folder.mkdir(parents=True)
    tokenizer = toy_tokenizer(texts, soft=soft)
    tokenizer.save(str(folder / "tokenizer.json"))
    network = toy_network(tokenizer, seed=seed)
    config = network.config.text_config.to_dict()
    classed = {"architectures": ["Gemma3ForCausalLM"], "dtype": "float32"}
    _write_json(folder / "config.json", config | classed)
    language = network.model.language_model.state_dict()
    state = {f"model.{name}": tensor.contiguous() for name, tensor in language.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def toy_tokenizer(texts: Iterable[str] = (), *, soft: bool = True) -> Tokenizer:
    """Build a tokenizer that works as Gemma's does: spaces as marks, bytes where letters lack."""
    words = [*SENTENCES, *_phrases(), *texts]
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = normalizers.Replace(" ", "▁")
    learnt.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    letters = sorted({chr(n) for n in range(33, 127)} | {"▁"} | set(NUMERIC))
    trainer = trainers.BpeTrainer(
        vocab_size=2500, show_progress=False, initial_alphabet=letters, min_frequency=3
    )
    learnt.train_from_iterator(
        ["".join(w for w in text if not w.isdigit()) for text in words], trainer
    )
    model = json.loads(learnt.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    merges = [tuple(pair) for pair in model["merges"]]
    specials = [*FIRST, *(f"<unused{n}>" for n in UNUSED if n < 99), *TURNS]
    late = [*IMAGE, *(f"<unused{n}>" for n in UNUSED if n >= 99), *([SOFT] if soft else [])]
    order = [*specials, *BREAKS, *BYTES, *(p for p in pieces if p not in BREAKS), *late]
    vocab = {piece: number for number, piece in enumerate(order)}
    bpe = models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return _dressed(bpe, specials + late)


def toy_network(tokenizer: Tokenizer, *, seed: int = 0):
    """Build the network with random weights; the caller's random numbers stay as they are."""
    ensure_torchvision()
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    rows = tokenizer.get_vocab_size()
    image = tokenizer.token_to_id(SOFT) or tokenizer.token_to_id("<unused3000>")
    config = Gemma3Config(
        text_config=_text_config(rows + PADDING_ROWS),
        vision_config=_vision_config(),
        mm_tokens_per_image=TOKENS_PER_IMAGE,
        boi_token_index=tokenizer.token_to_id(IMAGE[0]),
        eoi_token_index=tokenizer.token_to_id(IMAGE[1]),
        image_token_index=image,
        eos_token_id=[1, tokenizer.token_to_id("<end_of_turn>")],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Gemma3ForConditionalGeneration(config)
        for parameter in network.parameters():  # no norm and no bias stays at its neutral value
            parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


def _phrases() -> list[str]:
    """Read what the phrasebooks can say, so that the tokenizer can spell it."""
    folders = (folder for folder in files("prompts").iterdir() if folder.is_dir())
    found = [path for folder in folders for path in folder.iterdir() if path.name.endswith(".toml")]
    return [path.read_text(encoding="utf-8") for path in found]


def _dressed(bpe: models.BPE, specials: list[str]) -> Tokenizer:
    """Put Gemma's normaliser, splitter, template and decoder around a vocabulary."""
    from tokenizers import AddedToken

    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    added = [AddedToken(token, normalized=False, special=True) for token in specials]
    tokenizer.add_special_tokens(added)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in BREAKS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def _text_config(rows: int) -> dict:
    return {
        "vocab_size": rows,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "max_position_embeddings": 1024,
        "sliding_window": 64,
        "layer_types": ["sliding_attention", "full_attention"],
    }


def _vision_config() -> dict:
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": VISION_WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": IMAGE_PX,
        "patch_size": PATCH_PX,
        "vision_use_head": False,
    }


def _config_of(network) -> dict:
    """Say what the hub's config.json says, in whose order and words does not matter."""
    config = network.config.to_dict()
    return config | {"architectures": ["Gemma3ForConditionalGeneration"], "dtype": "float32"}


def _hub_name(name: str) -> str:
    """Call a weight as the files on the hub do, which are older than today's classes."""
    name = name.removeprefix("model.")
    name = name.replace("language_model.", "language_model.model.", 1)
    return name.replace("vision_tower.", "vision_tower.vision_model.", 1)


def _write_shards(folder: Path, network) -> None:
    """Write the weights as two shards and their index; the tied head is not written."""
    state = {
        _hub_name(name): tensor.contiguous()
        for name, tensor in network.state_dict().items()
        if name != "lm_head.weight"
    }
    names = sorted(state)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    where = {}
    for number, half in enumerate(halves, start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: state[name] for name in half}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(half, file)
    total = sum(tensor.nbytes for tensor in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    _write_json(folder / "model.safetensors.index.json", index)


def _write_processor(folder: Path, tokenizer: Tokenizer) -> None:
    """Write what the hub's folder says of pictures, special tokens and the form of a dialogue."""
    tokens = {"boi_token": IMAGE[0], "eoi_token": IMAGE[1], "image_token": SOFT}
    named = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad", "unk")}
    _write_json(folder / "special_tokens_map.json", named | tokens)
    _write_json(
        folder / "tokenizer_config.json",
        named
        | tokens
        | {
            "add_bos_token": True,
            "extra_special_tokens": tokens,
            "processor_class": "Gemma3Processor",
            "tokenizer_class": "GemmaTokenizerFast",
        },
    )
    if (number := tokenizer.token_to_id(SOFT)) is not None:
        _write_json(folder / "added_tokens.json", {SOFT: number})
    half = [0.5, 0.5, 0.5]
    _write_json(
        folder / "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": half,
            "image_std": half,
            "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": TOKENS_PER_IMAGE,
            "processor_class": "Gemma3Processor",
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": IMAGE_PX, "width": IMAGE_PX},
        },
    )
    _write_json(
        folder / "processor_config.json",
        {"image_seq_length": TOKENS_PER_IMAGE, "processor_class": "Gemma3Processor"},
    )


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
