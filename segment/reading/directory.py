"""A DICOMDIR names the files of a disc. Knows nothing of what is in them."""

from pathlib import Path

from segment.errors import Refusal, ScanError
from segment.reading.sandbox import answers
from segment.reading.source import file_bytes, file_name


def directory_files(path: Path) -> tuple[Path, ...]:
    """List the files that a DICOMDIR names, all of them below its own folder."""
    name = file_name(path)
    file_bytes(path)
    (answer,) = answers("directory", [str(path)], [path])
    listed = [_inside(path.parent, names, name) for names in answer.said["files"]]
    missing = sum(not file.is_file() for file in listed)
    if missing:
        msg = (
            f"{name}: expected the {len(listed)} files that it lists beside it, found {missing}"
            " of them missing; copy the whole disc, or give the folder of the scan"
        )
        raise ScanError(Refusal.MISSING, msg)
    return tuple(listed)


def _inside(folder: Path, names: list[str], name: str) -> Path:
    """Go down from a folder by plain names, whether the disc writes them large or small."""
    if any(part in {"", ".", ".."} or set(part) & set("/\\:\0") for part in names):
        msg = f"{name}: expected files in its folder, found a path that leads out; give the folder"
        raise ScanError(Refusal.UNSAFE_ARCHIVE, msg)
    path = folder.joinpath(*names)
    small = folder.joinpath(*(part.lower() for part in names))
    found = small if not path.exists() and small.exists() else path
    if not found.resolve().is_relative_to(folder.resolve()):
        msg = f"{name}: expected files in its folder, found a link out of it; give the folder"
        raise ScanError(Refusal.UNSAFE_ARCHIVE, msg)
    return found
