"""What encoders read, made of samples and pictures, against the fixtures."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
import torch

from avloc.features.audio import whisper_mel
from avloc.features.filter_banks import log_filter_banks, stacked_filter_banks
from avloc.features.mean_face import fill_landmarks, fit_similarity, mouth_patch, smooth_landmarks
from avloc.features.prepare import LIPS_PX, cut_centre, standardise_gray, standardise_waveform
from avloc.studies.parity import recipes
from avloc.studies.parity.comparison import (
    Comparison,
    allowed_error,
    compare,
    largest_error,
    tolerance_of,
)
from avloc.studies.parity.fixtures import Fixture

DEFAULT = "max abs <= 1e-4"
FULL_SCALE = 32768.0  # of 16 bits
LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue, as torchvision makes gray
ALMOST_ALL = 99.5  # per cent of the pixels that must be close


def run_whisper_log_mel(fixture: Fixture) -> Iterator[Comparison]:
    """Compare Whisper's log-mel input."""
    for case in fixture.cases:
        inputs = case["inputs"]
        samples = (0.1 * recipes.product(inputs["seed"], 1, inputs["N"])).astype(np.float32)
        if inputs.get("zero_from_to"):
            first, last = inputs["zero_from_to"]
            samples[:, first:last] = 0
        mel = whisper_mel(torch.from_numpy(samples), n_mels=inputs["n_mels"])[0]
        yield compare(fixture, case, "log_mel", mel.numpy(), default=DEFAULT)


def run_filter_banks(fixture: Fixture) -> Iterator[Comparison]:
    """Compare log filter-banks and their stacked rows, from whole numbers and from [-1, 1]."""
    for case in fixture.cases:
        inputs = case["inputs"]
        samples = np.clip(4000 * recipes.product(inputs["seed"], 1, inputs["N"]), -32768, 32767).round()
        if inputs.get("silent_from_to"):
            first, last = inputs["silent_from_to"]
            samples[:, first:last] = 0
        whole = torch.from_numpy(samples)
        for kind, waveform in (("int16", whole), ("float", (whole / FULL_SCALE).float())):
            banks = log_filter_banks(waveform)[0]
            rows = stacked_filter_banks(waveform)[0]
            for name, got in ((f"{kind}_logfbank", banks), (f"{kind}_stacked_normalised", rows)):
                part = name.removeprefix(f"{kind}_")
                text = tolerance_of(fixture, part, "2e-4 absolute")
                yield compare(fixture, case, name, got.numpy(), default=text)


def run_input_transforms(fixture: Fixture) -> Iterator[Comparison]:
    """Compare standardised pictures and waveforms of both repositories."""
    for case in fixture.cases:
        inputs = case["inputs"]
        if "recipe" not in inputs:
            yield from _constant_waveform(fixture, case)
            continue
        planes = [_plane(inputs, colour) for colour in range(3)]
        chosen = _at_speed(len(planes[0]), inputs["speed_rate"])
        lips = standardise_gray(cut_centre(torch.from_numpy(planes[0][chosen]), LIPS_PX))
        yield compare(fixture, case, "vsr_video", lips[None].numpy(), default="1e-5 absolute")
        gray = sum(weight * plane.astype(np.float32) for weight, plane in zip(LUMA, planes, strict=True))
        lips = standardise_gray(cut_centre(torch.from_numpy(gray), LIPS_PX))
        yield compare(fixture, case, "auto_avsr_video", lips[:, None].numpy(), default="1e-5 absolute")
        samples = recipes.product(inputs["seed"], 1, inputs["audio_samples"]).astype(np.float32)
        samples = torch.from_numpy(samples * np.float32(0.05) + np.float32(0.01))
        for name, epsilon in (("vsr_audio", 0.0), ("auto_avsr_audio", 1e-8)):
            got = standardise_waveform(samples, epsilon=epsilon).T
            yield compare(fixture, case, name, got.numpy(), default="1e-5 absolute")


def run_mouth_crop(fixture: Fixture) -> Iterator[Comparison]:
    """Compare smoothed landmarks, where the warp puts them, gray values and patches of the mouth."""
    for case in fixture.cases:
        inputs = case["inputs"]
        if "error" in case or not any(inputs["landmarks"]):
            yield _refused(fixture, case)
            continue
        points = smooth_landmarks(fill_landmarks(inputs["landmarks"]))
        yield compare(fixture, case, "smoothed_landmarks", points, default="1e-9")
        warps = np.stack([fit_similarity(face) for face in points])
        published = fixture.array(case["outputs"]["matrices"]["array"])
        error = largest_error(_warped(points, warps), _warped(points, published))
        allowed = allowed_error(tolerance_of(fixture, "matrices", "<= 1e-3 px"))
        yield Comparison(fixture.name, case["id"], "matrices", error, allowed)
        gray = np.stack([_gray(t, inputs["height"], inputs["width"]) for t in range(inputs["frames"])])
        sample = gray[:, ::40, ::7].astype(np.float64)
        yield compare(fixture, case, "gray_sample", sample, default="<= 1")
        patches = np.stack([mouth_patch(*pair) for pair in zip(gray, points, strict=True)])
        yield from _patches(fixture, case, patches)


def _constant_waveform(fixture: Fixture, case: dict) -> Iterator[Comparison]:
    samples = torch.full((1, case["inputs"]["samples"]), case["inputs"]["value"])
    for name, epsilon in (("vsr", 0.0), ("auto_avsr", 1e-8)):
        got = standardise_waveform(samples, epsilon=epsilon)
        same = bool(got.isfinite().all()) == case["values"][f"{name}_all_finite"]
        yield Comparison(fixture.name, case["id"], f"{name} is finite", 0.0 if same else math.inf, 0.0)
    error = abs(float(got.abs().max()) - case["values"]["auto_avsr_max_abs"])
    yield Comparison(fixture.name, case["id"], "auto_avsr_max_abs", error, 1e-5)


def _plane(inputs: dict, colour: int) -> np.ndarray:
    shape = (inputs["T"], inputs["height"], inputs["width"])
    values = 128 + 40 * recipes.smooth([inputs["seed"], colour], shape, (2, 17, 17))
    return np.clip(values.round(), 0, 255).astype(np.uint8)


def _at_speed(n_frames: int, speed_rate: float) -> np.ndarray:
    """Frames that are left where a clip runs faster; avloc itself resamples by timestamp instead."""
    return np.linspace(0, n_frames - 1, int(n_frames / speed_rate)).astype(int)


def _refused(fixture: Fixture, case: dict) -> Comparison:
    try:
        fill_landmarks(case["inputs"]["landmarks"])
    except ValueError:
        return Comparison(fixture.name, case["id"], "no face is refused", 0.0, 0.0)
    return Comparison(fixture.name, case["id"], "no face is refused", math.inf, 0.0)


def _warped(points: np.ndarray, warps: np.ndarray) -> np.ndarray:
    return np.einsum("tij,tpj->tpi", warps[:, :, :2], points) + warps[:, None, :, 2]


def _gray(t: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red, green = np.floor(255 * x / (width - 1)), np.floor(255 * y / (height - 1))
    blue = np.floor(127.5 + 100 * np.sin(0.11 * x + 0.07 * y + 0.3 * t))
    frame = np.stack((red, green, blue), axis=2).astype(np.uint8)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _patches(fixture: Fixture, case: dict, patches: np.ndarray) -> Iterator[Comparison]:
    """Two figures: pixels are cut with whole and with real numbers, which differ a little."""
    published = fixture.array(case["outputs"]["patches"]["array"])
    if patches.shape != published.shape:
        yield Comparison(fixture.name, case["id"], "patches", math.inf, 2.0)
        return
    difference = np.abs(patches.astype(np.float64) - published)
    yield Comparison(
        fixture.name, case["id"], "patches (of 99.5 %)", float(np.percentile(difference, ALMOST_ALL)), 2.0
    )
    yield Comparison(fixture.name, case["id"], "patches (mean)", float(difference.mean()), 0.3)
