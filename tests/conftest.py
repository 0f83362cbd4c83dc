"""Fixtures for every test: where real media and parity fixtures lie, and state that must not leak."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2  # noqa: F401 - the import sets environment variables, which no test is to be blamed for
import mmengine.registry  # noqa: F401 - the first import draws from the global random state, the same
import numpy as np
import pytest

if TYPE_CHECKING:
    from avloc.structures.landmarks import LandmarkTrack

ROOT = Path(__file__).resolve().parents[1]
# pytest names the running test, torch its compile cache when an optimiser or torch.compile is first used.
SET_BY_LIBRARIES = {"PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR"}


def _beside_the_checkout(variable: str, folder: str) -> Path:
    given = os.environ.get(variable)
    found = Path(given) if given else ROOT.parent / "shared" / folder
    if given and not found.is_dir():
        pytest.fail(f"{variable} names no folder: {given!r}")
    if not found.is_dir():
        place = f"{found.parent.name}/{folder or '.'}"
        pytest.skip(f"needs {variable}, or the folder {place} beside the checkout")
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where none is, or fail it: AVLOC_REQUIRE_CUDA=1 keeps a GPU job from skipping."""
    import torch

    if item.get_closest_marker("cuda") is not None and not torch.cuda.is_available():
        if os.environ.get("AVLOC_REQUIRE_CUDA") == "1":
            pytest.fail("AVLOC_REQUIRE_CUDA=1, but there is no CUDA device")
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Folder of real recordings with its manifest.json."""
    return _beside_the_checkout("AVLOC_TEST_MEDIA", "") / "media"


@pytest.fixture(scope="session")
def shared_corpus() -> Path:
    """Folder of openly licensed speech and talking faces with its manifest.json."""
    return _beside_the_checkout("AVLOC_TEST_MEDIA", "") / "corpus"


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Folder of fixtures that the authors' own implementations made."""
    return _beside_the_checkout("AVLOC_PARITY", "parity")


@pytest.fixture(scope="session")
def landmarks_in_boxes() -> Callable[[Path], "LandmarkTrack"]:
    """Make four landmarks of a recording, in the boxes that the built-in search finds."""
    from avloc.features.crops import MOUTH_DOWN
    from avloc.features.landmarks import CENTRE_UP, WIDTH_OF_EYES, WIDTH_OF_FACE
    from avloc.media.decode import Decoder, VideoBlock
    from avloc.media.probe import open_recording
    from avloc.structures.landmarks import LandmarkTrack

    def make(path: Path) -> LandmarkTrack:
        rows = {}
        for block in Decoder(open_recording(path)):
            for faces in block.faces if isinstance(block, VideoBlock) else ():
                for i in np.flatnonzero(faces.present):
                    rows.setdefault(int(block.source_index[i]), faces.boxes[i])
        x, y, width, height = np.array([rows[key] for key in sorted(rows)], dtype=np.float64).T
        eyes = width / (WIDTH_OF_EYES + WIDTH_OF_FACE)
        mouth = np.stack([x + width / 2, y + (MOUTH_DOWN * height + CENTRE_UP * width)], axis=1)
        offsets = np.array([[-0.5, -1.0], [0.5, -1.0], [0.0, -0.4], [0.0, 0.0]])
        points = mouth[:, None] + eyes[:, None, None] * offsets
        return LandmarkTrack(points.astype(np.float32), frame=np.array(sorted(rows)))

    return make


@pytest.fixture(scope="session")
def import_auto_avsr() -> Callable[..., None]:
    """Import small encoders of Auto-AVSR into AVLOC_HOME, each under a name."""
    import torch

    from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
    from avloc.models.weights.importing import import_weights

    def make(folder: Path, *, visual: str, audio: str, **arguments: int) -> None:
        for name, kind in ((visual, AutoAvsrVisualEncoder), (audio, AutoAvsrAudioEncoder)):
            state = {f"encoder.{key}": value for key, value in kind(**arguments).state_dict().items()}
            torch.save(state, folder / "e.pth")
            import_weights(folder / "e.pth", name, settings=arguments)

    return make


@pytest.fixture(autouse=True)
def global_state_stays_as_it_was() -> Iterator[None]:
    """Fail a test that leaves a global seed or an environment variable changed."""
    environment = {k: v for k, v in os.environ.items() if k not in SET_BY_LIBRARIES}
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is what is guarded
    yield
    after = {k: v for k, v in os.environ.items() if k not in SET_BY_LIBRARIES}
    changed = {k for k in environment.keys() | after.keys() if environment.get(k) != after.get(k)}
    numpy_after = np.random.get_state()  # noqa: NPY002 - it is what is guarded
    seeded = random.getstate() != python_state or not np.array_equal(numpy_after[1], numpy_state[1])
    random.setstate(python_state)
    np.random.set_state(numpy_state)  # noqa: NPY002 - it is what is guarded
    assert not changed, f"the test left environment variables changed: {sorted(changed)}"
    assert not seeded, "the test changed the global random state; use a local generator"
