import pytest

from avloc.pipelines.loading import load_localizer


def test_loading_refuses_what_cannot_be_asked_for(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="max_segments must be .* got 0"):
        load_localizer(max_segments=0)
    with pytest.raises(ValueError, match="all_proposals must be .* got -1"):
        load_localizer(all_proposals=-1)
    with pytest.raises(ValueError, match="no device 'cuda' here: 0 CUDA devices"):
        load_localizer(device="cuda")
    with pytest.raises(ValueError, match="cuda:N, got 'nonsense'"):
        load_localizer(device="nonsense")


def test_what_was_chosen_is_kept():
    localizer = load_localizer(
        max_segments=7, frames=True, channels=1, roles={1: "agent"}, threshold=0.3, min_score=0.0
    )
    assert localizer.selection.max_segments == 7
    settings = localizer.settings
    assert (settings.frames, settings.channels, settings.roles) == (True, 1, {1: "agent"})
