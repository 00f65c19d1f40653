"""Where this user's converted models are kept. Knows nothing of what they are."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Name the folder: VOXCITE_CACHE, or voxcite in the platform's cache."""
    if chosen := os.environ.get("VOXCITE_CACHE"):
        return Path(chosen)
    platform = os.environ.get("XDG_CACHE_HOME")
    return (Path(platform) if platform else Path.home() / ".cache") / "voxcite"
