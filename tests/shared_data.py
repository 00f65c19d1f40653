"""Where the real scans lie that are too large for the repository."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_data(*parts):
    """Return a path below ``../shared/data`` or VOXCITE_DATA; skip the test where it is absent."""
    folder = Path(os.environ.get("VOXCITE_DATA") or REPOSITORY.parent / "shared" / "data")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} of the shared data; VOXCITE_DATA says where they are")
    return path
