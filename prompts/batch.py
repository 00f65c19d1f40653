"""Every word of a batch's summary, one table a language. Knows nothing of what is summed up.

``tests/test_batch_summary.py`` holds each language to the keys and slots of English.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from prompts import read_table


@cache
def load(language: str) -> Mapping[str, str]:
    """Read the words of the summary in one language; raises ValueError for an unknown one."""
    return MappingProxyType(read_table(language, "batch.toml"))
