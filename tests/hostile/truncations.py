"""Good files of each format, cut at twenty places."""

from tests.hostile.case import ANY, Case
from tests.hostile.make import archive, dicom_slices, nifti

POINTS = tuple(point / 20 for point in range(20))


def cut(path, share):
    """Keep a share of a file's bytes, none of them at the first place."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def plain(folder, share):
    return cut(nifti(folder, "scan.nii"), share)


def compressed(folder, share):
    return cut(nifti(folder), share)


def zipped(folder, share):
    content = nifti(folder).read_bytes()
    return cut(archive(folder, [("scan.nii.gz", content)]), share)


def sliced(folder, share):
    """Cut one slice that has others before and behind it."""
    study = dicom_slices(folder / "study")
    cut(sorted(study.iterdir())[2], share)
    return study


MADE = {"NIfTI": plain, "gzip": compressed, "zip": zipped, "DICOM": sliced}
TRUNCATIONS = tuple(
    Case("cut files", f"{name} cut at {share:.0%}", make, ANY, arguments={"share": share})
    for name, make in MADE.items()
    for share in POINTS
)
