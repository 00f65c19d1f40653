"""A prompt as the messages of a chat, pictures as data URLs. Knows nothing of servers.

The text is the vlm writer's own; who speaks is marked by control characters, which no stranger's
text can hold, and the server's template puts its model's own marks in their place.
"""

import base64
import re
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from assistant.writers.vlm.prompt import Markup

USER, MODEL = "\x02", "\x03"
MARKUP = Markup(picture_start="", picture="", picture_end="", user=USER, model=MODEL, end="")
SPEAKER = {USER: "user", MODEL: "assistant"}


def messages(prompt: str, pixels: Float32[np.ndarray, "picture h w"]) -> list[dict[str, Any]]:
    """Cut a prompt with ``MARKUP`` into messages; the first holds the pictures of 0..1."""
    _, *parts = re.split(f"([{USER}{MODEL}])", prompt)
    said: list[dict[str, Any]] = [
        {"role": SPEAKER[mark], "content": text}
        for mark, text in zip(parts[::2], parts[1::2], strict=True)
        if text
    ]
    if len(pixels):
        shown = [{"type": "image_url", "image_url": {"url": _data_url(one)}} for one in pixels]
        said[0]["content"] = [*shown, {"type": "text", "text": said[0]["content"]}]
    return said


def _data_url(pixels: Float32[np.ndarray, "h w"]) -> str:
    """Write one grey picture as a PNG in an address; it has no metadata."""
    stream = BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
