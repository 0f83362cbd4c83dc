"""`avloc weights import`: public checkpoints become weights files with a card, or are refused."""

import json
import os

import pytest
import torch

from avloc.cli.main import main
from avloc.errors import CheckpointError, ConfigError
from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif
from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.weights.importing import encoder_problems, import_weights, read_checkpoint
from avloc.models.weights.store import load_weights, read_header

CONFORMER = dict(stem_width=4, width=768, n_heads=2, n_blocks=1, hidden=8)
HUBERT = dict(stem_width=4, width=768, n_heads=2, n_layers=1, hidden=8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


@pytest.fixture
def checkpoints(tmp_path):
    """Small checkpoints in the published forms, by name."""
    networks = {
        "visual": AutoAvsrVisualEncoder(**CONFORMER),
        "audio": AutoAvsrAudioEncoder(**CONFORMER),
        "hubert": AvHubertEncoder(**HUBERT),
        "dimodif": DiMoDif(max_length=12, width=32, n_heads=2, hidden=24, n_layers=2),
        "dimodif_dfd": DiMoDif(task="dfd", max_length=12, width=64, n_heads=4, hidden=64, n_layers=3),
        "auvire": AuViRe(max_length=16, width=8, kernel=5, n_halvings=2),
    }
    paths = {}
    for name, network in networks.items():
        state, path = network.state_dict(), tmp_path / f"{name}.pth"
        if name in ("visual", "audio"):
            state = {f"encoder.{key}": value for key, value in state.items()}
            content = state | {"decoder.x": torch.zeros(2), "ctc.ctc_lo.bias": torch.zeros(2)}
        elif name == "hubert":
            content = {"model": state | {"mask_emb": torch.zeros(104)}, "args": None}
        else:
            content = {"model": state, "optimizer": {"state": {}, "param_groups": []}}
        torch.save(content, path)
        paths[name] = path
    return paths, networks


def import_encoders(paths) -> None:
    for name in ("visual", "audio"):
        import_weights(paths[name], f"auto-avsr-{name}", settings=CONFORMER)
    import_weights(paths["hubert"], "av-hubert", settings=HUBERT)


def test_every_kind_comes_back_as_it_was(checkpoints):
    paths, networks = checkpoints
    import_encoders(paths)
    for name in ("dimodif", "dimodif_dfd", "auvire"):
        import_weights(paths[name], name)
    names = {"visual": "auto-avsr-visual", "audio": "auto-avsr-audio", "hubert": "av-hubert"}
    for name, network in networks.items():
        loaded, card, _ = load_weights(names.get(name, name))
        assert type(loaded) is type(network) and card.network == type(network).__name__
        for key, value in network.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), (name, key)  # float32 is kept


def test_sizes_are_read_off_the_shapes(checkpoints):
    paths, _ = checkpoints
    config, _ = read_checkpoint(paths["dimodif_dfd"])
    told = {"task": "dfd", "max_length": 12, "width": 64, "n_heads": 4, "hidden": 64, "n_layers": 3}
    assert told.items() <= config.items() and config["attention_window"] == 15
    config, _ = read_checkpoint(paths["auvire"])
    told = {"max_length": 16, "width": 8, "kernel": 5, "n_outer": 2, "n_halvings": 2, "n_retain": 2}
    assert (
        told | {"n_downsample": 2, "pyramid": True, "pairs": ["av", "aa", "vv"]}
    ).items() <= config.items()


def test_the_card_names_the_encoders_and_their_hashes(checkpoints, capsys):
    paths, _ = checkpoints
    import_encoders(paths)
    code = main(["weights", "import", str(paths["dimodif"]), "--as", "d", "--format", "json"])
    card = json.loads(capsys.readouterr().out)
    assert code == 0
    assert {stream: told["name"] for stream, told in card["encoders"].items()} == {
        "audio": "auto-avsr-audio",
        "visual": "auto-avsr-visual",
    }
    assert main(["weights", "card", "d", "--format", "text"]) == 0
    assert "- visual: auto-avsr-visual (AutoAvsrVisualEncoder)" in capsys.readouterr().out


def test_missing_encoders_exit_with_2_and_are_named(checkpoints, capsys, home):
    paths, _ = checkpoints
    assert main(["weights", "import", str(paths["dimodif"]), "--as", "d"]) == 2
    told = capsys.readouterr().err
    assert "audio=auto-avsr-audio (AutoAvsrAudioEncoder), visual=auto-avsr-visual" in told
    command = ["weights", "import", str(paths["auvire"]), "--as", "a", "--encoders", "audio=one,visual=two"]
    assert main(command) == 2
    assert "audio=one" in capsys.readouterr().err and not (home / "a.safetensors").exists()


def test_encoders_of_the_other_stream_are_refused(checkpoints, capsys):
    paths, _ = checkpoints
    import_encoders(paths)
    swapped = "audio=auto-avsr-visual,visual=auto-avsr-audio"
    assert main(["weights", "import", str(paths["dimodif"]), "--as", "d", "--encoders", swapped]) == 2
    assert "AutoAvsrVisualEncoder and cannot be the audio encoder" in capsys.readouterr().err


def test_a_network_for_saved_features_needs_no_encoders(checkpoints, capsys):
    paths, _ = checkpoints
    assert main(["weights", "import", str(paths["auvire"]), "--as", "a", "--encoders", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["encoders"] == {}


def test_an_encoder_that_was_replaced_is_noticed(checkpoints, home):
    paths, _ = checkpoints
    import_encoders(paths)
    _, card = import_weights(paths["dimodif"], "d")
    assert encoder_problems(card) == []
    torch.save(
        {f"encoder.{k}": v + 1 for k, v in AutoAvsrAudioEncoder(**CONFORMER).state_dict().items()},
        paths["audio"],
    )
    import_weights(paths["audio"], "auto-avsr-audio", settings=CONFORMER)
    os.remove(home / "auto-avsr-visual.safetensors")
    first, second = encoder_problems(card)
    assert "audio: 'auto-avsr-audio' is another file" in first
    assert "visual: 'auto-avsr-visual' (AutoAvsrVisualEncoder) is not there" in second


def test_what_no_shape_tells_may_be_said(checkpoints):
    paths, _ = checkpoints
    import_weights(paths["dimodif"], "d", encoders={}, settings={"attention_window": 5})
    assert load_weights("d")[0]._blocked.sum() > 0


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("attention_windows=5", "no setting 'attention_windows'; did you mean 'attention_window'?"),
        ("type=AuViRe", "no setting 'type'"),
        ("n_heads=two", "setting 'n_heads' must be a whole number, got 'two'"),
        ("n_heads=1,2", "setting 'n_heads' must be a whole number, got [1, 2]"),
        ("n_heads=true", "setting 'n_heads' must be a whole number, got True"),
        ("pyramid=1", "setting 'pyramid' must be true or false, got 1"),
        ("dropout=low", "setting 'dropout' must be a number, got 'low'"),
        ("task=5", "setting 'task' must be a word, got 5"),
        ("task=both", "task must be one of"),
    ],
)
def test_a_setting_that_is_none_exits_with_2_and_a_hint(setting, told, checkpoints, capsys):
    command = ["weights", "import", str(checkpoints[0]["dimodif"]), "--as", "d", "--encoders", "none"]
    assert main([*command, "--set", setting]) == 2
    assert told in capsys.readouterr().err


def test_an_unknown_setting_is_a_config_error(checkpoints):
    with pytest.raises(ConfigError, match="DiMoDif has no setting 'n_haeds'; did you mean 'n_heads'"):
        import_weights(checkpoints[0]["dimodif"], "d", encoders={}, settings={"n_haeds": 5})


@pytest.mark.parametrize("pairs", ["av,va", "aa"])
def test_pairs_can_be_spelt_on_the_command_line(pairs, checkpoints, tmp_path):
    network = AuViRe(max_length=16, width=8, kernel=5, n_halvings=2, pairs=pairs.split(","))
    torch.save({"model": network.state_dict()}, tmp_path / "a.pth")
    command = ["weights", "import", str(tmp_path / "a.pth"), "--as", "a", "--encoders", "none"]
    assert main([*command, "--set", f"pairs={pairs}", "--set", "operation=multiplication"]) == 0
    loaded, _, _ = load_weights("a")
    assert loaded.pairs == tuple(pairs.split(",")) and loaded.operation == "multiplication"


def test_quirks_of_the_public_code_are_settings_of_its_networks(checkpoints, capsys):
    paths, _ = checkpoints
    command = ["weights", "import", str(paths["auvire"]), "--as", "a", "--encoders", "none"]
    assert main([*command, "--set", "truncates=true", "--set", "most_kept=50"]) == 0
    quirks = {"clamps_to_window": False, "drops_last": True, "most_kept": 50, "truncates": True}
    assert read_header("a")[0]["decoding"]["published"] == quirks
    assert "truncates" not in read_header("a")[0]["model"]
    assert "said at the import: truncates=true, most_kept=50" in capsys.readouterr().out
    assert main([*command, "--set", "trunkates=true"]) == 2
    assert "did you mean 'truncates'" in capsys.readouterr().err
    assert main([*command, "--set", "most_kept=0"]) == 2
    assert "most_kept must be a whole number of at least 1, got 0" in capsys.readouterr().err
    assert main(["weights", "import", str(paths["visual"]), "--as", "v", "--set", "truncates=true"]) == 2
    assert "AutoAvsrVisualEncoder has no setting 'truncates'" in capsys.readouterr().err


def limits_of(path, **given) -> str:
    return "\n".join(import_weights(path, "x", **given)[1].limits)


def test_what_was_assumed_stands_among_the_limits(checkpoints):
    paths, _ = checkpoints
    told = limits_of(paths["dimodif"], encoders={})
    assert "assumed, as no entry of the file tells it: n_heads=2, attention_window=15, pyramid=true" in told
    assert "said at the import" not in told
    told = limits_of(paths["dimodif"], encoders={}, settings={"attention_window": 5, "mask_padding": True})
    assert "assumed, as no entry of the file tells it: n_heads=2, pyramid=true" in told
    assert "said at the import: attention_window=5, mask_padding=true" in told
    told = limits_of(paths["auvire"], encoders={})
    assert "tells it: pairs=av,aa,vv, operation=subtraction" in told
    assert "tells it: n_heads=12" in limits_of(paths["hubert"])
    assert "assumed, as" not in limits_of(paths["visual"])


@pytest.mark.parametrize("name", ["default", "../x", "", "a/b", ".hidden"])
def test_what_cannot_be_a_name_is_refused(name, checkpoints):
    with pytest.raises(CheckpointError, match="cannot be a name of weights"):
        import_weights(checkpoints[0]["visual"], name)


def test_a_checkpoint_of_another_shape_is_refused_with_its_entry(checkpoints, capsys):
    paths, networks = checkpoints
    state = networks["dimodif"].state_dict() | {"sep.weight": torch.zeros(1, 33)}
    torch.save({"model": state}, paths["dimodif"])
    command = ["weights", "import", str(paths["dimodif"]), "--as", "d", "--encoders", "none"]
    assert main(command) == 2
    assert "'sep.weight' must have shape (1, 32), got (1, 33)" in capsys.readouterr().err
    torch.save({"model": state | {"extra": torch.zeros(1)}}, paths["dimodif"])
    assert main(command) == 2 and "no place for 1 entries, first 'extra'" in capsys.readouterr().err
    state.pop("sep.weight"), state.pop("projection.0.bias")
    torch.save({"model": state | {"sep.weight": torch.zeros(1, 32)}}, paths["dimodif"])
    assert main(command) == 2 and "1 are missing, first 'projection.0.bias'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "shape", "settings"),
    [
        ("pos_encoder.weight", (4,), {}),
        ("pos_encoder.weight", (9000, 32), {}),
        ("pos_encoder.weight", None, {"n_heads": 3}),
    ],
)
def test_sizes_that_make_no_network_are_refused(checkpoints, key, shape, settings):
    paths, networks = checkpoints
    state = networks["dimodif"].state_dict() | ({} if shape is None else {key: torch.zeros(shape)})
    torch.save({"model": state}, paths["dimodif"])
    with pytest.raises(CheckpointError, match="size is not known|cannot be built"):
        import_weights(paths["dimodif"], "d", encoders={}, settings=settings)


class _Runs:
    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("kind", ["visual", "dimodif", "auvire", "hubert"])
def test_a_pickle_with_code_is_refused_and_nothing_runs(kind, checkpoints, tmp_path, capsys):
    paths, _ = checkpoints
    mark = tmp_path / "mark"
    content = torch.load(paths[kind], weights_only=True)
    torch.save(content | {"more": _Runs(mark)}, paths[kind])
    assert main(["weights", "import", str(paths[kind]), "--as", "x"]) == 2
    told = capsys.readouterr().err
    assert "refused" in told and "system" in told and "Traceback" not in told
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_exits_with_2(content, tmp_path, capsys):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert main(["weights", "import", str(path), "--as", "x"]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_checkpoint_of_something_else_is_refused_with_its_keys(tmp_path):
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="is no checkpoint of Auto-AVSR.*begin .'conv.weight'"):
        import_weights(tmp_path / "x.pth", "x")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--encoders", "audio"), ("--encoders", "=x"), ("--set", "n_heads"), ("--set", "n_heads=")],
)
def test_pairs_that_are_none_are_refused(option, value, checkpoints, capsys):
    command = ["weights", "import", str(checkpoints[0]["dimodif"]), "--as", "x", option, value]
    assert main(command) == 2
    assert f"{option} takes key=value pairs, got {value!r}" in capsys.readouterr().err


def test_a_setting_that_is_said_twice_is_refused(checkpoints, capsys):
    command = ["weights", "import", str(checkpoints[0]["dimodif"]), "--as", "x"]
    assert main([*command, "--set", "n_heads=2", "--set", "n_heads=4"]) == 2
    assert "--set says 'n_heads' twice" in capsys.readouterr().err


def test_encoders_for_other_streams_or_for_an_encoder_are_refused(checkpoints):
    paths, _ = checkpoints
    with pytest.raises(CheckpointError, match="did you mean 'audio'"):
        import_weights(paths["dimodif"], "d", encoders={"adio": "x"})
    with pytest.raises(CheckpointError, match="reads no other encoders"):
        import_weights(paths["visual"], "v", encoders={"audio": "x"}, settings=CONFORMER)
