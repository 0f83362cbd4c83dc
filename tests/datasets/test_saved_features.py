"""Features that the authors' scripts saved."""

import numpy as np
import pytest

from avloc.datasets.saved_features import read_saved_features
from avloc.errors import AnnotationError


def rows(n: int, width: int = 768) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, width)).astype(np.float32)


def test_both_streams_come_to_the_shorter_length_with_time_last(tmp_path):
    np.savez(tmp_path / "a.npz", video_features=rows(30)[None], audio_features=rows(28), more=rows(1))
    visual, audio = read_saved_features(tmp_path / "a.npz")
    assert visual.shape == audio.shape == (768, 28)
    np.testing.assert_array_equal(visual[:, 5], rows(30)[5])
    assert read_saved_features(tmp_path / "a.npz", n_frames=10)[0].shape == (768, 10)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"video_features": rows(3)}, "'audio_features' is missing"),
        ({"video_features": rows(3), "audio_features": rows(3, 512)}, "'audio_features' must be floats"),
        ({"video_features": rows(3), "audio_features": np.ones(3, int)}, "'audio_features' must be floats"),
        ({"video_features": rows(3) * np.nan, "audio_features": rows(3)}, "holds NaN"),
        ({"video_features": np.array([{}], object), "audio_features": rows(3)}, "allow_pickle"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(AnnotationError, match=message):
        read_saved_features(tmp_path / "a.npz")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no")
    for name in ("a.npz", "none.npz"):
        with pytest.raises(AnnotationError, match="expected saved features"):
            read_saved_features(tmp_path / name)
