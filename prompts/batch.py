"""Every word of a batch's summary, one table a language. Knows nothing of what is summed up.

``tests/test_batch_summary.py`` holds each language to the keys and slots of English.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from prompts import languages


@cache
def load(language: str) -> Mapping[str, str]:
    """Read the words of the summary in one language; raises ValueError for an unknown one."""
    if language not in languages():
        msg = f"unknown language {language!r}; there are {', '.join(languages())}"
        raise ValueError(msg)
    text = files("prompts").joinpath(language, "batch.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(text))
