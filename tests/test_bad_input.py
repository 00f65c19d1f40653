"""Every bad input gets one clear sentence with its code, and no folder's name in it."""

import random
import re
import tracemalloc

import numpy as np
import pytest

from assistant.study import read_study
from segment.errors import Refusal, ScanError
from segment.reading import source
from tests.hostile.catalogue import BAD_INPUTS, make
from tests.hostile.make import archive, dicom_slices, nifti


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_a_bad_input_is_refused_with_its_code_in_one_sentence(kind, tmp_path):
    above = tmp_path / "Quetzal_Rare"
    above.mkdir()
    path, code = make(kind, above)
    with pytest.raises(ScanError) as refusal:
        read_study(path)
    message = str(refusal.value)
    assert refusal.value.code is code
    assert re.search(r"expected .+ found .+; \w+", message)
    assert "Quetzal" not in message
    assert str(tmp_path) not in message
    assert ". " not in message
    assert "\n" not in message


def test_a_refused_zip_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    for kind in ("zip slip", "zip bomb", "zip of a zip", "zip cut"):
        with pytest.raises(ScanError):
            read_study(make(kind, tmp_path)[0])
    assert not list((tmp_path / "scratch").iterdir())
    assert not (tmp_path.parent / "outside.nii.gz").exists()


def test_a_header_that_claims_terabytes_takes_no_memory(tmp_path):
    path, _ = make("more voxels than bytes", tmp_path)
    tracemalloc.start()
    with pytest.raises(ScanError):
        read_study(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2**24


def test_a_folder_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MOST_FILES", 3)
    with pytest.raises(ScanError, match="at most 3 files"):
        read_study(dicom_slices(tmp_path / "study"))


def test_a_file_name_cannot_carry_control_characters_into_a_message(tmp_path):
    path = nifti(tmp_path, "a\x1b[31m\nb.nii.gz", array=None, patch=[(76 + 4, "<f", 0)])
    with pytest.raises(ScanError, match=r"a\?\[31m\?b\.nii\.gz"):
        read_study(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.zip"])
def test_flipped_bytes_are_read_or_refused_and_never_crash(name, tmp_path):
    generator = random.Random(0)
    plain = nifti(tmp_path, "scan.nii.gz" if name.endswith("gz") else "scan.nii")
    path = archive(tmp_path, [("scan.nii", plain.read_bytes())]) if name.endswith("p") else plain
    whole = path.read_bytes()
    refused: list[Refusal] = []
    for _ in range(1000):
        content = bytearray(whole)
        for _ in range(generator.randrange(1, 6)):
            content[generator.randrange(352)] = generator.randrange(256)
        path.write_bytes(content)
        try:
            assert np.isfinite(read_study(path).volume.array).all()
        except ScanError as error:
            refused.append(error.code)
    assert 0 < len(refused) < 1000
