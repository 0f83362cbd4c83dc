"""What bursts of steady tones mean: dialled digits, ring-back, other tones of a telephone network, beeps."""

from collections.abc import Iterable

from avloc.features.tones import Burst

DTMF_LOW_HZ, DTMF_HIGH_HZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
DTMF_TOLERANCE = 0.018  # ITU-T Q.24 lets receivers take 1.5 to 1.8 % and asks them to refuse 3 to 3.5 %
DTMF_TWIST_DB = (-9.0, 5.0)  # high against low: -8 to 4 dB in ITU-T Q.24 (AT&T), and 1 dB of error
DTMF_DROPOUT_S = 0.02

RING_PAIRS_HZ = ((440.0, 480.0), (400.0, 450.0))
RING_SINGLE_HZ = (400.0, 450.0)  # ITU-T E.180 clause 5: any one frequency between these
FREQUENCY_ERROR_HZ = 6.0
RING_PAIR_BURST_S = (0.35, 2.4)
RING_SINGLE_BURST_S = (0.6, 1.65)  # E.180: 0.67 to 1.5 s, and a tenth
RING_SHORT_PAUSE_S, RING_LONG_PAUSE_S = (0.13, 0.32), (1.6, 5.5)

DROPOUT_S = 0.06
CHAIN_PAUSE_S = 6.0
PERIOD_TOLERANCE = 0.2
PERIODIC_PAUSE_S = 1.2
MIN_PERIODIC_BURSTS = 3
HOLD_TONE_S = 1.5
SHORTEST_S = 0.04  # a beep of 0.05 s whose edges are lost in noise
LOW_BEEP_HZ, LOW_BEEP_S = 700.0, 0.28  # below it, high voices hold a pure vowel for 0.27 s
SAME_HZ = 0.02

Named = tuple[str, float, float]  # code, start [s], end [s]


def name_digits(bursts: Iterable[Burst]) -> list[Named]:
    """Keep the bursts that are DTMF signals of ITU-T Q.23, each as ``("dtmf", start_s, end_s)``.

    Both frequencies must lie within 1.8 % of the grid and their levels must differ by what ITU-T Q.24 lists.
    Two bursts of one digit at most 20 ms apart are one signal with a dropout.

    Examples
    --------
    >>> name_digits([Burst(1.0, 1.1, (769.0, 1338.0), (-12.0, -11.0))])
    [('dtmf', 1.0, 1.1)]
    >>> name_digits([Burst(1.0, 1.1, (769.0, 1338.0), (-12.0, -3.0))])
    []
    """
    found: list[Named] = []
    before = None
    for burst in sorted(bursts, key=lambda b: b.start_s):
        digit = _digit(burst)
        if digit is None:
            continue
        if found and digit == before and burst.start_s - found[-1][2] <= DTMF_DROPOUT_S:
            found[-1] = ("dtmf", found[-1][1], burst.end_s)
        else:
            found.append(("dtmf", burst.start_s, burst.end_s))
        before = digit
    return found


def _digit(burst: Burst) -> tuple[float, float] | None:
    if len(burst.frequencies_hz) != 2:
        return None
    low_hz = _nearest(burst.frequencies_hz[0], DTMF_LOW_HZ)
    high_hz = _nearest(burst.frequencies_hz[1], DTMF_HIGH_HZ)
    twist_db = burst.levels_db[1] - burst.levels_db[0]
    if low_hz is None or high_hz is None or not DTMF_TWIST_DB[0] <= twist_db <= DTMF_TWIST_DB[1]:
        return None
    return low_hz, high_hz


def _nearest(frequency_hz: float, grid_hz: tuple[float, ...]) -> float | None:
    nearest = min(grid_hz, key=lambda f: abs(f - frequency_hz))
    return nearest if abs(nearest - frequency_hz) <= DTMF_TOLERANCE * nearest else None


def name_tones(bursts: Iterable[Burst]) -> list[Named]:
    """Name the bursts that are no digits: ``ring_back``, ``hold_tone`` or ``beep``, with start and end [s].

    Bursts of the same frequencies at most 6 s apart form a chain. It is

    - ``ring_back``, as a whole, if its frequencies (440 + 480, 400 + 450 or one within 400 to 450 Hz), its
      bursts and its pauses are those of a ringing tone in ITU-T E.180 and supplement 2: bursts of 0.67 to
      1.5 s (two frequencies: 0.4 to 2 s), pauses of 2 to 5 s or of 0.2 s inside a double ring;
    - ``hold_tone``, as a whole, if at least three bursts are alike and evenly spaced by at most 1.2 s (busy,
      congestion, intercept);
    - otherwise each burst for itself: ``hold_tone`` from 1.5 s on (dial tone, tone on hold, continuous test
      tones), ``beep`` below it. A beep of one frequency below 700 Hz lasts at least 0.28 s.

    Examples
    --------
    >>> ring = [Burst(t, t + 1.0, (425.0,), (-20.0,)) for t in (0.0, 5.0)]
    >>> name_tones([*ring, Burst(9.0, 9.3, (1400.0,), (-20.0,))])
    [('ring_back', 0.0, 6.0), ('beep', 9.0, 9.3)]
    """
    chains: list[list[Burst]] = []
    recent: list[list[Burst]] = []
    for burst in _without_dropouts(b for b in bursts if _digit(b) is None):
        recent = [chain for chain in recent if burst.start_s - chain[-1].end_s <= CHAIN_PAUSE_S]
        chain = next((c for c in reversed(recent) if _is_same(c[-1], burst)), None)
        if chain is None:
            chain = []
            chains.append(chain)
            recent.append(chain)
        chain.append(burst)
    return sorted((named for chain in chains for named in _name_chain(chain)), key=lambda named: named[1])


def _without_dropouts(bursts: Iterable[Burst]) -> list[Burst]:
    kept: list[Burst] = []
    for burst in sorted(bursts, key=lambda b: b.start_s):
        if kept and _is_same(kept[-1], burst) and burst.start_s - kept[-1].end_s <= DROPOUT_S:
            last = kept[-1]
            kept[-1] = Burst(last.start_s, max(last.end_s, burst.end_s), last.frequencies_hz, last.levels_db)
        else:
            kept.append(burst)
    return [burst for burst in kept if burst.duration_s >= SHORTEST_S]


def _is_same(one: Burst, other: Burst) -> bool:
    a, b = one.frequencies_hz, other.frequencies_hz
    return len(a) == len(b) and all(abs(f - g) <= SAME_HZ * f for f, g in zip(a, b, strict=True))


def _name_chain(chain: list[Burst]) -> list[Named]:
    start_s, end_s = chain[0].start_s, chain[-1].end_s
    if _is_ringing(chain):
        return [("ring_back", start_s, end_s)]
    if _is_periodic(chain):
        return [("hold_tone", start_s, end_s)]
    is_low = len(chain[0].frequencies_hz) == 1 and chain[0].frequencies_hz[0] < LOW_BEEP_HZ
    return [
        ("hold_tone" if b.duration_s >= HOLD_TONE_S else "beep", b.start_s, b.end_s)
        for b in chain
        if not is_low or b.duration_s >= LOW_BEEP_S
    ]


def _is_ringing(chain: list[Burst]) -> bool:
    frequencies = chain[0].frequencies_hz
    is_pair = any(
        len(pair) == len(frequencies)
        and all(abs(f - g) <= FREQUENCY_ERROR_HZ for f, g in zip(frequencies, pair, strict=True))
        for pair in RING_PAIRS_HZ
    )
    low_hz, high_hz = RING_SINGLE_HZ
    is_single = (
        len(frequencies) == 1
        and low_hz - FREQUENCY_ERROR_HZ <= frequencies[0] <= high_hz + FREQUENCY_ERROR_HZ
    )
    if not (is_pair or is_single):
        return False
    shortest_s, longest_s = RING_PAIR_BURST_S if is_pair else RING_SINGLE_BURST_S
    # The recording may begin or end inside a burst, and the first one may be cut by an answer.
    whole = [b for b in chain if shortest_s <= b.duration_s]
    pauses = [b.start_s - a.end_s for a, b in zip(chain, chain[1:], strict=False)]
    ranges = (RING_SHORT_PAUSE_S, RING_LONG_PAUSE_S)
    return (
        len(whole) >= max(1, len(chain) - 2)
        and all(b.duration_s <= longest_s for b in chain)
        and all(any(low <= pause <= high for low, high in ranges) for pause in pauses)
    )


def _is_periodic(chain: list[Burst]) -> bool:
    if len(chain) < MIN_PERIODIC_BURSTS:
        return False
    pauses = [b.start_s - a.end_s for a, b in zip(chain, chain[1:], strict=False)]
    durations = [b.duration_s for b in chain[1:-1]]  # the outer ones may be cut
    return max(pauses) <= PERIODIC_PAUSE_S and _are_alike(pauses) and _are_alike(durations)


def _are_alike(values: list[float]) -> bool:
    middle = sorted(values)[len(values) // 2]
    return all(abs(v - middle) <= PERIOD_TOLERANCE * middle + 0.02 for v in values)
