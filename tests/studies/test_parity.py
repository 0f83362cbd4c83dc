"""`avloc weights parity`: every public network and transform against what the authors' code answered."""

import json
import shutil

import numpy as np
import pytest

from avloc.cli.main import main
from avloc.errors import AnnotationError
from avloc.studies.parity.comparison import allowed_error, largest_error
from avloc.studies.parity.fixtures import read_fixture
from avloc.studies.parity.recipes import make_weight
from avloc.studies.parity.run import RUNNERS, largest_by_output, run_fixture

SMALL = (
    "whisper_mini",
    "whisper_log_mel",
    "dimodif_tfl_tiny",
    "dimodif_tfl_tiny_nomask",
    "dimodif_tfl_tiny_nopyramid",
    "dimodif_dfd_tiny",
    "dimodif_dfd_tiny_nopyramid",
    "dimodif_dfd_64_l3",
    "dimodif_dfd_64_l5",
    "auvire_tiny",
    "auvire_tiny_mult",
    "auvire_tiny_nofpn",
    "auvire_avdeepfake1m",
    "soft_nms",
    "decode",
    "labels",
    "losses",
    "avhubert_audio_features",
    "input_transforms",
    "mouth_crop",
)
LARGE = (
    "whisper_tiny",
    "auto_avsr_audio",
    "auto_avsr_video",
    "vsr_ml_audio",
    "vsr_ml_video",
    "avhubert_base",
    "dimodif_tfl_256",
    "auvire_lavdf",
)


@pytest.mark.dataset
@pytest.mark.parametrize("name", SMALL)
def test_a_fixture_is_reproduced(name, parity_dir):
    _assert_reproduced(parity_dir / f"{name}.json")


@pytest.mark.dataset
@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_fixture_of_published_size_is_reproduced(name, parity_dir):
    _assert_reproduced(parity_dir / f"{name}.json")


def _assert_reproduced(path):
    found = run_fixture(path)
    outside = [row for row in found if not row.passes]
    assert found and not outside, outside


@pytest.mark.dataset
def test_every_fixture_beside_the_checkout_is_served_and_tested(parity_dir):
    names = {path.stem for path in parity_dir.glob("*.json")}
    assert names <= {*SMALL, *LARGE}


@pytest.fixture
def copied(parity_dir, tmp_path):
    """A small fixture that may be changed, and a function that writes it back."""
    for suffix in (".json", ".npz"):
        shutil.copyfile(parity_dir / f"dimodif_tfl_tiny{suffix}", tmp_path / f"new{suffix}")
    path = tmp_path / "new.json"
    description = json.loads(path.read_text())
    return path, description, lambda: path.write_text(json.dumps(description))


@pytest.mark.dataset
def test_the_command_prints_the_largest_error_of_every_output(copied, capsys):
    path, *_ = copied
    assert main(["weights", "parity", "--format", "text", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines} >= {"logits", "offsets", "level0", "level1"}
    assert all(" ok " in line for line in lines)


@pytest.mark.dataset
def test_an_output_outside_its_tolerance_exits_with_3_and_is_named(copied, capsys):
    path, *_ = copied
    with np.load(path.with_suffix(".npz")) as archive:
        arrays = dict(archive)
    arrays["a/offsets"] = arrays["a/offsets"] + np.float32(1e-3)
    np.savez(path.with_suffix(".npz"), **arrays)
    assert main(["weights", "parity", str(path)]) == 3
    rows = json.loads(capsys.readouterr().out)
    assert [row["output"] for row in rows if not row["passes"]] == ["offsets"]
    assert next(row["error"] for row in rows if not row["passes"]) == pytest.approx(1e-3, rel=0.01)


@pytest.mark.dataset
def test_another_length_and_batch_are_compared_by_shape(copied):
    path, description, write = copied
    description["cases"][0]["inputs"].update(B=1, valid_steps=[12])
    write()
    assert all(not row.passes for row in run_fixture(path) if row.case == "a")


@pytest.mark.dataset
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(name="unheard"), "nothing here serves 'unheard'"),
        (lambda d: d["state_dict"][0].__setitem__(3, "q"), "has the kind 'q'"),
        (lambda d: next(iter(d["weight_checks"].values())).update(first=[9.0]), "begins with"),
        (lambda d: d.pop("config"), "does not fit its format .KeyError: 'config'"),
        (lambda d: d.pop("cases"), "'cases' must be a list"),
        (lambda d: d["cases"][0]["outputs"]["logits"].update(array="b/none"), "'b/none' is not in the .npz"),
    ],
)
def test_a_fixture_that_does_not_fit_is_refused_by_name(copied, change, message, capsys):
    path, description, write = copied
    change(description)
    write()
    with pytest.raises(AnnotationError, match=message):
        run_fixture(path)
    assert main(["weights", "parity", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_file_that_is_no_fixture_is_refused(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_fixture(path)
    path.write_text("{")
    with pytest.raises(AnnotationError, match="is no JSON"):
        read_fixture(path)
    path.write_text('{"name": "decode", "cases": []}')
    with pytest.raises(AnnotationError, match="expected the arrays of x.json"):
        read_fixture(path)


def test_a_pickle_in_the_arrays_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"name": "decode", "cases": []}')
    np.savez(path.with_suffix(".npz"), a=np.array([{}], dtype=object))
    with pytest.raises(AnnotationError, match="allow_pickle"):
        read_fixture(path)


@pytest.mark.parametrize(
    ("text", "std", "allowed"),
    [
        ("max abs <= 1e-4 * std + 1e-4", 3.0, 4e-4),
        ("2e-4 absolute", 3.0, 2e-4),
        ("1e-5 (scores 1e-6)", 3.0, 1e-5),
        ("exact", 3.0, 0.0),
    ],
)
def test_tolerances_are_read_as_they_are_written(text, std, allowed):
    assert allowed_error(text, std=std) == pytest.approx(allowed)


def test_a_tolerance_without_a_number_is_refused():
    with pytest.raises(ValueError, match="with a number"):
        allowed_error("close")


def test_errors_are_relative_where_asked_and_infinite_where_nan_differs():
    a, b = np.array([2.0, 4.0]), np.array([1.0, 4.0])
    assert largest_error(a, b, relative=True) == 1.0
    assert largest_error(np.array([np.nan]), np.array([0.0])) == np.inf


def test_an_unknown_kind_of_weight_is_refused():
    with pytest.raises(ValueError, match="kind must be one of"):
        make_weight("a", [2], "x")


@pytest.mark.dataset
def test_the_worst_case_of_an_output_is_the_one_that_is_shown(parity_dir):
    rows = run_fixture(parity_dir / "whisper_mini.json")
    shown = {row.output: row.error for row in largest_by_output(rows)}
    assert all(row.error <= shown[row.output] for row in rows) and len(shown) == 4


def test_more_special_names_are_looked_up_first():
    order = list(RUNNERS)
    assert all(a not in b for i, a in enumerate(order) for b in order[i + 1 :])
