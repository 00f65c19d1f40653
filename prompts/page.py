"""Every word of the chat page, one table a language. Knows nothing of what the page does.

``tests/test_page_words.py`` holds each language to the keys and slots of English.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from prompts import read_table


@cache
def load(language: str) -> Mapping[str, str]:
    """Read the words of the page in one language; raises ValueError for an unknown one."""
    return MappingProxyType(read_table(language, "page.toml"))
