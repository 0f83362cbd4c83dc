"""Types of values and shared options."""

import click
import pytest

from avloc.cli.options import Device, Unit, read_limits, resolve_device


@pytest.mark.parametrize(("text", "number"), [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)])
def test_a_unit_is_a_number_from_0_to_1(text, number):
    assert Unit().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["nan", "inf", "-0.1", "1.0001", "", "half"])
def test_anything_else_is_no_unit(text):
    with pytest.raises(click.BadParameter, match="from 0 to 1"):
        Unit().convert(text, None, None)


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "cuda:3"])
def test_devices_have_known_forms(text):
    assert Device().convert(text, None, None) == text


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:x", "cpu:0", "cuda:1 "])
def test_other_forms_are_refused(text):
    with pytest.raises(click.BadParameter, match="cuda:N"):
        Device().convert(text, None, None)


@pytest.mark.parametrize(("n_devices", "found"), [(0, "cpu"), (2, "cuda")])
def test_auto_takes_what_the_machine_has(monkeypatch, n_devices, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: n_devices > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: n_devices)
    assert resolve_device("auto") == found
    assert resolve_device("cpu") == "cpu"
    if n_devices:
        assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(click.UsageError, match=f"{n_devices} CUDA devices"):
        resolve_device("cuda:2")


def test_limits_start_from_the_defaults():
    assert read_limits(()) is None
    limits = read_limits(("pixels=100", "wall_factor=2.5"))
    assert (limits.pixels, limits.wall_factor, limits.channels) == (100, 2.5, 64)


def test_an_unknown_limit_names_the_known_ones():
    with pytest.raises(click.UsageError, match="duration_s.*'mood=1'|duration_s.*'mood'"):
        read_limits(("mood=1",))
