"""Where converted models are kept."""

from segment.cache import cache_folder


def test_the_cache_is_the_platforms_unless_the_user_names_one(tmp_path, monkeypatch):
    monkeypatch.delenv("VOXCITE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "voxcite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "voxcite"
    monkeypatch.setenv("VOXCITE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
