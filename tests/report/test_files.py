"""Files that appear complete or not at all, and safe names."""

import os
import re
from pathlib import Path

import pytest

from avloc.report.files import AtomicFile, unique_name, write_whole

NASTY = [
    "../../etc/passwd",
    "/abs/a.wav",
    "-rf.wav",
    ".hidden",
    "a\nb",
    'q"q',
    "=cmd()",
    "é" * 300,
    "x" * 300,
    "",
    "..",
]


def test_an_unpublished_file_leaves_the_old_one_and_no_remains(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    file = AtomicFile(target)
    file.stream.write("new")
    file.discard()
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.json"]


def test_a_published_file_has_the_permissions_of_any_other(tmp_path):
    write_whole(tmp_path / "a.json", "new\n")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b"]


def test_a_new_file_keeps_the_permissions_of_the_old_one(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    target.chmod(0o600)
    write_whole(target, "new")
    assert target.stat().st_mode & 0o777 == 0o600 and target.read_text() == "new"


def test_a_protected_file_is_not_replaced(tmp_path, monkeypatch):
    # os.access stands for another user: an administrator may write everything
    target = tmp_path / "a.json"
    target.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (target, os.W_OK))
    with pytest.raises(PermissionError):
        write_whole(target, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"] and target.read_text() == "old"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_whole(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "real.json").read_text() == "new"


def test_a_device_is_written_and_not_replaced():
    write_whole(Path(os.devnull), "x")
    assert not os.path.isfile(os.devnull)


def test_a_full_disk_is_an_error_and_the_device_stays():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="space"):
        write_whole(Path("/dev/full"), "x")


def test_names_stay_in_their_folder_and_are_unique():
    taken: set[str] = set()
    names = [unique_name(id, ".json", taken) for id in NASTY * 3]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and len(name) < 200


def test_a_numbered_name_does_not_hit_a_real_one():
    taken: set[str] = set()
    names = [unique_name(id, ".json", taken) for id in ("a", "a-2", "a", "A")]
    assert len({name.lower() for name in names}) == 4
