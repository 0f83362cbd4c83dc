import io
import os
import sys

import pytest

from avloc.errors import AnnotationError
from avloc.media.listing import Input, list_inputs, read_list


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def ids(inputs):
    return [item.id for item in inputs]


def test_paths_are_their_own_ids_and_keep_their_order():
    assert list_inputs(["b.wav", "./a.wav"]) == [Input("b.wav", "b.wav"), Input("./a.wav", "./a.wav")]


def test_an_id_that_comes_again_is_numbered():
    inputs = list_inputs(["a.wav", "a.wav", "a.wav#2", "a\udcff", "a\\udcff"])
    assert ids(inputs) == ["a.wav", "a.wav#2", "a.wav#2#2", "a\udcff", "a\\udcff#2"]
    assert [item.path for item in inputs[:2]] == ["a.wav", "a.wav"]


def test_a_folder_is_walked_in_order_with_ids_relative_to_it(tmp_path):
    make(tmp_path, "calls/b.wav", "calls/a/2.wav", "calls/a/10.wav", "calls/.DS_Store", "calls/.git/x")
    inputs = list_inputs([str(tmp_path / "calls"), "c.wav"], recursive=True)
    assert ids(inputs) == ["b.wav", "a/10.wav", "a/2.wav", "c.wav"]
    assert inputs[1].path == str(tmp_path / "calls" / "a" / "10.wav")


def test_folders_are_left_as_they_are_unless_asked(tmp_path):
    make(tmp_path, "a.wav")
    assert ids(list_inputs([str(tmp_path)])) == [str(tmp_path)]


def test_files_of_two_folders_with_one_name_have_two_ids(tmp_path):
    make(tmp_path, "x/a.wav", "y/a.wav")
    assert ids(list_inputs([str(tmp_path / "x"), str(tmp_path / "y")], recursive=True)) == [
        "a.wav",
        "a.wav#2",
    ]


def test_links_that_lead_back_end_and_dead_ones_stay(tmp_path):
    make(tmp_path, "a/1.wav", "b/2.wav")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "b" / "dead.wav").symlink_to("nothing")
    os.link(tmp_path / "b" / "2.wav", tmp_path / "b" / "3.wav")
    os.mkfifo(tmp_path / "b" / "pipe")
    found = ids(list_inputs([str(tmp_path)], recursive=True))
    assert found == ["a/1.wav", "b/2.wav", "b/3.wav", "b/dead.wav", "b/pipe"]


def test_an_empty_folder_has_a_row_beside_others(tmp_path):
    (tmp_path / "empty").mkdir()
    empty, other = str(tmp_path / "empty"), str(tmp_path / "a.wav")
    assert list_inputs([empty], recursive=True) == []
    assert [i.path for i in list_inputs([empty, other], recursive=True)] == [empty, other]


def test_a_folder_that_cannot_be_listed_stays(tmp_path, monkeypatch):
    make(tmp_path, "a/1.wav", "b/2.wav")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("/b"):
            raise PermissionError(13, "denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ids(list_inputs([str(tmp_path)], recursive=True)) == ["a/1.wav", "b"]


def write(tmp_path, content, name="list.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def test_a_list_has_one_path_a_line(tmp_path):
    name = write(tmp_path, b"\xef\xbb\xbfa, b.wav\r\n\r\n  c.wav\n# d.wav\n\xff.wav\n-")
    assert [i.path for i in read_list(name)] == ["a, b.wav", "  c.wav", "# d.wav", "\udcff.wav", "-"]
    assert ids(read_list(name)) == ["a, b.wav", "  c.wav", "# d.wav", "\udcff.wav", "-"]


def test_columns_of_a_csv_pass_through(tmp_path):
    name = write(tmp_path, b'agent,path,id\nAnn,a.wav,1\n"B, C","x\ny.wav",2\n\nD,z.wav,\n', "list.csv")
    assert read_list(name) == [
        Input("a.wav", "1", {"agent": "Ann"}),
        Input("x\ny.wav", "2", {"agent": "B, C"}),
        Input("z.wav", "z.wav", {"agent": "D"}),
    ]
    assert read_list(write(tmp_path, b"path\na.wav\n")) == [Input("a.wav", "a.wav")]


def test_a_list_comes_after_the_paths_and_its_folders_are_walked(tmp_path):
    make(tmp_path, "calls/1.wav", "calls/2.wav")
    name = write(tmp_path, f"path,team\n{tmp_path}/calls,red\n".encode())
    inputs = list_inputs(["a.wav"], files_from=name, recursive=True)
    assert ids(inputs) == ["a.wav", "1.wav", "2.wav"]
    assert [item.extra for item in inputs] == [None, {"team": "red"}, {"team": "red"}]


def test_a_folder_with_an_id_of_its_own_gives_it_to_its_files(tmp_path):
    make(tmp_path, "calls/1.wav", "calls/a/2.wav")
    name = write(tmp_path, f"path,id\n{tmp_path}/calls,4711\n".encode())
    assert ids(list_inputs([], files_from=name, recursive=True)) == ["4711/1.wav", "4711/a/2.wav"]


def test_a_list_may_come_from_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.wav\nb.wav\n")))
    assert ids(read_list("-")) == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        (b"", "l.txt", "names no recording"),
        (b"\n\n", "l.txt", "names no recording"),
        (b"path,id\n", "l.txt", "names no recording"),
        (b"file\na.wav\n", "l.CSV", r"a column 'path' in its first line, got \['file'\]"),
        (b"path,path\na,b\n", "l.csv", "'path' is there 2 times"),
        (b"path,x,x\na,b,c\n", "l.csv", "'x' is there 2 times"),
        (b"path,x\na\n", "l.csv", "line 2: expected 2 columns, got 1"),
        (b"path,x\na,1\n,2\n", "l.csv", "line 3: the column 'path' is empty"),
        (b"path,id\na,1\nb,1\n", "l.csv", "line 3: the id '1' is that of line 2"),
        (b'path\n"' + b"a" * 140_000 + b'"\n', "l.csv", "neither lines nor CSV"),
    ],
)
def test_a_list_that_does_not_hold_what_it_should_is_refused(tmp_path, content, name, why):
    with pytest.raises(AnnotationError, match=why):
        read_list(write(tmp_path, content, name))


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read: No such file"):
        read_list(str(tmp_path / "none"))
    with pytest.raises(AnnotationError, match="cannot be read: Is a directory"):
        read_list(str(tmp_path))
