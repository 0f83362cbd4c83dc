"""The command itself: help, version, exit codes, interrupts, log lines."""

import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import avloc
from avloc.cli import main as command
from avloc.errors import CheckpointError, ConfigError, ExtensionError, UnreadableMediaError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def verb(monkeypatch):
    """Make ``avloc schema`` do something else for a test."""

    def replace(function):
        monkeypatch.setattr("avloc.cli.schema.schema", click.command("schema")(function))

    return replace


def test_version_is_one_line(run):
    assert run("--version") == (0, f"avloc {avloc.__version__}\n", "")


def test_help_names_every_verb(run):
    code, out, _ = run("--help")
    assert code == 0
    for name, (_, summary) in command.VERBS.items():
        assert name in out and summary[:30] in out


@pytest.mark.parametrize("name", command.VERBS)
def test_every_verb_exists_and_has_help(run, name):
    importlib.import_module(command.VERBS[name][0])
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "") and f"avloc {name}" in out


def test_help_takes_less_than_three_tenths_of_a_second_of_cpu():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "avloc", "--help"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


@pytest.mark.parametrize(
    "arguments", [["locate"], ["--nonsense"], ["localize"], ["localize", "--nonsense", "a"]]
)
def test_wrong_usage_exits_with_2_and_writes_no_data(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and "Error" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointError("'x.safetensors': no such file"), 2),
        (ConfigError("model.depht: unknown key"), 2),
        (ExtensionError("_kernels.so: undefined symbol"), 1),
        (UnreadableMediaError("a.mp4", "cut off", reason="truncated"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_about_the_world_are_one_line_and_have_their_exit_code(run, verb, error, code):
    def fail():
        raise error

    verb(fail)
    outcome = run("schema")
    assert outcome == (code, "", f"avloc: {error}\n")


def test_an_error_that_nobody_foresaw_is_a_traceback_on_stderr_and_exit_1(run, verb):
    def fail():
        raise RuntimeError("surprise")

    verb(fail)
    code, out, err = run("schema")
    assert code == 1 and out == "" and "Traceback" in err and "surprise" in err


def test_a_keyboard_interrupt_exits_with_130(run, verb):
    def interrupted():
        raise KeyboardInterrupt

    verb(interrupted)
    assert run("schema").code == 130


def test_sigterm_exits_with_143_and_the_handler_is_put_back(run, verb):
    before = signal.getsignal(signal.SIGTERM)

    def terminated():
        os.kill(os.getpid(), signal.SIGTERM)

    verb(terminated)
    assert run("schema").code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_closes_the_pipe_gives_no_traceback():
    script = f"{sys.executable} -m avloc schema | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout.endswith(("0\n", "3\n"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["avloc: w", "avloc: e"]),
        ({"quiet": True}, ["avloc: e"]),
        ({"verbose": 1}, ["avloc: i", "avloc: w", "avloc: e"]),
        ({"verbose": 2}, ["avloc.x: d", "avloc.x: i", "avloc.x: w", "avloc.x: e"]),
    ],
    ids=["default", "quiet", "-v", "-vv"],
)
def test_log_lines_go_to_stderr_by_level(run, verb, options, expected):
    def talk():
        command.configure_logging(**options)
        log = logging.getLogger("avloc.x")
        for method in (log.debug, log.info, log.warning, log.error):
            method(method.__name__[0])

    verb(talk)
    code, out, err = run("schema")
    assert (code, out, err.splitlines()) == (0, "", expected)


def test_main_leaves_no_handler_behind(run, verb):
    verb(lambda: command.configure_logging(verbose=1))
    before = list(logging.getLogger("avloc").handlers)
    run("schema")
    assert logging.getLogger("avloc").handlers == before
