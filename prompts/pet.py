"""Every word of the tables of a PET, one table a language. Knows nothing of what was measured.

``tests/test_pet_tables.py`` holds each language to the keys and slots of English.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from prompts import read_table


@cache
def load(language: str) -> Mapping[str, str]:
    """Read the words of the tables in one language; raises ValueError for an unknown one."""
    return MappingProxyType(read_table(language, "pet.toml"))
