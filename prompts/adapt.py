"""The words of an organ that a user adds, made of its name. Knows nothing of scans or networks.

``tests/test_adapt.py`` holds each language to the keys and slots of English.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from prompts import read_table


@cache
def load(language: str) -> Mapping[str, str]:
    """Read the patterns of one language; raises ValueError for an unknown one."""
    return MappingProxyType(read_table(language, "adapt.toml"))
