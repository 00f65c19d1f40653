"""Keeps transformers and peft from drawing bars and printing notes. Knows nothing of models.

What it would say is either refused in a sentence of ours or yielded as a step.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

from assistant.vision_shim import ensure_torchvision

# peft 0.21 asks transformers 5.23 by a name that transformers has given up: for its makers to mend.
BETWEEN_THEM = "`is_gradient_checkpointing` is deprecated"


@contextmanager
def quietly() -> Iterator[None]:
    """Switch transformers' bars and notes off, and back to what they were."""
    ensure_torchvision()
    from transformers.utils import logging

    had_bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        # the bar of dequantising asks no switch
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", BETWEEN_THEM, FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
