import pytest

from scfm.errors import ScfmError
from scfm.files import must_be_writable, must_exist, whole, write_json


class Stop(Exception):
    """Ends a block on purpose."""


def fail(path, write):
    """Write something under the temporary name, then fail."""
    with whole(path) as temporary:
        write(temporary)
        raise Stop


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_the_block_succeeds(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    with whole(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == ".csv"
        assert temporary.parent == path.parent
    assert path.read_text() == "half"
    assert names(path.parent) == ["table.csv"]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(Stop):
        fail(path, lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_a_directory_replaces_a_directory_as_a_whole(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "stale").touch()
    with pytest.raises(Stop):
        fail(path, lambda temporary: temporary.mkdir())
    assert names(path) == ["stale"]
    with whole(path) as temporary:
        temporary.mkdir()
        (temporary / "fresh").touch()
    assert names(path) == ["fresh"]
    assert names(tmp_path) == ["model"]


def test_a_file_never_replaces_a_directory_nor_the_reverse(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()
    (tmp_path / "notes").touch()
    with pytest.raises(ScfmError, match="home: is a folder, but a file"), whole(tmp_path / "home") as temporary:
        temporary.write_text("x")
    with pytest.raises(ScfmError, match="notes: is a file, but a folder"), whole(tmp_path / "notes") as temporary:
        temporary.mkdir()
    assert names(tmp_path / "home") == ["thesis.txt"]
    assert names(tmp_path) == ["home", "notes"]


def test_a_block_that_writes_nothing_takes_nothing_away(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").touch()
    with pytest.raises(ScfmError), whole(tmp_path / "model"):
        pass
    assert names(tmp_path / "model") == ["weights"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ScfmError, match="cannot write here"), whole(tmp_path / "file" / "x.csv"):
        pass
    with pytest.raises(ScfmError, match=r"work: .*is a file"):
        must_be_writable(tmp_path / "file" / "sub", "work")
    must_be_writable(tmp_path / "a" / "b", "work")
    assert names(tmp_path) == ["file"]


def test_json_is_written_in_a_stable_order(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": 2, "c": 3}})
    write_json(tmp_path / "b.json", {"a": {"c": 3, "d": 2}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_a_path_that_must_exist(tmp_path):
    assert must_exist(tmp_path, "folder") == tmp_path
    with pytest.raises(ScfmError, match="x: model not found"):
        must_exist(tmp_path / "x", "model")


def test_what_a_killed_attempt_left_goes_with_the_next_write(tmp_path):
    (tmp_path / ".0123abcd.a[1].csv").write_text("half")
    (tmp_path / ".89abcdef.a[1].csv").mkdir()
    (tmp_path / ".89abcdef.a[1].csv" / "part").write_text("half")
    others = [tmp_path / name for name in (".0123abcd.a1.csv", ".0123abcg.a[1].csv", ".0123abcd.b.a[1].csv")]
    for other in others:
        other.write_text("not of this file")
    with whole(tmp_path / "a[1].csv") as temporary:
        temporary.write_text("all")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a[1].csv"])


def test_a_writer_whose_temporary_was_taken_away_fails(tmp_path):
    with pytest.raises(FileNotFoundError), whole(tmp_path / "a.csv") as slow:  # noqa: PT012
        slow.write_text("slow")
        with whole(tmp_path / "a.csv") as quick:
            quick.write_text("quick")
    assert (tmp_path / "a.csv").read_text() == "quick"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.csv"]
