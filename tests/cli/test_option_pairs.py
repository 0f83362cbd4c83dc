"""Every option of ``localize`` works with every other, or the pair is refused with a reason."""

import itertools
import re

import click
import numpy as np
import pytest

from avloc.cli.localize import localize

OPTIONS = {
    "--files-from": ["--files-from", "{folder}/list.csv"],
    "--recursive": ["-r"],
    "--format": ["--format", "csv"],
    "--output": ["--output", "{folder}/results/"],
    "--threshold": ["--threshold", "0.3"],
    "--min-score": ["--min-score", "0"],
    "--max-segments": ["--max-segments", "5"],
    "--all-proposals": ["--all-proposals", "7"],
    "--curves": ["--curves"],
    "--frames": ["--frames", "{folder}/frames/"],
    "--channels": ["--channels", "each", "--channels", "left=agent"],
    "--start": ["--start", "0:01.5"],
    "--end": ["--end", "9"],
    "--tracks": ["--tracks", "{folder}/faces.npz"],
    "--input-format": ["--input-format", "alaw,8000,1"],
    "--device": ["--device", "cpu"],
    "--weights": ["--weights", "fast"],
    "--threads": ["--threads", "2"],
    "--limit": ["--limit", "duration_s=60"],
    "--reproducible": ["--reproducible"],
    "--fail-on-detection": ["--fail-on-detection"],
    "--quiet": ["--quiet"],
    "--verbose": ["-v"],
}
REFUSED = {
    ("--format", "--all-proposals"): "--all-proposals adds to the result document, and --format csv does not",
    ("--format", "--curves"): "--curves adds to the result document, and --format csv does not",
    ("--quiet", "--verbose"): "leave one out",
    ("--files-from", "--tracks"): "--tracks holds the faces of one recording; give one PATH",
}


def test_the_table_holds_every_option():
    named = {max(p.opts, key=len) for p in localize.params if isinstance(p, click.Option)}
    assert named == set(OPTIONS)


@pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONS, 2)), ids="+".join)
def test_a_pair_of_options_works_or_says_why_not(run, fake, files, tmp_path, pair):
    path, other = files("forged.wav", "a.wav")
    (tmp_path / "list.csv").write_text(f"path,team\n{other},red\n")
    np.savez(tmp_path / "faces.npz", points=np.zeros((3, 4, 2)), frame=np.arange(3))
    arguments = [part.format(folder=tmp_path) for option in pair for part in OPTIONS[option]]
    code, out, err = run("localize", path, *arguments)
    reason = REFUSED.get(pair)
    if reason is not None:
        assert code == 2 and reason in err and fake.seen == []
        return
    assert code == (10 if "--fail-on-detection" in pair else 0)
    expected = [str(path), str(other)] if "--files-from" in pair else [str(path)]
    assert sorted(fake.seen) == sorted(expected) and "Traceback" not in err
    written = len(list((tmp_path / "results").iterdir())) if "--output" in pair else 0
    assert (out == "") == bool(written) and written in (0, len(expected))
    if "--frames" in pair:
        assert len(list((tmp_path / "frames").iterdir())) == len(expected)
    if "--quiet" in pair:
        assert err == ""


def test_the_help_names_every_option(run):
    words = set(re.findall(r"--[a-z-]+", run("localize", "--help").out))
    assert set(OPTIONS) <= words
