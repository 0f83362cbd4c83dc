"""Types of values and shared options."""

import click
import pytest

from avloc.cli.options import Device, Unit, read_limits


@pytest.mark.parametrize(("text", "number"), [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)])
def test_a_unit_is_a_number_from_0_to_1(text, number):
    assert Unit().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["nan", "inf", "-0.1", "1.0001", "", "half"])
def test_anything_else_is_no_unit(text):
    with pytest.raises(click.BadParameter, match="from 0 to 1"):
        Unit().convert(text, None, None)


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:x", "cpu:0", "cuda:1 "])
def test_other_forms_of_a_device_are_refused(text):
    with pytest.raises(click.BadParameter, match="cuda:N"):
        Device().convert(text, None, None)


@pytest.mark.parametrize(("n_devices", "found"), [(0, "cpu"), (2, "cuda")])
def test_a_device_is_one_that_the_machine_has(monkeypatch, n_devices, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: n_devices > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: n_devices)
    assert Device().convert("auto", None, None) == found
    assert Device().convert("cpu", None, None) == "cpu"
    if n_devices:
        assert Device().convert("cuda:1", None, None) == "cuda:1"
    with pytest.raises(click.BadParameter, match=f"{n_devices} CUDA devices"):
        Device().convert("cuda:2", None, None)


def test_limits_start_from_the_defaults():
    assert read_limits(()) is None
    limits = read_limits(("pixels=100", "wall_factor=2.5"))
    assert (limits.pixels, limits.wall_factor, limits.channels) == (100, 2.5, 64)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "", "many"])
def test_a_limit_is_a_finite_number_above_zero(text):
    with pytest.raises(click.UsageError, match="duration_s needs a number above 0"):
        read_limits((f"duration_s={text}",))


def test_a_limit_that_counts_is_whole():
    with pytest.raises(click.UsageError, match="pixels needs a whole number above 0, got '1e9'"):
        read_limits(("pixels=1e9",))


def test_an_unknown_limit_names_the_known_ones():
    with pytest.raises(click.UsageError, match="duration_s.*'mood=1'|duration_s.*'mood'"):
        read_limits(("mood=1",))
