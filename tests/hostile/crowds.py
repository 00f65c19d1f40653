"""Bombs: little that claims to be much, and much of little."""

import gzip
import io
import struct
import zipfile
import zlib

import nibabel
import numpy as np
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from segment.errors import Refusal
from tests.hostile.case import ANY, Case
from tests.hostile.make import DIM, archive, dicom_slice, nifti, voxels


def claims(folder, lengths):
    """A NIfTI header of some lengths, and no voxels."""
    return nifti(
        folder, "scan.nii", patch=[(DIM, "<8h", len(lengths), *lengths, *[1] * (7 - len(lengths)))]
    )


def claims_in_64_bits(folder, length):
    """A NIfTI-2 header, whose lengths have 64 bits."""
    content = bytearray(nibabel.Nifti2Image(voxels(), np.eye(4)).to_bytes())
    struct.pack_into("<8q", content, 16, 3, length, length, length, 1, 1, 1, 1)
    (folder / "scan.nii").write_bytes(content)
    return folder / "scan.nii"


def gzip_bomb(folder):
    """150 MB of zeros behind a true header, in 150 kB."""
    head = bytearray(nibabel.Nifti1Image(voxels(), np.eye(4)).to_bytes()[:352])
    struct.pack_into("<8h", head, DIM, 3, 420, 420, 420, 1, 1, 1, 1)
    path = folder / "scan.nii.gz"
    path.write_bytes(gzip.compress(bytes(head) + bytes(2 * 420**3), 1))
    return path


def gzip_of_gzip(folder):
    path = nifti(folder)
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def deflated_bomb(folder):
    """A DICOM file whose tags inflate to 64 MB."""
    data = dicom_slice()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = folder / "slice"
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    content = path.read_bytes()
    at = 144 + struct.unpack("<I", content[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(content[:at] + packer.compress(bytes(2**26)) + packer.flush())
    return path


def zip_that_lies(folder):
    """A member that claims 100 bytes and inflates to 64 MB."""
    path = archive(folder, [("scan.nii", bytes(2**26))])
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + offset, 100)
    path.write_bytes(content)
    return path


def zip_of_zips(folder, levels):
    """A zip in a zip in a zip."""
    content = nifti(folder).read_bytes()
    for level in range(levels):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as target:
            target.writestr(f"{level}.zip", content)
        content = inner.getvalue()
    (folder / "scan.zip").write_bytes(content)
    return folder / "scan.zip"


def zip_of_many(folder, count):
    return archive(folder, [(f"{number}.txt", b"x") for number in range(count)])


def zip_with(folder, name):
    return archive(folder, [(name, b"x")])


def zip_member_of_long_name(folder):
    return archive(folder, [("n" * 300 + ".nii", b"x")])


def zip_encrypted(folder):
    path = archive(folder, [("scan.nii", b"x")])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def zip_in_another_way(folder):
    """A compression method that nobody knows."""
    path = archive(folder, [("scan.nii", b"x")])
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, 8, 77)
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, 77)
    path.write_bytes(content)
    return path


def folder_of_many(folder, count):
    """Tiny files, none of them a scan."""
    (folder / "many").mkdir()
    for number in range(count):
        (folder / "many" / f"{number}.txt").write_bytes(b"x")
    return folder / "many"


SIZES, BOMBS, ZIPS = "claims of size", "bombs and crowds", "archives"
LARGE, UNSAFE = Refusal.TOO_LARGE, Refusal.UNSAFE_ARCHIVE
CROWDS = (
    Case(SIZES, "32767 x 32767 x 32767", claims, LARGE, arguments={"lengths": [32767] * 3}),
    Case(SIZES, "seven dimensions of 32767", claims, ANY, arguments={"lengths": [32767] * 7}),
    Case(SIZES, "2^62 in 64 bits", claims_in_64_bits, LARGE, arguments={"length": 2**62}),
    Case(SIZES, "2^32 + 8 in 64 bits", claims_in_64_bits, LARGE, arguments={"length": 2**32 + 8}),
    Case(SIZES, "-2^62 in 64 bits", claims_in_64_bits, ANY, arguments={"length": -(2**62)}),
    Case(BOMBS, "gzip bomb", gzip_bomb, Refusal.CONSTANT),
    Case(BOMBS, "gzip of gzip", gzip_of_gzip, Refusal.UNREADABLE),
    Case(BOMBS, "deflated DICOM bomb", deflated_bomb, Refusal.UNSUPPORTED_DICOM),
    Case(BOMBS, "zip that lies about its size", zip_that_lies, Refusal.UNREADABLE),
    Case(BOMBS, "zip in zip in zip", zip_of_zips, Refusal.EMPTY_FOLDER, arguments={"levels": 4}),
    Case(BOMBS, "zip of 10,000", zip_of_many, Refusal.EMPTY_FOLDER, arguments={"count": 10_000}),
    Case(BOMBS, "zip of 20,001", zip_of_many, LARGE, arguments={"count": 20_001}),
    Case(BOMBS, "10,000 files", folder_of_many, Refusal.EMPTY_FOLDER, arguments={"count": 10_000}),
    Case(BOMBS, "20,001 files", folder_of_many, LARGE, arguments={"count": 20_001}),
    Case(ZIPS, "absolute path", zip_with, UNSAFE, arguments={"name": "/etc/cron.d/x"}),
    Case(ZIPS, "path with backslashes", zip_with, UNSAFE, arguments={"name": "..\\..\\x.nii"}),
    Case(ZIPS, "path in the middle", zip_with, UNSAFE, arguments={"name": "a/../../x.nii"}),
    Case(ZIPS, "member of 300 characters", zip_member_of_long_name, Refusal.UNREADABLE),
    Case(ZIPS, "encrypted member", zip_encrypted, UNSAFE),
    Case(ZIPS, "unknown compression", zip_in_another_way, Refusal.UNREADABLE),
)
