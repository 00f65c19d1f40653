"""Puts what a benchmark printed into a page of the documentation. Measures nothing."""

from pathlib import Path


def put_between(document: Path, begin: str, end: str, printed: str) -> None:
    """Write text between two marks of a page, in the place of what stood there."""
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{printed}\n{end}{after}", encoding="utf-8")
