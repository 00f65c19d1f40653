"""What a bundle says of its channels, read without running any of it. Knows no scan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segment.masks.table import named
from segment.models.brought import read_json, refusal

GIVE = "give the folder of a MONAI bundle, with configs/ and models/model.pt"
BACKGROUND = "background"
SIDES = ("left", "right")


def read_labels(folder: Path) -> tuple[str, ...]:
    """Name the channels of a bundle's prediction, the first of which is background.

    Names are written as TotalSegmentator writes them: ``Right Kidney`` is ``kidney_right``. Raises
    FolderError for what cannot be used here.
    """
    name = folder.resolve().name
    table = read_json(folder / "configs" / "metadata.json", name, GIVE)
    try:
        data = table["network_data_format"]
        image, found = data["inputs"]["image"], data["outputs"]["pred"]
        channels = int(image["num_channels"])
        labels = _in_order(found["channel_def"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"no readable {error}" if isinstance(error, KeyError) else "another"
        raise refusal(name, "MONAI's network_data_format", told, "correct metadata.json") from error
    if channels != 1:
        raise refusal(name, "a network of one scan", f"one of {channels}", "give another bundle")
    if len(labels) < 2 or labels[0] != BACKGROUND:
        shown = ", ".join(labels[:3])
        raise refusal(name, "background and labels", shown, "give a bundle that segments")
    known = named("of the bundle", list(enumerate(labels))[1:])
    if all(label.structure is None for label in known.labels):
        shown = ", ".join(labels[1:4])
        advice = "give a bundle of organs that `segment/organs` has"
        raise refusal(name, "a label of a known organ", shown, advice)
    return labels


def _in_order(table: Mapping[str, Any]) -> tuple[str, ...]:
    """List names by their channel; raises ValueError where one is missing."""
    by_channel = {int(channel): _written(str(name)) for channel, name in table.items()}
    if sorted(by_channel) != list(range(len(by_channel))):
        raise ValueError(table)
    return tuple(by_channel[channel] for channel in sorted(by_channel))


def _written(name: str) -> str:
    """Write a name as TotalSegmentator does: small, the side behind."""
    words = name.lower().replace("_", " ").split()
    if words and words[0] in SIDES:
        words = [*words[1:], words[0]]
    return "_".join(words)
