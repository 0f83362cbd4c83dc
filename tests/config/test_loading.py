"""Named and given files, overrides, and that a loaded configuration builds and is plain."""

import json

import pytest

from avloc.config import dump_config, load_config
from avloc.errors import ConfigError


def test_the_default_has_the_three_keys_and_survives_json():
    config = load_config("default")
    assert list(config) == ["model", "decoding", "train"]
    assert json.loads(dump_config(config)) == config


def test_what_is_loaded_is_nobody_elses():
    load_config("default")["model"]["head"]["n_head_layers"] = 99
    assert load_config("default")["model"]["head"]["n_head_layers"] != 99


def test_a_missing_key_is_an_empty_mapping(tmp_path):
    (tmp_path / "a.py").write_text("train = dict(seed=3)\n")
    assert load_config(str(tmp_path / "a.py")) == {"model": {}, "decoding": {}, "train": {"seed": 3}}


@pytest.mark.parametrize(
    "overrides", [{"train.batch_size": 3}, ["train.batch_size=3"], ["train.batch_size = 3"]]
)
def test_an_override_changes_one_value(overrides):
    changed, plain = load_config("default", overrides=overrides), load_config("default")
    assert changed["train"].pop("batch_size") == 3
    plain["train"].pop("batch_size")
    assert changed == plain


def test_a_branch_can_be_switched_off_and_a_float_can_be_whole():
    config = load_config("default", overrides={"model.visual_encoder": None, "train.weight_decay": 0})
    assert config["model"]["visual_encoder"] is None
    assert config["train"]["weight_decay"] == 0


def test_an_override_deep_inside_is_checked_by_the_class():
    config = load_config("default", overrides=["model.visual_encoder.width=16"])
    assert config["model"]["visual_encoder"]["width"] == 16
    with pytest.raises(
        ConfigError, match="model.visual_encoder: CompactVisualEncoder takes no 'wdth'; did you mean"
    ):
        load_config(
            "default", overrides={"model.visual_encoder": {"type": "CompactVisualEncoder", "wdth": 3}}
        )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.haed.n_head_layers=1", "'model' lacks it; did you mean 'head'"),
        ("modle.head=1", "'the top level' lacks it; did you mean 'model'"),
        ("train.iteration=1", "'train' lacks it; did you mean 'iterations'"),
        ("train.seed.more=1", "'train.seed' is 0 and has no keys"),
        ("train.seed", "an override reads 'model.head.channels=64', got 'train.seed'"),
        ("train.seed=many", "'train.seed' needs a number"),
        ("train.seed=1.5", "'train.seed' is 0; 1.5 is of another type"),
        ("train.seed=True", "'train.seed' is 0; True is of another type"),
        ("train.losses=3", "is of another type"),
        ("train.losses={'scroe': 1}", "unknown key 'train.losses.scroe'; did you mean 'score'"),
        ("train.learning_rate=1e999", "finite"),
        (
            "model.type=CompactVisualEncodr",
            "'model.type' is 'CompactVisualEncodr'.*did you mean 'CompactVisualEncoder'",
        ),
        ("model.audio_encoder.type=os.system", "'model.audio_encoder.type' is 'os.system'"),
        ("=1", "lacks it"),
    ],
)
def test_an_override_that_does_not_fit_is_refused_with_a_hint(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config("default", overrides=[override])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("defualt", "no configuration is called 'defualt'; did you mean 'default'"),
        ("../secret", "no configuration is called"),
        ("/nowhere/a.py", "there is no such configuration file"),
    ],
)
def test_a_configuration_that_is_not_there_is_named(name, message):
    with pytest.raises(ConfigError, match=message):
        load_config(name)


def test_a_file_with_a_misspelt_keyword_of_a_class_is_refused(tmp_path):
    (tmp_path / "a.py").write_text(
        "from avloc.models.encoders.compact import CompactVisualEncoder\n"
        "model = dict(visual_encoder=dict(type=CompactVisualEncoder, widht=3))\n"
    )
    with pytest.raises(ConfigError, match="takes no 'widht'; did you mean 'width'"):
        load_config(str(tmp_path / "a.py"))


def test_dumping_a_class_that_is_not_registered_is_refused():
    with pytest.raises(ConfigError, match="model.type: object is not registered"):
        dump_config({"model": {"type": object}})
