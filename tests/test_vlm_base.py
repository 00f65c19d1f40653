"""The embedded language model appears in the cache whole, or not at all, with its reason."""

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from assistant.writers.vlm import base
from assistant.writers.vlm.base import STAGES, cached_base, convert_base
from assistant.writers.vlm.errors import Fault, ModelError

CONTENT = b"four-bit blocks"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXCITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(monkeypatch):
    """The package of the index with some bytes in it, and a conversion that writes small files."""
    fake = ModuleType(base.PACKAGE)
    fake.assemble = lambda path, overwrite: path.write_bytes(CONTENT)
    monkeypatch.setitem(sys.modules, base.PACKAGE, fake)
    monkeypatch.setattr(base, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(base, "_convert_tokenizer", write_tokenizer)
    monkeypatch.setattr(base, "_convert_weights", write_weights)
    return fake


def write_tokenizer(source, made):
    assert source.read_bytes() == CONTENT
    made.mkdir()
    (made / "tokenizer.json").write_text("{}")


def write_weights(source, made):
    (made / "config.json").write_text("{}")
    yield base._begin("save")
    (made / "model.safetensors").write_bytes(b"weights")


def refused():
    with pytest.raises(ModelError) as caught:
        list(convert_base())
    assert str(caught.value).count(".") <= 1 + str(caught.value).count("safetensors")
    return caught.value


def test_there_is_no_model_before_the_conversion_and_one_after_it(cache, package):
    assert cached_base() is None
    list(convert_base())
    assert cached_base() == cache / base.NAME


def test_each_stage_is_told_as_it_begins(cache, package):
    steps = list(convert_base())
    assert tuple(step.stage for step in steps) == STAGES
    assert [step.done for step in steps] == list(range(len(STAGES)))


def test_a_second_conversion_does_nothing(cache, package):
    list(convert_base())
    assert list(convert_base()) == []


def test_nothing_but_the_model_is_left_in_the_cache(cache, package):
    list(convert_base())
    assert [path.name for path in cache.iterdir()] == [base.NAME]
    assert not list(cache.rglob("*.gguf"))


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_an_interrupted_conversion_leaves_nothing(cache, package, stage):
    steps = convert_base()
    for _ in range(stage + 1):
        next(steps)
    steps.close()
    assert list(cache.iterdir()) == []
    assert cached_base() is None


def test_of_two_conversions_at_once_the_first_to_finish_stays(cache, package):
    slow = convert_base()
    next(slow)
    list(convert_base())
    first = (cached_base() / base.MANIFEST).stat().st_ino
    list(slow)
    assert (cached_base() / base.MANIFEST).stat().st_ino == first
    assert [path.name for path in cache.iterdir()] == [base.NAME]


@pytest.mark.parametrize("file", base.NEEDED_FILES)
def test_a_converted_model_that_was_cut_is_converted_anew(cache, package, file):
    list(convert_base())
    (cached_base() / file).write_bytes(b"")
    assert cached_base() is None
    list(convert_base())
    assert cached_base() is not None


def test_a_model_converted_from_another_file_does_not_count(cache, package):
    list(convert_base())
    manifest = cached_base() / base.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"source_sha256": "0"}))
    assert cached_base() is None


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_manifest_that_is_none_does_not_count(cache, package, content):
    list(convert_base())
    (cached_base() / base.MANIFEST).write_text(content)
    assert cached_base() is None


def test_what_a_killed_conversion_left_goes_after_a_day_and_a_running_ones_stays(cache, package):
    killed, running = cache / f"{base.NAME}.part-old", cache / f"{base.NAME}.part-new"
    killed.mkdir(parents=True)
    running.mkdir()
    yesterday = time.time() - base.ABANDONED_AFTER_S - 60
    os.utime(killed, (yesterday, yesterday))
    list(convert_base())
    assert not killed.exists()
    assert running.exists()


def test_another_file_than_the_one_expected_is_refused(cache, package):
    package.assemble = lambda path, overwrite: path.write_bytes(b"another")
    found = refused()
    assert found.code is Fault.WRONG_HASH
    assert hashlib.sha256(b"another").hexdigest()[:12] in str(found)
    assert list(cache.iterdir()) == []


def test_the_packages_own_complaint_of_a_hash_is_the_same_refusal(cache, package):
    def complain(path, overwrite):
        raise ValueError

    package.assemble = complain
    assert refused().code is Fault.WRONG_HASH


def test_a_package_that_lacks_a_chunk_is_refused(cache, package):
    def complain(path, overwrite):
        raise FileNotFoundError

    package.assemble = complain
    assert refused().code is Fault.MISSING


def test_without_the_package_it_is_said_how_to_install_it(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, base.PACKAGE, None)
    found = refused()
    assert found.code is Fault.NOT_INSTALLED
    assert "pip install voxcite" in str(found)


def test_a_disk_without_room_is_refused_before_anything_is_written(cache, package, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 2**20))
    found = refused()
    assert found.code is Fault.NO_SPACE
    assert "expected 900 MB" in str(found)
    assert "found 5 MB" in str(found)


def test_a_disk_that_fills_up_meanwhile_is_refused_and_nothing_is_left(cache, package):
    def fill(path, overwrite):
        path.write_bytes(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    package.assemble = fill
    assert refused().code is Fault.NO_SPACE
    assert list(cache.iterdir()) == []


def test_a_cache_that_is_a_file_is_refused(cache, package):
    cache.write_text("")
    found = refused()
    assert found.code is Fault.NOT_WRITABLE
    assert "VOXCITE_CACHE" in str(found)
    assert str(cache) not in str(found)


def test_a_cache_that_may_not_be_written_is_refused(cache, package, monkeypatch):
    def forbid(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(base.tempfile, "TemporaryDirectory", forbid)
    assert "found permission denied" in str(refused())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_real_package_is_converted_and_says_nothing(cache, capfd):
    pytest.importorskip(base.PACKAGE)
    list(convert_base())
    assert (cached_base() / "model.safetensors").stat().st_size == 536_223_056
    assert capfd.readouterr() == ("", "")
