"""A small CT and the labels that somebody drew in it, as files."""

import nibabel
import numpy as np

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SHAPE = (20, 18, 16)
VOXEL_MM3 = 12.0
SPLEEN, RIGHT_KIDNEY, LIVER, UPPER_LEFT, LOWER_LEFT = 1, 2, 5, 10, 11
TISSUE_HU, AIR_HU = 50, -1000


def labels():
    """Draw a spleen, a liver that leaves the field, and a left lung in two lobes."""
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[4:8, 4:8, 4:8] = SPLEEN
    drawn[10:14, 4:8, 10:16] = LIVER
    drawn[4:8, 11:13, 4:8] = UPPER_LEFT
    drawn[4:8, 13:15, 4:8] = LOWER_LEFT
    return drawn


def ct():
    """Fill what is drawn with one value and everything else with air."""
    return np.where(labels() > 0, TISSUE_HU, AIR_HU).astype(np.int16)


def write(path, array, affine=AFFINE, names=None):
    """Write NIfTI; ``names`` are written as TotalSegmentator does."""
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    if names is not None:
        rows = "".join(
            f'<Label Key="{key}" Red="0" Green="1" Blue="0" Alpha="1"><![CDATA[{name}]]></Label>'
            for key, name in names.items()
        )
        table = f"<CaretExtension><LabelTable>{rows}</LabelTable></CaretExtension>"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("ignore", table.encode()))
    image.to_filename(path)
    return path


def write_pair(folder, drawn=None, scan=None, affine=AFFINE):
    """Write a scan and its labels."""
    scan = write(folder / "ct.nii.gz", ct() if scan is None else scan)
    return scan, write(folder / "mask.nii.gz", labels() if drawn is None else drawn, affine)
