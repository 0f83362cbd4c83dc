"""The tables: what is registered is built, everything else is refused without importing anything."""

import pytest
from mmengine.registry import Registry

from avloc.errors import ConfigError
from avloc.registry import (
    ENCODERS,
    NETWORKS,
    REGISTRIES,
    build,
    check_keywords,
    find_registered,
    look_up,
    registered_name,
    suggest,
    with_names,
)

TABLE = Registry("shape", scope="avloc")


@TABLE.register_module()
class Box:
    def __init__(self, *, width: int, depth: int = 2) -> None:
        self.size = (width, depth)


@TABLE.register_module()
class Dot:
    pass


class Stranger:
    pass


@pytest.mark.parametrize("kind", ["Box", Box])
def test_a_name_and_a_class_build_the_same(kind):
    assert build(TABLE, {"type": kind, "width": 3}).size == (3, 2)


@pytest.mark.parametrize("spec", ["Dot", Dot, {"type": "Dot"}])
def test_a_bare_type_stands_for_its_defaults(spec):
    assert isinstance(build(TABLE, spec), Dot)


def test_none_gives_none():
    assert build(TABLE, None) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "Bocks"}, "no shape is registered as 'Bocks'; known are"),
        ({"type": "Boxx"}, "did you mean 'Box'"),
        ({"type": Stranger}, "Stranger is not a registered shape"),
        ({"type": 7}, "7 is not a registered shape"),
        ({"width": 3}, r"needs the key 'type', got the keys \['width'\]"),
        ({"type": "Box", "widht": 3}, "takes no 'widht'; did you mean 'width'"),
        ({"type": "Box"}, r"Box needs \['width'\]"),
        (3, "a shape is a mapping with 'type', a class, a name or None, got 3"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_hint(spec, message):
    with pytest.raises(ConfigError, match=message):
        build(TABLE, spec)


@pytest.mark.parametrize("name", ["subprocess.getoutput", "os.system", "avloc.shape.Box", "mmengine.Config"])
def test_a_dotted_name_is_never_imported_or_called(name, tmp_path):
    witness = tmp_path / "ran"
    with pytest.raises(ConfigError, match="is registered as"):
        build(ENCODERS, {"type": name, "cmd": f"touch {witness}", "command": f"touch {witness}"})
    assert not witness.exists()


def test_a_class_of_another_table_is_refused():
    with pytest.raises(ConfigError, match="Box is not a registered encoder"):
        look_up(ENCODERS, Box)


def test_the_four_tables_are_apart():
    assert [registry.name for registry in REGISTRIES] == ["encoder", "network", "dataset", "metric"]


def test_a_registered_class_is_found_by_name_and_gives_its_name():
    from avloc.models.hierarchical import HierarchicalLocalizer

    assert registered_name(HierarchicalLocalizer) == "HierarchicalLocalizer"
    assert find_registered("HierarchicalLocalizer", where="model.type") is HierarchicalLocalizer
    assert look_up(NETWORKS, "HierarchicalLocalizer") is HierarchicalLocalizer
    assert registered_name(Stranger) is None
    with pytest.raises(
        ConfigError, match="'model.type' is 'HierarchicalLocaliser'.*did you mean 'HierarchicalLoc"
    ):
        find_registered("HierarchicalLocaliser", where="model.type")


def test_with_names_makes_plain_values():
    from avloc.models.hierarchical import HierarchicalLocalizer

    plain = with_names(
        {"type": HierarchicalLocalizer, "widths": (1, 2), "rate": 0.5, "off": None, "on": True}
    )
    assert plain == {
        "type": "HierarchicalLocalizer",
        "widths": [1, 2],
        "rate": 0.5,
        "off": None,
        "on": True,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"type": Stranger}}, "a.type: Stranger is not registered"),
        ({"a": [1, float("nan")]}, r"a\[1\]: .* got nan"),
        ({"a": {3: 4}}, "a: a key must be text, got 3"),
        ({"a": b"x"}, "a: a configuration holds"),
    ],
)
def test_with_names_refuses_what_json_cannot_hold(value, message):
    with pytest.raises(ConfigError, match=message):
        with_names(value)


def test_check_keywords_says_where():
    with pytest.raises(ConfigError, match="model.audio_encoder: Box takes no 'x'"):
        check_keywords(Box, ["x", "width"], where="model.audio_encoder")


def test_suggest_lists_everything_when_nothing_is_close():
    assert suggest("q", ["b", "a"]) == "known are ['a', 'b']"
