"""What is trained here beside the segmenters: its cards name it, and it stays small."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import pytest

READER = Path(str(files("assistant.readers.siglip")))
WRITER = Path(str(files("assistant.writers.vlm")))
QUESTIONS = Path(str(files("assistant.writers.questions")))
TOPICS = QUESTIONS / "weights.safetensors"
MOST_BYTES = 40e6


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parts():
    return json.loads((WRITER / "weights" / "manifest.json").read_text(encoding="utf-8"))["sha256"]


def test_the_readers_card_names_the_hash_of_its_weights():
    assert sha256(READER / "weights.safetensors") in (READER / "CARD.md").read_text("utf-8")


def test_the_writers_card_names_the_hash_of_its_manifest():
    manifest = WRITER / "weights" / "manifest.json"
    assert sha256(manifest) in (WRITER / "CARD.md").read_text(encoding="utf-8")


def test_the_card_of_topics_names_the_hash_of_its_model():
    assert sha256(TOPICS) in (QUESTIONS / "CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(parts()))
def test_the_manifest_names_the_hash_of_each_part(name):
    assert sha256(WRITER / "weights" / name) == parts()[name]


def test_tower_projector_and_adapter_are_small_enough_for_the_repository():
    shipped = [
        TOPICS,
        READER / "weights.safetensors",
        *(WRITER / "weights" / name for name in parts()),
    ]
    assert sum(path.stat().st_size for path in shipped) < MOST_BYTES
