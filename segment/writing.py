"""Tables written as TOML. Knows nothing of what they say."""

import json
from collections.abc import Mapping, Sequence

Value = str | int | float | bool | Sequence[str] | Sequence[int] | Sequence[float]


def toml_pair(key: str, value: Value) -> str:
    """Write a key and its value; JSON's texts, numbers and lists are TOML's."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def toml_text(table: Mapping[str, Value]) -> str:
    """Write a table, a pair a line."""
    return "".join(f"{toml_pair(*pair)}\n" for pair in table.items())
