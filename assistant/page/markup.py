"""Small pieces of HTML in which every text of a file or a person is escaped. Knows no page."""

import html
import re

from assistant.rows import one_line

SYNTAX = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>&~$^:])")


def text(value: object) -> str:
    """Escape a text for HTML, inside quotes too; controls and changes of direction go."""
    return html.escape(one_line(str(value)), quote=True)


def tag(name: str, inner: str = "", **attributes: object) -> str:
    """Write an element; ``inner`` is HTML already, attributes are escaped; None leaves one out.

    ``class_`` stands for class, ``data_mm`` for data-mm; True is an attribute without a value.
    """
    given = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items()}
    parts = [
        f" {k}" if v is True else f' {k}="{text(v)}"'
        for k, v in given.items()
        if v is not None and v is not False
    ]
    return f"<{name}{''.join(parts)}>{inner}</{name}>"


def markdown(value: str) -> str:
    """Escape a text for Markdown: nothing in it is a link, a picture or a heading."""
    return SYNTAX.sub(r"\\\1", one_line(value))
