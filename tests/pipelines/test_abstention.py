"""Rules of abstention through the whole pipeline: what triggers each, and what just does not."""

import numpy as np
import pytest

from avloc.media.whole import read_audio
from avloc.structures import Reason, Verdict

RATE = 16_000


@pytest.fixture(scope="module")
def speech(shared_media):
    """Read speech with pauses, (1, n)."""
    samples = read_audio(shared_media / "genuine" / "hdtf-aoc.mp4")[:1, : 8 * RATE]
    return 0.3 * samples / np.abs(samples).max()


@pytest.fixture
def reasons(localize_made, make_media):
    """Localize sound and picture that nothing is found in; what the verdict then rests on."""

    def run(samples=None, mouth=None, **settings):
        prediction = localize_made(make_media(samples, mouth), threshold=1.0, **settings)
        assert prediction.verdict in (Verdict.NONE_FOUND, Verdict.INCONCLUSIVE)
        assert (prediction.verdict is Verdict.INCONCLUSIVE) == bool(prediction.reasons)
        assert not set(prediction.reasons) & set(prediction.warnings)
        return prediction.reasons

    return run


def test_without_half_a_second_of_speech_nothing_can_be_said(reasons, make_noise, speech):
    assert Reason.NO_SPEECH in reasons(make_noise(8.0))
    assert Reason.NO_SPEECH not in reasons(speech)
    assert Reason.NO_SPEECH not in reasons(make_noise(8.0), np.full(200, 90.0))  # a usable face is enough
    word = speech[:, round(0.2 * RATE) : round(0.6 * RATE)]
    assert Reason.NO_SPEECH in reasons(
        np.concatenate([0.01 * make_noise(4.0), word, 0.01 * make_noise(4.0)], axis=1)
    )


@pytest.mark.parametrize(("snr_db", "is_low"), [(2.0, True), (14.0, False)])
def test_noise_near_the_level_of_the_speech_abstains(reasons, speech, snr_db, is_low):
    noise = np.random.default_rng(0).normal(0, 1, speech.shape)
    spoken = np.abs(speech) > 0.02
    level = np.sqrt(np.mean(speech[spoken] ** 2)) * 10 ** (-snr_db / 20)
    assert (Reason.LOW_SNR in reasons((0.5 * (speech + level * noise)).astype(np.float32))) == is_low


@pytest.mark.parametrize(("cutoff_hz", "is_heavy"), [(2800, True), (3300, False)])
def test_under_three_kilohertz_of_bandwidth_abstains(reasons, speech, cutoff_hz, is_heavy):
    spectrum = np.fft.rfft(speech)
    spectrum[:, np.fft.rfftfreq(speech.shape[1], 1 / RATE) > cutoff_hz] = 0
    narrow = np.fft.irfft(spectrum, speech.shape[1]).astype(np.float32)
    assert (Reason.HEAVY_COMPRESSION in reasons(narrow)) == is_heavy


@pytest.mark.parametrize(("n_frames", "is_still"), [(200, True), (90, False)])
def test_a_silent_film_of_a_still_face_abstains(reasons, localize_made, make_media, n_frames, is_still):
    media = make_media(mouth=np.full(200, 90.0), still=n_frames)
    found = localize_made(media, threshold=1.0)
    assert (Reason.FACE_STATIC in found.reasons) == is_still


@pytest.mark.parametrize(("side", "is_small"), [(80.0, True), (86.0, False)])
def test_a_silent_film_of_a_small_face_abstains(localize_made, make_media, side, is_small):
    """3 % of 640 x 360 pixels are 83 x 83."""
    found = localize_made(make_media(mouth=np.full(200, 90.0), box=(10.0, 10.0, side, side)), threshold=1.0)
    assert (Reason.FACE_TOO_SMALL in found.reasons) == is_small


@pytest.mark.parametrize(("n_seen", "is_missing"), [(0, True), (30, False)])
def test_a_silent_film_without_a_face_abstains(localize_made, make_media, n_seen, is_missing):
    mouth = np.where(np.arange(200) < n_seen, 90.0, np.nan)
    found = localize_made(make_media(mouth=mouth), threshold=1.0)
    assert (Reason.NO_FACE in found.reasons) == is_missing


@pytest.mark.parametrize(("hears", "is_unknown"), [(False, True), (True, False)])
def test_a_sound_that_was_not_compared_leaves_the_synchrony_unknown(
    localize_made, make_media, make_noise, network, hears, is_unknown
):
    """A network without a branch for sound: nothing tells whether voice and face agree."""
    network.inputs = {"visual": ("mouth96_box",)} | ({"audio": ("log_mel",)} if hears else {})
    found = localize_made(make_media(make_noise(8.0), np.full(200, 90.0)), threshold=1.0)
    assert (Reason.SYNC_UNKNOWN in found.reasons) == is_unknown
    silent = localize_made(make_media(np.zeros((1, 8 * RATE), np.float32), np.full(200, 90.0)), threshold=1.0)
    assert Reason.SYNC_UNKNOWN not in silent.reasons


def test_a_stream_that_the_weights_do_not_read_is_named(localize_made, make_media, make_noise, network):
    media = make_media(make_noise(8.0), np.full(200, 90.0))
    assert "do not analyse" not in (localize_made(media).message or "")
    network.inputs = {"audio": ("log_mel",)}
    assert "these weights do not analyse the picture" in localize_made(media).message
    assert "do not analyse" not in (localize_made(make_media(make_noise(8.0))).message or "")


@pytest.mark.parametrize(("n_seen", "is_partial"), [(95, True), (105, False)])
def test_less_than_half_of_every_stream_abstains(localize_made, make_media, n_seen, is_partial):
    mouth = np.where(np.arange(200) < n_seen, 90.0, np.nan)
    found = localize_made(make_media(mouth=mouth), threshold=1.0)
    assert (Reason.PARTIAL_COVERAGE in found.reasons) == is_partial


@pytest.mark.parametrize(("limit", "is_far"), [(0.9, True), (1.1, False)])
def test_sound_that_is_unlike_the_training_is_out_of_domain(
    localize_made, make_media, make_noise, make_card, network, limit, is_far
):
    """The made network tells the mean level as the embedding; the card's limit is set around its distance."""
    media = make_media(make_noise(12.0))
    localize_made(media)
    level = network.levels[-1]
    card = make_card(domain={"centre": [level - 1.0], "scale": [1.0], "limit": limit})
    prediction = localize_made(media, card=card, threshold=0.9)
    assert (Reason.OUT_OF_DOMAIN in prediction.reasons) == is_far
    found = localize_made(make_media(make_noise(12.0, (4.0, 5.0))), card=card)
    assert found.verdict is Verdict.FORGED_SEGMENTS_FOUND and not found.reasons


def test_an_uncalibrated_threshold_only_warns(localize_made, make_media, speech, make_card):
    card = make_card(threshold_sources=dict.fromkeys(make_card().thresholds, "unmeasured"))
    prediction = localize_made(make_media(speech), card=card)
    assert Reason.UNCALIBRATED in prediction.warnings and Reason.UNCALIBRATED not in prediction.reasons


def test_what_abstains_without_a_find_warns_beside_one(localize_made, make_media, make_noise):
    found = localize_made(make_media(make_noise(8.0, (4.0, 5.0))))
    assert found.verdict is Verdict.FORGED_SEGMENTS_FOUND and Reason.NO_SPEECH in found.warnings
