"""Where weights are looked for, and what the user is told when they are not there."""

import sys
from pathlib import Path

import pytest

from avloc.errors import CheckpointError
from avloc.models.weights import locate
from avloc.models.weights.locate import find_weights, user_folder


@pytest.fixture()
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "weights").mkdir(parents=True)
    return tmp_path / "home" / "weights"


def test_a_name_is_found_in_the_users_folder(home):
    (home / "mine.safetensors").touch()
    assert find_weights("mine") == home / "mine.safetensors"


def test_a_path_is_found_as_it_is(tmp_path):
    (tmp_path / "a.safetensors").touch()
    (tmp_path / "noending").touch()
    for path in (tmp_path / "a.safetensors", tmp_path / "noending"):
        assert find_weights(path) == find_weights(str(path)) == path


def test_the_packaged_file_comes_before_the_users(home, tmp_path, monkeypatch):
    (tmp_path / "package" / "data").mkdir(parents=True)
    (tmp_path / "package" / "data" / "default.safetensors").touch()
    (home / "default.safetensors").touch()
    monkeypatch.setattr(locate.importlib.resources, "files", lambda name: tmp_path / "package")
    assert find_weights("default") == tmp_path / "package" / "data" / "default.safetensors"


def test_missing_default_weights_say_what_to_do(home, tmp_path, monkeypatch):
    monkeypatch.setattr(locate.importlib.resources, "files", lambda name: tmp_path)
    with pytest.raises(
        CheckpointError, match=r"wheel that has them, .* 'avloc train default', .* --weights PATH"
    ):
        find_weights("default")


@pytest.mark.parametrize("name", ["minne", "../mine", "", ".", "mine\n", "mi\0ne", "a" * 3000])
def test_an_unknown_name_is_refused(name, home, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (home / "mine.safetensors").touch()
    with pytest.raises(CheckpointError, match="no weights are called|no such weights file"):
        find_weights(name)


def test_a_misspelt_name_gets_the_closest(home):
    (home / "mine.safetensors").touch()
    with pytest.raises(CheckpointError, match="no weights are called 'minne' in .*; did you mean 'mine'"):
        find_weights("minne")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors': there is no such weights file"):
        find_weights(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, ".local/share/avloc"),
        ("linux", "XDG_DATA_HOME", "given/avloc"),
        ("darwin", None, "Library/Application Support/avloc"),
        ("win32", None, "AppData/Local/avloc"),
        ("win32", "LOCALAPPDATA", "given/avloc"),
    ],
)
def test_the_users_folder_follows_the_platform(platform, variable, expected, monkeypatch, tmp_path):
    for name in ("AVLOC_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: tmp_path))
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "given"))
    assert user_folder() == tmp_path / expected
