"""DiMoDif's and AuViRe's way through a whole recording: windows, suppression, mouths by landmarks."""

import numpy as np
import pytest
import torch

from avloc import ops
from avloc.decoding.proposals import Proposals
from avloc.decoding.published import PublishedQuirks
from avloc.decoding.select import Selection, rank, suppress
from avloc.features.mean_face import mouth_patch, smooth_landmarks
from avloc.media.decode import Decoder, VideoBlock
from avloc.media.probe import open_recording
from avloc.media.protocol import LANDMARK_CROP
from avloc.models.dimodif import DiMoDif
from avloc.models.weights.importing import DECODING, import_weights
from avloc.pipelines.loading import load_localizer
from avloc.pipelines.windows import WindowPlan, next_window
from avloc.structures import Status

CONFORMER = dict(stem_width=4, width=768, n_heads=2, n_blocks=1, hidden=8)
CLIP = "genuine/vretalk2.mp4"  # 126 frames


def windows_of(n_frames: int, plan: WindowPlan) -> list[tuple[int, int, int, int]]:
    found, index = [], 0
    while (window := next_window(index, n_frames, ended=True, plan=plan)) is not None:
        found.append((window.start, window.n_frames, window.core_start, window.core_end))
        assert window.network_frames == window.n_frames
        index += 1
    return found


def test_windows_overlap_by_half_and_everything_in_them_counts():
    plan = WindowPlan(n_frames=48, hop=24, has_cores=False, fills_up=False)
    assert windows_of(48, plan) == [(0, 48, 0, 48)]
    assert windows_of(100, plan) == [(0, 48, 0, 48), (24, 48, 24, 72), (48, 48, 48, 96), (72, 28, 72, 100)]


def test_what_is_left_of_several_windows_is_suppressed_hard_and_of_one_not_at_all():
    segments = torch.tensor([[0.0, 1.0], [0.1, 1.0], [3.0, 4.0]], dtype=torch.float64)
    scores = torch.tensor([0.9, 0.8, 0.0004], dtype=torch.float64)
    proposals = Proposals(segments, scores, torch.zeros(3, 2, dtype=torch.float64))
    selection = Selection.from_mapping(DECODING)
    ranked = rank(proposals, torch.zeros(100), selection=selection)
    assert torch.equal(ranked.scores, scores)  # no rescoring, and no floor
    assert len(suppress(ranked, selection=selection)) == 3
    kept = suppress(ranked, selection=selection, n_windows=2)
    assert kept.scores.tolist() == scores[ops.segment_nms(segments, scores, 0.7)].tolist() == [0.9, 0.0004]


@pytest.fixture(scope="module")
def clip(shared_media, landmarks_in_boxes):
    path = shared_media / CLIP
    return path, landmarks_in_boxes(path)


@pytest.mark.dataset
def test_mouths_are_cut_from_smoothed_landmarks(clip):
    path, track = clip
    blocks = [b for b in Decoder(open_recording(path), crops=(LANDMARK_CROP,), landmarks=track)]
    shown = [(b, f) for b in blocks if isinstance(b, VideoBlock) for f in b.faces]
    crops = np.concatenate([f.crops[LANDMARK_CROP][f.present] for _, f in shown])
    assert crops.shape == (len(track.frame), 96, 96)
    smoothed = smooth_landmarks(track.points)
    from avloc.media.whole import read_frames

    frames, _ = read_frames(path)
    for i in (0, 3, 40):
        gray = np.round(frames[i] @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
        difference = np.abs(mouth_patch(gray, smoothed[i]).astype(int) - crops[i])
        assert difference.mean() < 2.0, i  # gray values are made from YUV there, from RGB here


def test_a_crop_by_landmarks_needs_landmarks(tmp_path):
    from fractions import Fraction

    from avloc.media.encode import write_video

    write_video(tmp_path / "a.mp4", [np.zeros((48, 64, 3), np.uint8)] * 5, Fraction(25))
    with pytest.raises(ValueError, match="is cut by landmarks, and none were given"):
        Decoder(open_recording(tmp_path / "a.mp4"), crops=(LANDMARK_CROP,))


@pytest.fixture(scope="module")
def imported(tmp_path_factory, import_auto_avsr):
    """A small DiMoDif of 48 frames and its encoders, imported."""
    folder = tmp_path_factory.mktemp("imported")
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setenv("AVLOC_HOME", str(folder))
        import_auto_avsr(folder, visual="auto-avsr-visual", audio="auto-avsr-audio", **CONFORMER)
        network = DiMoDif(max_length=48, width=32, n_heads=2, hidden=32, n_layers=2)
        torch.nn.init.constant_(network.regression[6].bias, 3.0)  # or untrained segments have no length
        torch.save({"model": network.state_dict()}, folder / "d.pth")
        import_weights(folder / "d.pth", "dimodif")
    return folder


@pytest.mark.dataset
def test_a_video_longer_than_the_window_is_localized_with_imported_weights(clip, imported, monkeypatch):
    path, track = clip
    monkeypatch.setenv("AVLOC_HOME", str(imported))
    localizer = load_localizer("dimodif", min_score=0.0)
    prediction = localizer(path, tracks=track)
    assert prediction.status == Status.ANALYSED and prediction.message.startswith("faces are where")
    segments = torch.tensor([[d.segment.start, d.segment.end] for d in prediction.detections])
    scores = torch.tensor([d.score for d in prediction.detections])
    assert len(scores) == 100 and (scores.diff() <= 0).all() and 0 < prediction.score <= 1
    assert segments.max() <= 126 / 25 and segments.max() > 4.0  # later windows count
    overlaps = ops.segment_iou(segments, segments).fill_diagonal_(0)
    assert overlaps.max() < 0.7
    assert {d.modality.value for d in prediction.detections} <= {"audio", "visual"}
    assert prediction.analysed.coverage_visual == pytest.approx(1.0, abs=0.05)


def test_quirks_of_an_import_reach_the_localizer(imported, monkeypatch):
    monkeypatch.setenv("AVLOC_HOME", str(imported))
    settings = {"clamps_to_window": True, "truncates": True, "drops_last": False, "most_kept": 7}
    import_weights(imported / "d.pth", "parity", settings=settings)
    localizer = load_localizer("parity", start_s=0.5)
    # From 0.48 s, the frame that holds 0.5 s, one window of 48 frames.
    assert (localizer.settings.start_s, localizer.settings.end_s) == (0.5, 2.4)
    assert load_localizer("parity", end_s=1.0).settings.end_s == 1.0
    assert load_localizer("parity").settings.end_s == 1.92
    assert load_localizer("dimodif").settings.end_s is None
    network = localizer._network
    assert network.quirks == PublishedQuirks(**settings)


@pytest.mark.dataset
def test_a_truncated_video_is_said_to_be_analysed_in_part(clip, imported, monkeypatch):
    path, track = clip
    monkeypatch.setenv("AVLOC_HOME", str(imported))
    import_weights(imported / "d.pth", "parity", settings={"truncates": True})
    prediction = load_localizer("parity", min_score=0.0)(path, tracks=track)
    assert max(d.segment.end for d in prediction.detections) <= 48 / 25
    assert prediction.analysed.coverage_visual == pytest.approx(48 / 126, abs=0.02)


def test_landmarks_are_looked_for_in_the_part_alone_and_under_the_limits(imported, monkeypatch, tmp_path):
    from fractions import Fraction

    from avloc.media.encode import write_video
    from avloc.media.supervisor import Limits
    from avloc.pipelines import landmarks, localize

    asked, face = [], np.array([[[44.0, 40], [84, 40], [64, 60], [64, 76]]])
    make_track = landmarks.make_track

    def noted(recording, find, **given):
        asked.append(given)
        return make_track(recording, lambda picture: face, **given)

    monkeypatch.setenv("AVLOC_HOME", str(imported))
    monkeypatch.setattr(localize, "check_finder", lambda name: None)
    monkeypatch.setattr(landmarks, "FaceLandmarker", lambda **options: None)
    monkeypatch.setattr(landmarks, "make_track", noted)
    write_video(tmp_path / "a.mp4", [np.full((96, 128, 3), i, np.uint8) for i in range(150)], Fraction(25))
    limits = Limits(wall_factor=20.0)
    prediction = load_localizer("dimodif", start_s=2.0, end_s=3.0, limits=limits)(tmp_path / "a.mp4")
    assert prediction.status == Status.ANALYSED
    assert asked == [{"limits": limits, "frames": (50, 75)}]
