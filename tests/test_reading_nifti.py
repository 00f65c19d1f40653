"""A NIfTI file's voxels and their places survive reading, whatever its axes and data type."""

import hashlib
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.spatial.transform import Rotation

from segment.reading import read_nifti
from tests.hostile.make import CODES, PIXDIM, SLOPE, nifti, voxels
from tests.shared_data import shared_data

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORIENTATIONS = [
    "".join(signs)
    for axes in itertools.permutations(["RL", "AP", "SI"])
    for signs in itertools.product(*axes)
]


def oblique(spacing_mm=(0.7, 1.1, 2.5)):
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(spacing_mm)
    affine[:3, 3] = (-30, 12, 55)
    return affine


def simpleitk_affine(path):
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ affine


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_bright_voxel_keeps_its_world_position_in_each_of_48_orientations(codes, tmp_path):
    array = np.ones((9, 11, 13), np.int16)
    array[2, 7, 4] = 900
    image = nibabel.Nifti1Image(array, oblique())
    turn = ornt_transform(nibabel.io_orientation(image.affine), axcodes2ornt(codes))
    turned = image.as_reoriented(turn)
    nibabel.save(turned, tmp_path / "turned.nii.gz")

    volume = read_nifti(tmp_path / "turned.nii.gz")

    brightest = np.argwhere(volume.array == 900).astype(float)
    expected = oblique() @ (2, 7, 4, 1)
    assert volume.geometry.to_world(brightest)[0] == pytest.approx(expected[:3], abs=1e-4)
    assert volume.geometry.affine == pytest.approx(
        oblique() @ inv_ornt_aff(turn, array.shape), abs=1e-4
    )


def test_a_qform_alone_gives_the_place_that_simpleitk_reads(tmp_path):
    path = tmp_path / "qform.nii"
    image = nibabel.Nifti1Image(voxels(), None)
    image.set_qform(oblique() @ np.diag([-1, 1, 1, 1]), code="scanner")
    nibabel.save(image, path)
    assert read_nifti(path).geometry.affine == pytest.approx(simpleitk_affine(path), abs=1e-4)


def test_qfac_zero_means_one_as_the_standard_says(tmp_path):
    plain = nifti(tmp_path, "one.nii", patch=[(CODES, "<2h", 1, 0), (PIXDIM, "<f", 1)])
    zero = nifti(tmp_path, "zero.nii", patch=[(CODES, "<2h", 1, 0), (PIXDIM, "<f", 0)])
    assert np.array_equal(read_nifti(zero).geometry.affine, read_nifti(plain).geometry.affine)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_voxels_of_every_type_are_read_as_they_were_written(dtype, kind, name, tmp_path):
    array = np.random.default_rng(1).integers(0, 100, (5, 6, 7)).astype(dtype)
    volume = read_nifti(nifti(tmp_path, name, array=array, kind=kind))
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, array)


def test_a_big_endian_file_is_read(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    path = tmp_path / "big.nii"
    nibabel.save(nibabel.Nifti1Image(voxels(), oblique(), header), path)
    assert path.read_bytes()[:4] == b"\0\0\x01\x5c"
    assert np.array_equal(read_nifti(path).array, voxels())
    assert read_nifti(path).geometry.affine == pytest.approx(oblique(), abs=1e-4)


def test_slope_and_intercept_are_applied(tmp_path):
    path = nifti(tmp_path, patch=[(SLOPE, "<2f", 0.25, -100)])
    assert read_nifti(path).array == pytest.approx(voxels() * 0.25 - 100)


def test_slope_zero_means_no_scale(tmp_path):
    path = nifti(tmp_path, patch=[(SLOPE, "<2f", 0, 7)])
    assert np.array_equal(read_nifti(path).array, voxels())


def test_trailing_dimensions_of_one_are_dropped(tmp_path):
    assert read_nifti(nifti(tmp_path, array=voxels((5, 6, 7, 1, 1)))).array.shape == (5, 6, 7)


def test_the_format_is_told_by_content_and_not_by_name(tmp_path):
    path = nifti(tmp_path, "scan.nii.gz").rename(tmp_path / "scan.nii")
    assert np.array_equal(read_nifti(path).array, voxels())


def test_the_hash_is_that_of_the_file(tmp_path):
    path = nifti(tmp_path)
    volume = read_nifti(path)
    assert volume.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert volume.modality == "unknown"


def test_a_sheared_affine_keeps_its_voxel_volume(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.05
    volume = read_nifti(nifti(tmp_path, affine=affine, patch=[(CODES, "<h", 0)]))
    assert volume.geometry.voxel_volume_mm3 == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "parts",
    [
        ("ms_crosssectional", "patient07", "t1.nii.gz"),
        ("ms_longitudinal", "patient01", "flair_t1.nii.gz"),
        ("ct_body", "ct.nii.gz"),
        ("hippocampus", "images", "hippocampus_003.nii.gz"),
    ],
)
def test_real_files_agree_with_simpleitk_in_voxels_and_places(parts):
    path = shared_data(*parts)
    volume = read_nifti(path)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path), sitk.sitkFloat32)).T
    assert np.array_equal(volume.array, expected)
    assert volume.geometry.affine == pytest.approx(simpleitk_affine(path), abs=1e-3)
    assert volume.geometry.affine == pytest.approx(nibabel.load(path).affine, abs=1e-4)
