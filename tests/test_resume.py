"""A file of interrupted work is whole or absent, and its log ends where its checkpoint does."""

import pytest

from segment.resume import cut_log, replacing


def test_a_file_takes_its_place_once_it_is_whole(tmp_path):
    path = tmp_path / "last.pt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def half_written(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_file_that_could_not_be_written_leaves_the_old_one_and_nothing_else(error, tmp_path):
    path = tmp_path / "last.pt"
    path.write_text("old")
    with pytest.raises(type(error)):
        half_written(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_never_begun_leaves_nothing_and_its_own_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights"), replacing(tmp_path / "weights.pt"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_take_its_place_is_removed(tmp_path):
    path = tmp_path / "last.pt"
    path.mkdir()
    with pytest.raises(OSError, match=r"last\.pt"), replacing(path) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("lines", "kept"), [(0, ""), (2, "1,a\n2,b\n"), (9, "1,a\n2,b\n3,c\n")])
def test_a_log_keeps_its_first_lines(lines, kept, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("1,a\n2,b\n3,c\n")
    cut_log(log, lines)
    assert log.read_text() == kept


def test_a_log_that_is_not_there_is_not_made(tmp_path):
    cut_log(tmp_path / "log.csv", 3)
    assert not list(tmp_path.iterdir())
