"""What a model may write and how its prompts are marked up, by its tokenizer. Loads no network."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenizers import Tokenizer

import prompts
from assistant.writers.vlm.corpus import Encoding, corpus, holds_number, vocabulary_words
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.model import IMAGE_TOKEN, STAND_IN, Model
from assistant.writers.vlm.prompt import Markup
from assistant.writers.vlm.slots import FIELDS, FIRST, MOST_RECORDS, SECTION_TOKEN
from assistant.writers.vlm.vocabulary import BYTE, NAMED, Vocabulary, make_vocabulary, spelled

TURN_START, TURN_END, END = "<start_of_turn>", "<end_of_turn>", "<eos>"
SLOTS = tuple(f"<unused{FIRST + n}>" for n in range(MOST_RECORDS * len(FIELDS)))


def vocabulary_of(
    tokenizer: Tokenizer, languages: Iterable[str], extra: Iterable[str] = ()
) -> Vocabulary:
    """List what may be written: the corpora's words, those of ``extra`` texts, slots and stops.

    Pieces of ``extra`` that could say a number are left out.
    """
    words = {*vocabulary_words(tokenizer, languages)}
    for text in extra:
        found: Encoding = tokenizer.encode(text, add_special_tokens=False)
        words |= {piece for piece in found.tokens if _is_word(piece)}
    return _vocabulary(words, tokenizer.get_vocab())


def markup_of(model: Model) -> Markup:
    """Say how a model's prompts are marked up."""
    config, tokenizer = model.config, model.tokenizer
    has_image = tokenizer.token_to_id(IMAGE_TOKEN) is not None
    tokens = config.mm_tokens_per_image or 0
    picture = IMAGE_TOKEN if has_image else STAND_IN
    if tokenizer.token_to_id(TURN_START) is None:
        return Markup(picture=picture, tokens_a_picture=tokens, user="", model="", end="\n")
    return Markup(picture=picture, tokens_a_picture=tokens)


def _is_word(piece: str) -> bool:
    """Tell whether a piece can be a word of a vocabulary."""
    is_special = BYTE.fullmatch(piece) or NAMED.fullmatch(piece)
    return not is_special and not holds_number(piece)


def read_vocabulary(path: Path, tokenizer: Tokenizer) -> Vocabulary | None:
    """Read the words that a training kept, but for hedges; None where this tokenizer has others.

    Raises ModelError for a file that holds no words.
    """
    try:
        words = json.loads(path.read_text(encoding="utf-8"))["words"]
        wanted = tuple(str(word) for word in words)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path.name}: expected the words of a training, found none; copy it again"
        raise ModelError(Fault.DAMAGED, msg) from error
    base = tokenizer.get_vocab()
    if any(word not in base for word in wanted):
        return None
    return _vocabulary([word for word in wanted if not _hedges(word)], base)


def _vocabulary(words: Iterable[str], base: Mapping[str, int]) -> Vocabulary:
    """Number words and the letters that they are made of, slots and stops.

    With its letters a word that was begun in an odd piece can always be brought to its end.
    """
    said = {*words}
    said |= {letter for word in said for letter in word if letter in base and _is_word(letter)}
    return make_vocabulary(said, (*SLOTS, SECTION_TOKEN), _stops(base), base)


def _hedges(piece: str) -> bool:
    """Tell whether a word does what the renderer does, and no wording of ours uses it."""
    word = spelled(piece).strip().lower()
    languages = prompts.languages()
    return any(word in prompts.load(name).lexicon["hedge"] for name in languages) and not any(
        word in corpus(name) for name in languages
    )


def _stops(base: Iterable[str]) -> tuple[str, ...]:
    known = set(base)
    return tuple(token for token in (TURN_END, END) if token in known)
