"""Each event is found where it was made and not in its near misses; pushes do not matter; speech has none."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from avloc.features.events import EVENT_CODES, Event, EventDetector
from avloc.media.whole import read_audio
from avloc.structures import Segment

RATE = 16000


def tone(
    *frequencies_hz: float, seconds: float, level_db: float = -20.0, twist_db: float = 0.0
) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    gains = [1.0] * (len(frequencies_hz) - 1) + [10 ** (twist_db / 20)]
    waves = (
        g * np.sin(2 * np.pi * f * at + k) for k, (f, g) in enumerate(zip(frequencies_hz, gains, strict=True))
    )
    return 10 ** (level_db / 20) * np.sqrt(2) * sum(waves)


def in_noise(*parts: np.ndarray | float, noise_db: float = -60.0, seed: int = 0) -> np.ndarray:
    """Parts, or seconds of nothing, one after the other, over white noise."""
    arrays = [np.zeros(round(part * RATE)) if isinstance(part, float) else part for part in parts]
    samples = np.concatenate(arrays)
    noise = np.random.default_rng(seed).normal(0, 10 ** (noise_db / 20), len(samples))
    return (samples + noise).astype(np.float32)


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with the rhythm of syllables and pauses at -60 dB: loud, never tonal."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    at = np.arange(n) / RATE
    rhythm = np.clip(np.sin(2 * np.pi * 1.1 * at), 0, 1) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    return (rng.normal(0, 0.1, n) * rhythm + rng.normal(0, 0.001, n)).astype(np.float32)


def melody(seconds: float) -> np.ndarray:
    total = np.zeros(round(seconds * RATE))
    at = np.arange(RATE) / RATE
    for index in range(round(seconds / 0.5) - 1):
        for semitones in ((0, 4, 7), (5, 9, 12), (7, 11, 14))[index // 4 % 3][: 1 + index % 3]:
            hertz = 330 * 2 ** (semitones / 12)
            note = sum(0.6**k * np.sin(2 * np.pi * k * hertz * at) for k in (1, 2, 3, 4)) * np.exp(-2 * at)
            total[index * RATE // 2 :][:RATE] += 0.1 * note
    return total


def detect(samples: np.ndarray, pushes: tuple[int, ...] = (80000,)) -> tuple[Event, ...]:
    detector = EventDetector()
    start = index = 0
    while start < len(samples):
        stop = start + pushes[index % len(pushes)]
        detector.push(samples[start:stop])
        start, index = stop, index + 1
    detector.finish()
    return detector.events()


def found(samples: np.ndarray) -> list[tuple[str, float, float]]:
    return [(e.code, e.span.start, e.span.end) for e in detect(samples)]


def assert_only(samples: np.ndarray, code: str, start_s: float, end_s: float, tolerance_s: float) -> None:
    events = found(samples)
    assert [code] == [event[0] for event in events], events
    assert events[0][1:] == pytest.approx((start_s, end_s), abs=tolerance_s)


@pytest.mark.parametrize("level_db", [-40.0, -20.0, -6.0])
@pytest.mark.parametrize("seconds", [0.045, 0.1, 0.5])
@pytest.mark.parametrize("pair", [(697, 1209), (770, 1477), (941, 1633)])
def test_dtmf_is_found_from_40_ms_on(pair, seconds, level_db):
    digit = tone(*pair, seconds=seconds, level_db=level_db)
    assert_only(in_noise(1.0, digit, 1.0, noise_db=level_db - 20), "dtmf", 1.0, 1.0 + seconds, 0.012)


@pytest.mark.parametrize(
    "near_miss",
    [
        tone(770, 1336, seconds=0.02),
        tone(770, 1336, seconds=0.1, twist_db=9.0),
        tone(770, 1336, seconds=0.1, twist_db=-11.5),
        tone(770 * 1.03, 1336, seconds=0.1),
        tone(770, 852, seconds=0.1),
    ],
    ids=["short", "twist up", "twist down", "off the grid", "two of one group"],
)
def test_what_is_nearly_dtmf_is_none(near_miss):
    assert "dtmf" not in [event[0] for event in found(in_noise(1.0, near_miss, 1.0))]


def test_digits_that_follow_each_other_are_single_events():
    digits = [tone(697, 1209, seconds=0.08), 0.06, tone(697, 1209, seconds=0.08), 0.06]
    assert [event[0] for event in found(in_noise(1.0, *digits, 0.5))] == ["dtmf", "dtmf"]


@pytest.mark.parametrize(
    ("frequencies", "pattern"),
    [
        ((425,), (1.0, 4.0, 1.0)),
        ((440, 480), (2.0, 4.0, 2.0)),
        ((440, 480), (2.0,)),
        ((400, 450), (0.4, 0.2, 0.4, 2.0, 0.4, 0.2, 0.4)),
    ],
    ids=["Europe", "North America", "one burst", "double ring"],
)
def test_ring_back_spans_its_whole_cadence(frequencies, pattern):
    parts = [s if k % 2 else tone(*frequencies, seconds=s) for k, s in enumerate(pattern)]
    assert_only(in_noise(1.0, *parts, 1.0), "ring_back", 1.0, 1.0 + sum(pattern), 0.06)


@pytest.mark.parametrize(
    ("frequencies", "pattern"),
    [
        ((425,), (0.5,) * 7),
        ((480, 620), (0.5,) * 7),
        ((425,), (0.25,) * 9),
        ((350, 440), (3.0,)),
        ((425,), (3.0,)),
        ((1000,), (2.0,)),
    ],
    ids=["busy", "busy of two", "congestion", "dial of two", "dial", "test tone"],
)
def test_other_tones_of_a_network_are_hold_tones(frequencies, pattern):
    parts = [s if k % 2 else tone(*frequencies, seconds=s) for k, s in enumerate(pattern)]
    assert_only(in_noise(1.0, *parts, 1.0), "hold_tone", 1.0, 1.0 + sum(pattern), 0.06)


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
@pytest.mark.parametrize(("frequency", "seconds"), [(1400, 0.06), (1000, 0.25), (2000, 1.2), (440, 0.3)])
def test_an_isolated_tone_is_a_beep(frequency, seconds, snr_db):
    samples = in_noise(1.0, tone(frequency, seconds=seconds), 1.0, noise_db=-20 - snr_db)
    assert_only(samples, "beep", 1.0, 1.0 + seconds, 0.02)


def test_what_is_nearly_a_beep_is_none():
    at = np.arange(RATE // 2) / RATE
    glide = 0.1 * np.sin(2 * np.pi * (1000 * at + 400 * at**2))
    swell = tone(1000, seconds=0.5) * np.sin(np.pi * at / at[-1]) ** 4
    pitch = 500 * (1 + 0.04 * at[: RATE // 3])
    voiced = sum(0.1 / k * np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) for k in (1, 2, 3))
    for near_miss in (tone(1000, seconds=0.02), glide, voiced, tone(500, seconds=0.1)):
        assert found(in_noise(1.0, near_miss, 1.0)) == []
    assert all(end - start < 0.3 for _, start, end in found(in_noise(1.0, swell, 1.0)))


def test_muted_speech_is_a_redaction_where_pauses_hold_noise():
    samples = babble(12.0)
    samples[round(5.55 * RATE) : round(5.75 * RATE)] = 0.0
    assert_only(samples, "redaction", 5.55, 5.75, 0.005)


def test_a_lossy_coder_does_not_hide_a_redaction(tmp_path):
    samples = babble(12.0)
    samples[round(5.55 * RATE) : round(5.85 * RATE)] = 0.0
    path = tmp_path / "coded.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert_only(read_audio(path)[0], "redaction", 5.55, 5.85, 0.08)  # coders have their delay


def test_digital_silence_is_no_redaction_where_every_pause_is_muted_faded_or_at_the_end():
    gated = babble(12.0)
    blocks = np.abs(gated[: len(gated) // 1600 * 1600].reshape(-1, 1600))
    blocks[blocks.max(axis=1) < 0.006] = 0.0
    gated = gated[: blocks.size].reshape(-1, 1600).copy()
    gated[blocks.max(axis=1) == 0.0] = 0.0
    faded, ended, short = babble(12.0), babble(12.0), babble(12.0)
    start, stop = round(5.55 * RATE), round(5.85 * RATE)
    faded[start + 2400 : stop] = 0.0
    faded[start + 800 : start + 2400] *= np.linspace(1, 0, 1600) ** 2
    ended[-5000:] = 0.0
    ended[:3000] = 0.0
    short[start : start + 640 * 2] = 0.0  # 80 ms: a burst of lost packets
    assert (gated == 0).any()
    for samples in (gated.reshape(-1), faded, ended, short):
        assert "redaction" not in [event[0] for event in found(samples)]


@pytest.mark.parametrize("milliseconds", [10, 20, 60])
def test_missing_packets_are_found(milliseconds):
    samples = babble(6.0)
    start = round(3.0 * RATE)
    samples[start : start + 16 * milliseconds] = 0.0
    assert_only(samples, "packet_loss", 3.0, 3.0 + milliseconds / 1000, 0.003)


@pytest.mark.parametrize("gain", [1.0, 0.7])
@pytest.mark.parametrize("milliseconds", [10, 20, 30])
def test_a_repeated_frame_conceals_a_lost_packet(milliseconds, gain):
    samples = babble(6.0)
    start, n = round(3.0 * RATE), 16 * milliseconds
    samples[start : start + n] = gain * samples[start - n : start]
    assert_only(samples, "packet_loss", 3.0, 3.0 + milliseconds / 1000, 0.003)


def test_what_is_nearly_a_lost_packet_is_none():
    start = round(3.0 * RATE)
    odd, faded, noisy = babble(6.0), babble(6.0), babble(6.0)
    odd[start : start + 240] = 0.0  # 15 ms: no whole packet
    faded[start : start + 320] = 0.0
    faded[start - 400 : start] *= np.linspace(1, 0, 400) ** 3
    noisy[start : start + 320] = noisy[start - 320 : start]
    noisy[start : start + 320] += np.random.default_rng(1).normal(0, 0.01, 320).astype(np.float32)
    part = babble(6.0)
    part[start : start + 192] = part[start - 320 : start - 128]  # 12 of 20 ms
    periodic = in_noise(1.0, sum(tone(100 * k, seconds=1.0, level_db=-30) for k in range(1, 20)), 1.0)
    for samples in (odd, faded, noisy, part, periodic):
        assert "packet_loss" not in [event[0] for event in found(samples)]


def with_comfort_noise(
    n_pauses: int, *, reverse: bool = False, fade: bool = False, matched: bool = False
) -> np.ndarray:
    rng = np.random.default_rng(2)
    coloured = np.convolve(
        rng.normal(0, 0.01, n_pauses * 3 * RATE + 63), np.exp(-np.arange(64) / 8.0), "valid"
    )
    samples = coloured.copy()
    for index in range(n_pauses):
        at = index * 3 * RATE
        samples[at : at + RATE] += babble(3.0, seed=index)[:RATE] * 3
        pause = slice(at + round(1.25 * RATE), at + 3 * RATE)
        comfort = 0.7 * coloured[pause] if matched else rng.normal(0, 0.003, pause.stop - pause.start)
        ramp = np.linspace(0, 1, 1600) if fade else np.ones(1600)
        comfort[:1600] = comfort[:1600] * ramp + coloured[pause][:1600] * (1 - ramp)
        samples[pause] = comfort
    return (samples[::-1] if reverse else samples).astype(np.float32)


def test_recurring_noise_after_a_hangover_is_comfort_noise():
    events = found(with_comfort_noise(5))
    assert [event[0] for event in events] == ["comfort_noise"] * 5
    for index, (_, start, end) in enumerate(events):
        assert start == pytest.approx(3 * index + 1.25, abs=0.1)
        assert end == pytest.approx(3 * index + 3.0, abs=0.15)


def test_one_change_of_noise_a_fade_and_a_constant_background_are_no_comfort_noise():
    steady = with_comfort_noise(5)
    steady = (steady * 0 + np.random.default_rng(0).normal(0, 0.003, len(steady))).astype(np.float32)
    matched = with_comfort_noise(5, matched=True)
    for samples in (with_comfort_noise(2), with_comfort_noise(5, fade=True), steady, matched):
        assert found(samples) == []
    assert found(with_comfort_noise(5, reverse=True)) == []


def test_the_noise_between_tones_is_no_comfort_noise():
    parts = [0.7 if k % 2 else tone(1000, seconds=0.5, level_db=-40) for k in range(11)]
    assert [event[0] for event in found(in_noise(1.0, *parts, 1.0))] == ["hold_tone"]


def test_long_digits_are_no_music():
    digits = [tone(*pair, seconds=0.8) for pair in ((697, 1209), (770, 1336), (852, 1477), (941, 1209)) * 2]
    assert {event[0] for event in found(in_noise(1.0, *digits, 1.0))} == {"dtmf"}


@pytest.mark.parametrize("level", [1.0, 0.1])
def test_music_is_found(level):
    events = found(level * in_noise(2.0, melody(10.0), 2.0, noise_db=-70))
    assert [event[0] for event in events] == ["music"]
    assert events[0][1:] == pytest.approx((2.0, 12.0), abs=0.6)


def test_hum_glides_and_noise_are_no_music():
    seconds = 8.0
    at = np.arange(round(seconds * RATE)) / RATE
    hum = sum(0.02 * np.sin(2 * np.pi * 50 * k * at) for k in range(1, 41, 2))
    pitch = 120 * 2 ** (0.15 * np.sin(2 * np.pi * 1.5 * at))
    voice = sum(0.05 / k * np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) for k in range(1, 25))
    for samples in (in_noise(hum), in_noise(voice), babble(seconds)):
        assert "music" not in [event[0] for event in found(samples)]


def everything() -> np.ndarray:
    lost = babble(4.0)
    lost[48000:48320] = 0.0
    parts = [tone(770, 1336, seconds=0.1), 0.9, tone(425, seconds=1.0), 1.0, tone(1400, seconds=0.5), 1.0]
    parts += [tone(480, 620, seconds=2.0), melody(6.0), 1.0]
    return np.concatenate([in_noise(1.0, *parts), lost, with_comfort_noise(4)])


def test_how_the_stream_is_cut_changes_nothing():
    samples = everything()
    whole = detect(samples, (len(samples),))
    assert {event.code for event in whole} == set(EVENT_CODES) - {"redaction"}
    assert detect(samples, (1, 16383, 16385, 7, 40000)) == whole
    assert detect(samples, (333,)) == whole


def test_state_does_not_grow_with_the_sound():
    detector = EventDetector()
    for seed in range(20):
        detector.push(babble(2.7, seed=seed))
        assert sum(len(part) for part in detector._buffer) < 70000
        assert len(detector._noise._bands) < 64
    assert len(detector._gaps._levels) <= 54 * 62.5


@pytest.mark.parametrize("n", [0, 1, 100, 16384, 40000])
def test_silence_and_short_sound_have_no_events(n):
    assert detect(np.zeros(n, dtype=np.float32)) == ()
    assert detect(np.full(n, 8 / 32768, dtype=np.float32)) == ()
    assert detect(babble(4.0)[:n]) == ()


def test_no_event_reaches_beyond_the_sound():
    samples = in_noise(0.5, tone(1000, seconds=1.8))
    (event,) = detect(samples)
    assert event.code == "hold_tone"
    assert event.span.end <= len(samples) / RATE


def test_wrong_use_says_what_was_expected():
    detector = EventDetector()
    for wrong in (np.zeros((2, 100), np.float32), np.array([0.0, np.nan], np.float32)):
        with pytest.raises(ValueError, match="finite samples"):
            detector.push(wrong)
    detector.finish()
    detector.finish()
    with pytest.raises(ValueError, match="after finish"):
        detector.push(np.zeros(10, np.float32))
    with pytest.raises(ValueError, match="expected a code"):
        Event(Segment(0.0, 1.0), "silence")
    assert len(set(EVENT_CODES)) == 8


def marked_seconds(folder: Path, kinds: set[str], use: str) -> tuple[dict[str, float], float]:
    marked, total = dict.fromkeys(EVENT_CODES, 0.0), 0.0
    for entry in json.loads((folder / "manifest.json").read_text())["entries"]:
        if entry["kind"] in kinds and entry["use"] == use:
            samples = read_audio(folder / entry["file"])[0]
            total += len(samples) / RATE
            for event in detect(samples):
                marked[event.code] += event.span.duration
    return marked, total


def test_natural_speech_has_no_events(shared_media):
    kinds = {"speech", "telephony_speech", "genuine_talking_face"}
    marked, total = marked_seconds(shared_media, kinds, "dev")
    assert total > 300
    # One face speaks over a band: its spectrogram shows the chords.
    assert marked.pop("music") <= 2.5
    assert sum(marked.values()) <= 0.1, marked


def test_packets_that_a_real_call_lost_are_found(shared_media):
    samples = read_audio(shared_media / "telephony" / "lca49-caller.flac")[0]
    lost = [event for event in detect(samples) if event.code == "packet_loss"]
    assert len(lost) >= 30
    # Every one lies on the call's grid of 20 ms.
    phases = np.array([(event.span.start - lost[0].span.start + 0.01) % 0.02 - 0.01 for event in lost])
    assert np.abs(phases).max() < 0.003
