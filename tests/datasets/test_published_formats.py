"""Every published format in miniature, as its readers meet it."""

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
from numpy._core.numeric import _frombuffer

from avloc import build_dataset
from avloc.datasets.avdeepfake1m import listed_files
from avloc.datasets.base import Dataset
from avloc.datasets.forgerynet import ForgeryNetDataset
from avloc.datasets.named import data_sets, name_of
from avloc.errors import AnnotationError, ConfigError
from avloc.media.encode import write_audio
from avloc.structures import Segment

LAVDF = [
    {
        "file": "test/000001.mp4",
        "n_fakes": 2,
        "fake_periods": [[1.0, 1.5], [3, 4.25]],
        "duration": 9.984,
        "original": "test/000000.mp4",
        "modify_video": True,
        "modify_audio": False,
        "split": "test",
        "video_frames": 249,
        "audio_channels": 1,
        "audio_frames": 159744,
        "timestamps": [["word", 0.1, 0.4]],
        "transcript": "word",
    },
    {"file": "test/000000.mp4", "n_fakes": 0, "fake_periods": [], "duration": 9.984, "original": None},
    {"file": "dev/000002.mp4", "fake_periods": [[2, 3]], "modify_video": True, "modify_audio": True},
    {"file": "test/000003.mp4", "fake_periods": [[2, 3]], "modify_audio": True, "split": "test"},
    {"file": "train/000004.mp4", "n_fakes": 0},
]
AV1M = [
    {
        "file": "id00012/clip/00001/real_video_fake_audio.mp4",
        "original": "id00012/clip/00001/real.mp4",
        "split": "val",
        "modify_type": "audio_modified",
        "audio_model": "vits",
        "fake_segments": [[0.5, 0.9]],
        "audio_fake_segments": [[0.5, 0.9]],
        "visual_fake_segments": [[0.5, 0.9]],
        "video_frames": 100,
        "audio_frames": 1,
    },
    {
        "file": "id00012/clip/00001/real.mp4",
        "original": None,
        "modify_type": "real",
        "fake_segments": [],
        "video_frames": 100,
    },
    {
        "file": "vox/id00013/00002/fake_video_fake_audio.mp4",
        "modify_type": "both_modified",
        "audio_model": "vits",
        "video_model": "wav2lip",
        "fake_segments": [[1, 1], [2, 2.5]],
    },
]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


@pytest.fixture
def files_stay(tmp_path):
    """See that a reader writes nothing into the folder of the data."""
    yield tmp_path
    left = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".json", ".csv", ".txt", ".npy", ".jsonl", ".wav"}


@pytest.mark.parametrize("name", ["metadata.json", "metadata.min.json"])
def test_lavdf(files_stay, name):
    write(files_stay / name, LAVDF)
    assert name_of(files_stay) == name_of(files_stay / name) == "lavdf"
    dataset = build_dataset("lavdf", root=files_stay)
    assert isinstance(dataset, Dataset) and len(dataset) == 5
    forged, genuine, both, sound, _ = dataset.references()
    assert forged.segments == (Segment(1.0, 1.5), Segment(3.0, 4.25)) and forged.duration == 9.984
    assert forged.attributes["source"] == "test/000000.mp4" and forged.attributes["modality"] == "visual"
    assert forged.visual.segments == forged.segments and forged.audio.segments == ()
    assert not genuine.is_forged and genuine.attributes["modality"] == "none" and both.audio == both.visual
    assert both.attributes["split"] == "dev" and sound.attributes["modality"] == "audio"


def test_splits_of_lavdf_and_the_subset_of_its_paper(tmp_path):
    root = write(tmp_path / "metadata.json", LAVDF)
    assert [r.recording_id for r in build_dataset("lavdf", root=root, split="test").references()] == [
        "test/000001.mp4",
        "test/000000.mp4",
        "test/000003.mp4",
    ]
    assert len(build_dataset("lavdf", root=root, split="subset")) == 2
    with pytest.raises(AnnotationError, match=r"split='val'; there are \['dev', 'test', 'train'\]"):
        build_dataset("lavdf", root=root, split="val")


def test_avdeepfake1m_clears_the_stream_that_was_not_modified(files_stay):
    root = write(files_stay / "val_metadata.json", AV1M)
    assert name_of(files_stay) == name_of(root) == "avdeepfake1m"
    sound, genuine, both = build_dataset("avdeepfake1m", root=files_stay, split="val").references()
    assert sound.visual.segments == () and sound.audio.segments == (Segment(0.5, 0.9),)
    assert sound.duration == 4.0 and sound.attributes["generator"] == "vits" and not genuine.is_forged
    assert both.attributes["generator"] == "vits+wav2lip" and both.attributes["split"] == "val"
    assert both.rows == ((1.0, 1.0), (2.0, 2.5)) and both.segments == (Segment(2.0, 2.5),)


def test_both_lists_of_avdeepfake1m_without_a_split(tmp_path):
    write(tmp_path / "val_metadata.json", AV1M[:2])
    write(tmp_path / "train_metadata.json", AV1M[2:])
    (tmp_path / "val" / AV1M[1]["file"]).parent.mkdir(parents=True)
    write_audio(tmp_path / "val" / "a.wav", np.zeros((1, 16000), dtype=np.float32), sample_rate=16000)
    (tmp_path / "val" / "a.wav").rename(tmp_path / "val" / AV1M[1]["file"])
    dataset = build_dataset("avdeepfake1m", root=tmp_path)
    assert [r.attributes["split"] for r in dataset.references()] == ["train", "val", "val"]
    assert dataset[2][0].id == AV1M[1]["file"] and dataset[2][0].duration == 1.0
    assert len(build_dataset("avdeepfake1m", root=tmp_path, split="train")) == 1


def test_json_beside_each_recording_of_avdeepfake1m_plus_plus(files_stay):
    entry = {key: value for key, value in AV1M[0].items() if key != "file"}
    write(files_stay / "vox" / "id1" / "00001.json", entry)
    write(files_stay / "lrs3" / "id2" / "00002.json", {"modify_type": "real", "split": "val"})
    assert name_of(files_stay) == "avdeepfake1m"
    dataset = build_dataset("avdeepfake1m", root=files_stay)
    assert [r.recording_id for r in dataset.references()] == ["lrs3/id2/00002.mp4", "vox/id1/00001.mp4"]
    write(files_stay / "testA_files.txt", "vox/id9/00001.mp4\n")  # a list without truth is no annotation
    write(files_stay / "about.json", {"licence": "x"})
    assert name_of(files_stay) == "avdeepfake1m" and len(build_dataset("avdeepfake1m", root=files_stay)) == 2


def test_avdeepfake1m_plus_plus_with_a_folder_for_each_split(files_stay):
    for split, name in (("val", "vox/id1/real"), ("val", "lrs3/id2/real"), ("train", "vox/id3/real")):
        write(files_stay / split / f"{name}.json", {"modify_type": "real"})
    assert name_of(files_stay) == "avdeepfake1m"
    assert data_sets()["avdeepfake1m"].splits_in(files_stay) == ("train", "val")
    chosen = build_dataset("avdeepfake1m", root=files_stay, split="val")
    assert [r.recording_id for r in chosen.references()] == ["lrs3/id2/real.mp4", "vox/id1/real.mp4"]
    assert len(build_dataset("avdeepfake1m", root=files_stay)) == 3
    path = files_stay / "val" / "vox" / "id1" / "real.wav"
    write_audio(path, np.zeros((1, 16000), dtype=np.float32), sample_rate=16000)
    path.rename(path.with_suffix(".mp4"))
    recording, reference = chosen[1]
    assert recording.id == reference.recording_id == "vox/id1/real.mp4"
    path.with_suffix(".mp4").unlink()


def test_json_of_something_else_is_not_taken_for_avdeepfake1m(tmp_path):
    write(tmp_path / "a" / "b.json", {"licence": "x"})
    with pytest.raises(AnnotationError, match="a folder without .* and without JSON beside recordings"):
        name_of(tmp_path)


def test_a_folder_of_two_data_sets_is_refused(tmp_path):
    write(tmp_path / "meta_data.csv", "")
    write(tmp_path / "manifest.jsonl", "")
    with pytest.raises(AnnotationError, match=r"annotations of \['fakeavceleb', 'manifest'\]; say which"):
        name_of(tmp_path)


@pytest.mark.parametrize("name", ["had", "partialspoof"])
def test_a_folder_of_two_splits_asks_for_one(tmp_path, name):
    for split in ("dev", "train"):
        if name == "had":
            write(tmp_path / f"{split}_label.txt", f"{split}_1 0.0-1.5-T 1\n")
        else:
            with (tmp_path / f"{split}_seglab_0.16.npy").open("wb") as stream:
                header = {"descr": "|O", "fortran_order": False, "shape": ()}
                np.lib.format.write_array_header_1_0(stream, header)
                pickle.dump({f"{split}_1": np.array(["1"])}, stream)
    assert name_of(tmp_path) == name
    with pytest.raises(AnnotationError, match=r"holds the splits \['train', 'dev'\]; name one"):
        build_dataset(name, root=tmp_path)
    (reference,) = build_dataset(name, root=tmp_path, split="dev").references()
    assert reference.recording_id == "dev_1" and reference.attributes["split"] == "dev"


def test_a_list_without_truth_gives_names_and_no_score(tmp_path):
    listed = write(tmp_path / "testA_files.txt", "a/b.mp4\nc/d.mp4\n\n")
    assert listed_files(listed) == ["a/b.mp4", "c/d.mp4"]
    with pytest.raises(AnnotationError, match="stands twice"):
        listed_files(write(tmp_path / "twice.txt", "a\na\n"))
    metadata = write(tmp_path / "test.json", [{"file": "a.mp4", "modify_type": "audio_modified"}])
    with pytest.raises(AnnotationError, match=r"'a.mp4': expected 'fake_segments'.*without truth"):
        build_dataset("avdeepfake1m", root=metadata)


def test_fakeavceleb_labels_whole_recordings(files_stay):
    write(
        files_stay / "meta_data.csv",
        "source,target1,target2,method,category,type,race,gender,path,\n"
        "id1,-,-,real,A,RealVideo-RealAudio,African,men,00001.wav,FakeAVCeleb/RealVideo-RealAudio/id1\n"
        "id1,id2,-,rtvc,B,RealVideo-FakeAudio,African,men,00002.wav,FakeAVCeleb/RealVideo-FakeAudio/id1\n"
        "id1,id2,-,fsgan,C,,African,men,00003.wav,FakeAVCeleb/RealVideo-FakeAudio/id1\n",
    )
    folder = files_stay / "RealVideo-FakeAudio" / "id1"
    folder.mkdir(parents=True)
    for name in ("00002.wav", "00003.wav"):
        write_audio(folder / name, np.zeros((1, 24000), dtype=np.float32), sample_rate=16000)
    assert name_of(files_stay) == "fakeavceleb"
    genuine, sound, picture = build_dataset("fakeavceleb", root=files_stay).references()
    assert not genuine.is_forged and genuine.recording_id == "RealVideo-RealAudio/id1/00001.wav"
    assert sound.segments == (Segment(0.0, 1.5),) and sound.visual.segments == ()
    assert sound.attributes["generator"] == "rtvc" and picture.attributes["modality"] == "visual"


def test_fakeavceleb_without_the_recordings_says_what_is_missing(tmp_path):
    write(tmp_path / "meta_data.csv", "type,path\nFakeVideo-FakeAudio,a.mp4\n")
    with pytest.raises(AnnotationError, match="line 2: the label means the whole recording"):
        build_dataset("fakeavceleb", root=tmp_path)
    write(tmp_path / "meta_data.csv", "type,path\nSomething,a.mp4\n")
    with pytest.raises(AnnotationError, match="type must be one of"):
        build_dataset("fakeavceleb", root=tmp_path)


def test_forgerynet_triples_are_start_and_length(files_stay):
    root = write(
        files_stay / "video_list.txt", "v/a.mp4 3 0 25 0 25 50 1 100 25 1 1 1 5\nv/b.mp4 1 0 10 0 0 0 0\n"
    )
    assert name_of(root) == name_of(files_stay) == "forgerynet"
    forged, genuine = ForgeryNetDataset(root=root, frame_rate=Fraction(25)).references()
    assert forged.segments == (Segment(1.0, 3.0), Segment(4.0, 5.0)) and not genuine.is_forged
    assert forged.attributes["labelled"] == [[0.0, 1.0], [1.0, 3.0], [4.0, 5.0]]
    with pytest.raises(AnnotationError, match="line 1: triples are frames"):
        build_dataset("forgerynet", root=root)
    with pytest.raises(AnnotationError, match="expected 2 triples"):
        build_dataset("forgerynet", root=write(files_stay / "bad.txt", "a 2 0 1 0 1\n"))


def test_methods_of_forgerynet_without_triples_are_all_forged(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((1, 32000), dtype=np.float32), sample_rate=16000)
    root = write(tmp_path / "video_list.txt", "a.wav 0 1 1 8\nb.wav 0 0 0 0\n")
    forged, genuine = build_dataset("forgerynet", root=root).references()
    assert forged.segments == (Segment(0.0, 2.0),) and not genuine.is_forged


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_partialspoof(files_stay, protocol):
    folder = files_stay / "segment_labels"
    folder.mkdir()
    labels = {"CON_D_1": np.array(["1", "0", "0", "1", "0"]), "LA_D_2": np.array(["1", "1"])}
    for step in ("0.16", "0.64"):
        with (folder / f"dev_seglab_{step}.npy").open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
            pickle.dump(np.array(labels, dtype=object), stream, protocol=protocol)
    assert name_of(files_stay) == name_of(folder / "dev_seglab_0.16.npy") == "partialspoof"
    forged, genuine = build_dataset("partialspoof", root=files_stay, split="dev").references()
    assert forged.segments == (Segment(0.16, 0.48), Segment(0.64, 0.8)) and forged.duration == 0.8
    assert not genuine.is_forged and forged.attributes["split"] == "dev"
    with pytest.raises(AnnotationError, match="eval_seglab"):
        build_dataset("partialspoof", root=files_stay, split="eval")


class Hostile:
    def __reduce__(self):
        return (print, ("it ran",))


@pytest.mark.parametrize(
    "value", [{"a": Hostile()}, np.array({"a": Hostile()}, dtype=object)], ids=["plain", "array"]
)
def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path, value, capsys):
    path = tmp_path / "dev_seglab_0.16.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(value, stream)
    with pytest.raises(AnnotationError, match="asks for builtins.print"):
        build_dataset("partialspoof", root=path)
    assert capsys.readouterr().out == ""


class RawPointers:
    """An array of objects whose content is bytes: NumPy would take them for addresses."""

    def __init__(self, dtype: object) -> None:
        self.dtype = dtype

    def __reduce__(self):
        return (_frombuffer, (b"A" * 32, self.dtype, (4,), "C"))


class NoFlags:
    """The type object, with the flag taken away that keeps NumPy from reading it as bytes."""

    def __reduce__(self):
        return (np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0))


@pytest.mark.parametrize(
    "labels",
    [
        RawPointers(NoFlags()),
        RawPointers(np.dtype([("a", "i4"), ("b", "i4")])),
        RawPointers(np.dtype("f8")),
        [["1"], ["0", "1"]],
        [1.5, None],
        {"1": "0"},
        np.array([None, 3.5], dtype=object),
    ],
)
def test_what_holds_no_labels_is_refused_and_no_address_is_followed(tmp_path, labels):
    path = tmp_path / "dev_seglab_0.16.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump({"a": labels}, stream, protocol=4)
    with pytest.raises(AnnotationError, match=r"dev_seglab_0\.16\.npy"):
        build_dataset("partialspoof", root=path)


def test_lines_of_had_and_add(files_stay):
    root = write(
        files_stay / "label.txt", "HAD_1 0.0-1.5-T/1.5-2.0-F/2.0-2.25-F/2.25-3.0-T 0\nHAD_2 0.0-2.5-T 1\n"
    )
    assert name_of(root) == name_of(files_stay) == "had" and data_sets()["had"] is data_sets()["add"]
    forged, genuine = build_dataset("had", root=root).references()
    assert forged.segments == (Segment(1.5, 2.25),) and forged.duration == 3.0 and not genuine.is_forged
    with pytest.raises(AnnotationError, match="line 1: expected start-end-T"):
        build_dataset("add", root=write(files_stay / "bad.txt", "a 0.0-x-T 1\n"))


def test_activitynet_annotations(files_stay):
    content = {
        "database": {
            "000001": {
                "subset": "test",
                "duration": 9.0,
                "annotations": [{"segment": [1, 2], "label": "Fake"}],
            },
            "000002": {"subset": "train", "annotations": []},
        }
    }
    root = write(files_stay / "annotations.json", content)
    assert name_of(root) == "activitynet"
    assert build_dataset("activitynet", root=root, split="test").references()[0].segments == (Segment(1, 2),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "an empty list"),
        ('[{"file": "a", "label": 1}]', r"keys \['file', 'label'\]"),
        ('{"a": 1}', "without 'database'"),
        ("[1]", "entry 0: expected an object"),
        ("nonsense", "entry 0: expected '\\['"),
        ('[{"file": "a", "fake_periods": []}', "entry 1: expected ','"),
    ],
)
def test_unknown_metadata_is_a_named_error(tmp_path, text, message):
    path = write(tmp_path / "m.json", text)
    with pytest.raises(AnnotationError, match=message) as error:
        build_dataset(name_of(path), root=path)
    assert "m.json" in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"fake_periods": []}, "entry 0: expected text under 'file'"),
        ({"file": "a", "fake_periods": [[2, 1]]}, "'a': fake_periods must be"),
        ({"file": "a", "fake_periods": [[1]]}, "'a': fake_periods must be"),
        ({"file": "a", "fake_periods": 3}, "'a': fake_periods must be"),
        ({"file": "a", "n_fakes": 2}, "'a': expected 'fake_periods'"),
        ({"file": "a", "fake_periods": [], "duration": "long"}, "'a': duration must be a number"),
    ],
)
def test_an_error_names_file_and_key(tmp_path, entry, message):
    root = write(tmp_path / "metadata.json", [entry])
    with pytest.raises(AnnotationError, match=message) as error:
        build_dataset("lavdf", root=root)
    assert "metadata.json" in str(error.value)


def test_a_recording_that_stands_twice_is_refused(tmp_path):
    root = write(tmp_path / "metadata.json", [LAVDF[0], LAVDF[0]])
    with pytest.raises(AnnotationError, match="'test/000001.mp4' stands twice"):
        build_dataset("lavdf", root=root)


def test_recordings_open_from_the_folder(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((1, 16000), dtype=np.float32), sample_rate=16000)
    root = write(tmp_path / "metadata.json", [{"file": "a.wav", "fake_periods": [[0.2, 0.4]]}])
    dataset = build_dataset("psynd", root=root)
    recording, reference = dataset[0]
    assert recording.id == reference.recording_id == "a.wav" and recording.duration == 1.0
    assert [r.id for r in dataset.recordings()] == ["a.wav"]


def test_unknown_names_and_places_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'lavdf'"):
        build_dataset("lavdfs", root=tmp_path)
    with pytest.raises(AnnotationError, match="expected a folder with metadata.min.json"):
        build_dataset("lavdf", root=tmp_path)
    with pytest.raises(AnnotationError, match="there is none"):
        name_of(tmp_path / "absent.json")
    with pytest.raises(AnnotationError, match="a folder without"):
        name_of(tmp_path)
    with pytest.raises(AnnotationError, match="lines such as"):
        name_of(write(tmp_path / "x.txt", "something else\n"))
