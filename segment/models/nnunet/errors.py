"""What can be wrong with a folder that nnU-Net is said to have written. Knows no scan."""


class FolderError(ValueError):
    """A folder that cannot be used; the sentence says what was expected and what to do."""


def refusal(name: str, expected: str, found: str, advice: str) -> FolderError:
    """Return the refusal of a folder in one sentence; nothing above its name is told."""
    return FolderError(f"{name}: expected {expected}, found {found}; {advice}")
