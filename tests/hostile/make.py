"""Makes good files of each format, and from them every bad one, by script, into a folder."""

import gzip
import io
import os
import stat
import struct
import zipfile

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SLOPE, UNITS, CODES, SFORM = 40, 70, 76, 108, 112, 123, 252, 280


def voxels(shape=(12, 14, 10), dtype=np.int16):
    return np.random.default_rng(0).integers(1, 1000, shape).astype(dtype)


def nifti(folder, name="scan.nii.gz", *, array=None, affine=None, patch=None, kind=None):
    """Write a NIfTI file; ``patch`` overwrites bytes of the header: (offset, format, values)."""
    image = (kind or nibabel.Nifti1Image)(
        voxels() if array is None else array, np.eye(4) if affine is None else affine
    )
    content = bytearray(image.to_bytes())
    for offset, form, *values in patch or ():
        struct.pack_into(form, content, offset, *values)
    path = folder / name
    path.write_bytes(gzip.compress(content, 1) if name.endswith("gz") else content)
    return path


def dicom_slices(
    folder,
    *,
    count=6,
    shape=(10, 8),
    spacing_mm=2.5,
    step=None,
    orientation=(1, 0, 0, 0, 1, 0),
    series=1,
    positions=None,
    **tags,
):
    """Write single-frame MR slices, not in the order of their positions."""
    folder.mkdir(parents=True, exist_ok=True)
    across, down = np.reshape(orientation, (2, 3))
    step = np.cross(across, down) * spacing_mm if step is None else np.asarray(step)
    uid = generate_uid(entropy_srcs=[str(folder), str(series)])
    offsets = range(count) if positions is None else positions
    for index, offset in enumerate(offsets):
        data = dicom_slice(shape, seed=index)
        data.SeriesInstanceUID, data.SeriesNumber = uid, series
        data.ImageOrientationPatient = list(map(float, orientation))
        data.ImagePositionPatient = [round(float(x), 6) for x in (-10, 20, 30) + offset * step]
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.save_as(folder / f"{(index * 7) % 100:02d}-{series}-{index}", enforce_file_format=True)
    return folder


def dicom_slice(shape=(10, 8), seed=0):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MR_STORAGE
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    data.Modality, data.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
    data.PatientName, data.PatientID = "Quetzal^Rare", "QZ-1"
    data.Manufacturer, data.StudyDate = "SIEMENS", "20240229"
    data.Rows, data.Columns = shape
    data.PixelSpacing, data.SliceThickness = [0.5, 0.75], 9.0
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    pixels = np.random.default_rng(seed).integers(0, 4096, shape).astype("<u2")
    data.PixelData = pixels.tobytes()
    return data


def missing_file(folder):
    return folder / "absent.nii.gz"


def text_named_gz(folder):
    path = folder / "notes.nii.gz"
    path.write_text("this is no scan\n" * 40)
    return path


def empty_file(folder):
    path = folder / "empty.nii.gz"
    path.touch()
    return path


def pipe(folder):
    path = folder / "pipe.nii"
    os.mkfifo(path)
    return path


def long_name(folder):
    return folder / ("n" * 300 + ".nii.gz")


def truncated(folder, keep):
    path = nifti(folder)
    path.write_bytes(path.read_bytes()[:keep])
    return path


def truncated_plain(folder):
    path = nifti(folder, "scan.nii")
    path.write_bytes(path.read_bytes()[:-1])
    return path


def flipped_bit(folder):
    path = nifti(folder)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # the checksum that gzip keeps of the voxels
    path.write_bytes(content)
    return path


def claims_1e12_voxels(folder):
    path = folder / "huge.nii.gz"
    content = bytearray(nibabel.Nifti1Image(voxels(), np.eye(4)).to_bytes()[:352])
    struct.pack_into("<8h", content, DIM, 3, 10000, 10000, 10000, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(content))
    return path


def claims_more_than_it_can_hold(folder):
    """2**28 voxels are within the budget, but no 300 bytes deflate to them."""
    path = nifti(folder)
    content = bytearray(nibabel.Nifti1Image(voxels(), np.eye(4)).to_bytes()[:352])
    struct.pack_into("<8h", content, DIM, 3, 1024, 1024, 256, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(content))
    return path


def with_voxel(folder, value):
    array = voxels(dtype=np.float32)
    array[3, 4, 5] = value
    return nifti(folder, array=array)


def rgb(folder):
    dtype = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nifti(folder, array=np.zeros((4, 5, 6), dtype))


def flattened(folder):
    return nifti(folder, patch=[(SFORM, "<12f", 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0)])


def archive(folder, members, name="scan.zip"):
    """Write a zip of (name or ZipInfo, content)."""
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for member, content in members:
            target.writestr(member, content)
    return path


def zip_slip(folder):
    return archive(folder, [("../outside.nii.gz", b"x")])


def zip_nameless(folder):
    path = archive(folder, [("a", b"x")])
    path.write_bytes(path.read_bytes().replace(b"a", b"/"))
    return path


def zip_link(folder):
    member = zipfile.ZipInfo("link.nii.gz")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return archive(folder, [(member, "/etc/passwd")])


def zip_bomb(folder):
    """A directory that promises three times 4 GB in a few hundred bytes."""
    path = archive(folder, [(f"{index}.dcm", b"0" * 100) for index in range(3)])
    content = bytearray(path.read_bytes())
    start = 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        struct.pack_into("<I", content, start + 24, 2**32 - 2)
        start += 4
    path.write_bytes(content)
    return path


def zip_of_zip(folder):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as target:
        target.writestr("scan.nii.gz", nifti(folder).read_bytes())
    return archive(folder, [("inner.zip", inner.getvalue())])


def truncated_zip(folder):
    path = archive(folder, [("scan.nii.gz", nifti(folder).read_bytes())])
    path.write_bytes(path.read_bytes()[:-30])
    return path


def empty_folder(folder):
    (folder / "nothing").mkdir()
    return folder / "nothing"


def folder_of_text(folder):
    (folder / "texts").mkdir()
    (folder / "texts" / "readme.txt").write_text("no scan")
    return folder / "texts"


def two_series(folder):
    dicom_slices(folder / "study", series=2)
    return dicom_slices(folder / "study", series=5, count=4)


def two_niftis(folder):
    (folder / "pair").mkdir()
    nifti(folder / "pair", "one.nii.gz")
    nifti(folder / "pair", "two.nii")
    return folder / "pair"


def slice_file(folder, **tags):
    return next(dicom_slices(folder / "one", count=1, **tags).iterdir())


def deflated(folder):
    """A DICOM file whose tags pydicom would inflate without a limit."""
    path = slice_file(folder)
    data = pydicom.dcmread(path)
    data.ImageComments = "0" * 10_000
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(path)
    return path


def unknown_encoding(folder):
    study = dicom_slices(folder / "study")
    for path in study.iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    return study


def truncated_dicom(folder):
    study = dicom_slices(folder / "study")
    path = sorted(study.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-60])
    return study


def nested_sequences(folder):
    """1,500 sequences, one in the other, before the pixels."""
    path = slice_file(folder)
    content = path.read_bytes()
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    inside = (opening + item) * 1500
    at = content.index(struct.pack("<HH2s", 0x0010, 0x0010, b"PN"))
    path.write_bytes(content[:at] + inside + content[at:])
    return path


def report_object(folder):
    path = slice_file(folder)
    data = pydicom.dcmread(path)
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(data, tag)
    data.Modality = "SR"
    data.save_as(path)
    return path


def repeated_slice(folder):
    return dicom_slices(folder / "study", positions=[0, 1, 2, 3, 3, 4, 5])


def other_shape(folder):
    dicom_slices(folder / "study")
    return dicom_slices(folder / "study", positions=[8], shape=(6, 8))


def tilted(folder):
    return dicom_slices(folder / "study", step=(0, 3, 2.5))


def several_echoes(folder):
    dicom_slices(folder / "study", EchoNumbers=1)
    return dicom_slices(folder / "study", positions=[6, 7, 8, 9], EchoNumbers=2)


def series_of(folder, **changes):
    return dicom_slices(folder / "study", **changes)


def without(folder, tag):
    study = dicom_slices(folder / "study")
    for path in study.iterdir():
        data = pydicom.dcmread(path)
        delattr(data, tag)
        data.save_as(path)
    return study
