"""How a mouth moves while phones are said: targets of visemes that blend into each other, and closures.

Each phone pulls at the shape of the mouth while it lasts and, fading, before and after (dominance functions:
Cohen and Massaro, "Modeling Coarticulation in Synthetic Visual Speech", 1993). What may not be blended away
is put on top: lips meet for B, M and P, and the lower lip meets the teeth for F and V.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import gaussian_filter1d

STEP_S = 0.01  # of the traces, before they are read at the times of frames
CLOSED_S, TUCKED_S = 0.03, 0.02  # at least so long to each side of its middle is a phone quite closed
# How far lips may be ahead of the phones that pocketsphinx finds. With 0 to 0.08 s, pictures 0.02 s later,
# an eye that had seen drawn mouths alone found the sound of the training's real faces one frame early.
LEAST_LEAD_S, MOST_LEAD_S = -0.02, 0.06
FELT_S = 1.0  # no phone is felt further away
SHORTEST_REST_S = 0.08  # quiet between phones that lets the mouth rest

Phones = Sequence[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class MouthShapes:
    """Shape of a mouth at each of T times.

    ``opening`` of the lips and drop of the ``jaw``, 0 closed, 1 as for a clear AA; ``width`` -1 narrow to 1
    spread; ``rounding`` 0 to 1, lips forward; ``press`` 0 to 1, lips against each other; ``tuck`` 0 to 1,
    the lower lip at the upper teeth; ``tongue`` 0 to 1, its tip at the teeth.
    """

    opening: np.ndarray
    jaw: np.ndarray
    width: np.ndarray
    rounding: np.ndarray
    press: np.ndarray
    tuck: np.ndarray
    tongue: np.ndarray


@dataclass(frozen=True, slots=True)
class MouthStyle:
    """How one talker moves the mouth.

    ``lead_s`` by how much lips are ahead of the sound; gains of ``opening``, ``shape`` and ``jaw``;
    ``reach_s`` how far a phone is felt; ``smooth_s`` spread of the smoothing; ``rest`` opening when silent;
    ``wander`` size of movements that are not speech; ``habit`` and ``slip`` deviation from the table, of a
    phone always and of one time that it is said; ``seed`` of all that.
    """

    lead_s: float
    opening: float
    shape: float
    jaw: float
    reach_s: float
    smooth_s: float
    rest: float
    wander: float
    habit: float
    slip: float
    seed: int


# Opening, jaw, width, rounding, tongue; how strongly opening and jaw, and width and rounding, are asked for.
REST = "rest"
VISEMES: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "AA": (0.95, 0.95, 0.0, 0.0, 0.1, 0.7, 0.4),
    "AE": (0.9, 0.8, 0.55, 0.0, 0.1, 0.7, 0.5),
    "AH": (0.6, 0.55, 0.0, 0.0, 0.2, 0.5, 0.2),
    "AO": (0.75, 0.75, -0.35, 0.5, 0.0, 0.7, 0.7),
    "EH": (0.7, 0.6, 0.5, 0.0, 0.2, 0.6, 0.5),
    "ER": (0.35, 0.3, -0.3, 0.4, 0.3, 0.5, 0.6),
    "IH": (0.48, 0.4, 0.45, 0.0, 0.3, 0.5, 0.4),
    "IY": (0.38, 0.2, 1.0, 0.0, 0.3, 0.6, 0.8),
    "OW": (0.5, 0.45, -0.6, 0.8, 0.0, 0.6, 0.9),
    "UH": (0.35, 0.3, -0.4, 0.5, 0.1, 0.5, 0.7),
    "UW": (0.2, 0.18, -0.85, 1.0, 0.0, 0.7, 1.0),
    "B": (0.0, 0.1, 0.0, 0.0, 0.0, 1.0, 0.1),
    "F": (0.15, 0.1, 0.1, 0.0, 0.0, 0.9, 0.2),
    "TH": (0.25, 0.15, 0.1, 0.0, 1.0, 0.7, 0.15),
    "T": (0.18, 0.08, 0.15, 0.0, 0.6, 0.65, 0.12),
    "S": (0.2, 0.04, 0.35, 0.0, 0.4, 0.8, 0.25),
    "L": (0.38, 0.3, 0.1, 0.0, 0.9, 0.45, 0.12),
    "SH": (0.34, 0.06, -0.35, 0.75, 0.2, 0.8, 0.8),
    "R": (0.28, 0.25, -0.4, 0.6, 0.1, 0.5, 0.6),
    "K": (0.25, 0.2, 0.05, 0.0, 0.0, 0.3, 0.06),
    "HH": (0.4, 0.3, 0.0, 0.0, 0.0, 0.08, 0.02),
    REST: (0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.3),
}
LIKE = {"P": "B", "M": "B", "V": "F", "DH": "TH", "D": "T", "N": "T", "Z": "S", "CH": "SH", "JH": "SH"}
LIKE |= {"ZH": "SH", "G": "K", "NG": "K", "Y": "IY", "W": "UW"}
GLIDES = {"AW": ("AA", "UW"), "AY": ("AA", "IH"), "EY": ("EH", "IY"), "OW": ("OW", "UW"), "OY": ("AO", "IH")}
CLOSING, TUCKING = ("B", "M", "P"), ("F", "V")
ORDER = {name: k for k, name in enumerate(VISEMES)}
TABLE = np.array(list(VISEMES.values()))
N_TARGETS = 5


def draw_style(rng: np.random.Generator) -> MouthStyle:
    """Draw a talker."""
    return MouthStyle(
        lead_s=float(rng.uniform(LEAST_LEAD_S, MOST_LEAD_S)),
        opening=float(np.exp(rng.normal(0.05, 0.25)).clip(0.5, 1.5)),
        shape=float(np.exp(rng.normal(-0.1, 0.25)).clip(0.5, 1.4)),
        jaw=float(rng.uniform(0.5, 1.1)),
        reach_s=float(rng.uniform(0.015, 0.04)),
        smooth_s=float(rng.uniform(0.012, 0.025)),
        rest=float(rng.uniform(0.03, 0.15)) if rng.random() < 0.3 else 0.0,
        wander=float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))),
        habit=float(rng.uniform(0.0, 0.12)),
        slip=float(rng.uniform(0.0, 0.12)),
        seed=int(rng.integers(2**31)),
    )


def trace_mouth(style: MouthStyle, phones: Phones, times_s: np.ndarray) -> MouthShapes:
    """Give the shape of a mouth that says ``phones`` at times of the sound.

    Parameters
    ----------
    style : MouthStyle
        The talker; the same one moves in the same way.
    phones : sequence of (start_s, end_s, ARPAbet)
        In order of time, as ``datasets.corpus.Entry.phones``.
    times_s : np.ndarray [shape=(T,), increasing]
        When; the lips are then where the phones of ``lead_s`` later ask them to be.

    Returns
    -------
    MouthShapes
        Arrays (T,), float64.
    """
    times = np.asarray(times_s, dtype=np.float64) + style.lead_s
    if not len(times):
        return MouthShapes(*(np.zeros(0) for _ in fields(MouthShapes)))
    # A grid that hangs on no times that are asked for: a later start must not move the samples.
    first, last = np.floor(times[0] / STEP_S) - 20, np.ceil(times[-1] / STEP_S) + 20
    grid = np.arange(first, last + 1) * STEP_S
    spans, names = _with_rests(phones)
    traces = _blend(style, spans, names, grid)  # (N_TARGETS, G)
    traces[0] += style.rest * (1 - np.minimum(traces[0] / 0.2, 1.0))
    closing, tucking = (_holds(phones, of, s, grid) for of, s in ((CLOSING, CLOSED_S), (TUCKING, TUCKED_S)))
    opening, jaw, width, rounding, tongue = traces
    idle = _idle(style, phones, grid)
    shapes = MouthShapes(
        opening=(style.opening * opening + idle[0]).clip(0, 1.2) * (1 - closing),
        jaw=(style.jaw * style.opening * jaw + 0.6 * idle[0]).clip(0, 1.2),
        width=style.shape * width + idle[1],
        rounding=(style.shape * rounding).clip(0, 1),
        press=(closing * (0.4 + 0.6 * style.opening) + idle[2]).clip(0, 1),
        tuck=tucking,
        tongue=tongue.clip(0, 1) * (1 - closing),
    )
    return MouthShapes(*(np.interp(times, grid, getattr(shapes, f.name)) for f in fields(MouthShapes)))


def _with_rests(phones: Phones) -> tuple[np.ndarray, list[str]]:
    """Targets in order: spans (P, 2) and names of visemes, with the rests between phones and around them."""
    rows: list[tuple[float, float, str]] = []
    before = -60.0
    for start, end, phone in phones:
        if start - before >= SHORTEST_REST_S:
            rows.append((before, start, REST))
        middle = (start + end) / 2
        if phone in GLIDES:
            first, second = GLIDES[phone]
            rows += [(start, middle, first), (middle, end, second)]
        else:
            rows.append((start, end, LIKE.get(phone, phone)))
        before = end
    rows.append((before, before + 60.0, REST))
    return np.array([row[:2] for row in rows]), [row[2] for row in rows]


def _blend(style: MouthStyle, spans: np.ndarray, names: list[str], grid: np.ndarray) -> np.ndarray:
    """Targets (N_TARGETS, G) weighed by how strongly each phone asks for them."""
    chosen = np.array([ORDER[name] for name in names])
    rng = np.random.default_rng([style.seed, 0])
    habits = rng.normal(0, style.habit, size=(len(VISEMES), N_TARGETS))
    slips = np.random.default_rng([style.seed, 1]).normal(0, style.slip, size=(len(names), N_TARGETS))
    targets = TABLE[chosen, :N_TARGETS]
    targets = targets + (habits[chosen] + slips) * (chosen != ORDER[REST])[:, None]
    targets[:, [0, 1, 3, 4]] = targets[:, [0, 1, 3, 4]].clip(0)
    near = (spans[:, 1] > grid[0] - FELT_S) & (spans[:, 0] < grid[-1] + FELT_S)
    away = np.maximum(spans[near, :1] - grid, grid - spans[near, 1:])  # seconds outside a span, (P, G)
    length = np.minimum(spans[near, 1] - spans[near, 0], 0.3)[:, None]
    away = np.maximum(away + 0.15 * length, 0.0)
    strength = TABLE[chosen[near], N_TARGETS:]  # (P, 2)
    blended = np.empty((N_TARGETS, len(grid)))
    for targeted, column, reach in (((0, 1, 4), 0, style.reach_s), ((2, 3), 1, 2 * style.reach_s)):
        weight = strength[:, column, None] * np.exp(-away / reach)
        weight = weight / (weight.sum(0) + 1e-9)
        blended[list(targeted)] = targets[near][:, targeted].T @ weight
    return gaussian_filter1d(blended, style.smooth_s / STEP_S, axis=1)


def _holds(phones: Phones, of: Sequence[str], least_s: float, grid: np.ndarray) -> np.ndarray:
    """How far (G,) the phones ``of`` some kinds are made, 1 around the middle of each."""
    held = np.zeros(len(grid))
    for start, end, phone in phones:
        if phone in of and end > grid[0] - 0.2 and start < grid[-1] + 0.2:
            flat = max(least_s, 0.35 * (end - start))
            away = np.abs(grid - (start + end) / 2) - flat
            held = np.maximum(held, np.cos(np.pi / 2 * np.clip(away / 0.06, 0.0, 1.0)) ** 2)
    return held


def _idle(style: MouthStyle, phones: Phones, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move without a phone: breath and pressed lips of pauses, slow smiles; opening, width and press (G,)."""
    rng = np.random.default_rng([style.seed, 2])
    speaking = np.zeros(len(grid))
    for start, end, _ in phones:
        speaking[(grid > start - 0.12) & (grid < end + 0.12)] = 1.0
    silent = 1 - gaussian_filter1d(speaking, 5.0)
    longest = (phones[-1][1] if phones else 0.0) + 62.0
    breath, smile, press = (_wander(rng, longest, period, grid) for period in (0.7, 1.5, 0.9))
    return (
        0.5 * style.wander * (breath - 0.5).clip(0) * silent,
        style.wander * smile * (0.5 + 0.5 * silent),
        style.wander * (press - 0.8).clip(0) * silent,
    )


def _wander(rng: np.random.Generator, longest_s: float, period_s: float, grid: np.ndarray) -> np.ndarray:
    """Go smoothly from one normal value to the next, each ``period_s`` long; (G,)."""
    values = rng.standard_normal(int(longest_s / period_s) + 3)
    place = (grid / period_s).clip(0, len(values) - 1.001)
    k, part = place.astype(int), place % 1.0
    part = part**2 * (3 - 2 * part)
    return values[k] * (1 - part) + values[k + 1] * part
