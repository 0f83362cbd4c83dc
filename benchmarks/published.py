"""What is found of published forgeries that training never heard or saw, as their makers released them.

python benchmarks/published.py --media media/manifest.json --weights default \
    --out benchmarks/results/published.json

Recordings of ``use: test`` that name a generator, beside genuine ones of ``use: test`` and ``use: dev``, of
any licence. Nearly all are forged from the first sample to the last, while training knows spans in genuine
recordings only: ``AUC`` ranks recordings by their score, ``found`` are those with a detection at or above the
threshold of the card, ``covered`` is the share of a forged recording that such detections cover. Intervals
are drawn over identities. Partial forgeries are listed one by one with the overlap of the best detection of
each segment. The sets are small and say so.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from environment import environment, parameters_sha256, shown

from avloc.datasets.corpus import Entry, read_manifests
from avloc.metrics import auc
from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.pipelines.loading import load_localizer
from avloc.structures import Prediction, Segment, Timeline

GENUINE = {"sound": ("speech", "telephony_speech"), "picture": ("genuine_talking_face",)}
FORGED = {"sound": ("generated_speech",), "picture": ("generated_deepfake", "partial_deepfake")}
N_REPLICATES = 500


def spans_of(manifests: Iterable[str]) -> dict[str, list[list[float]]]:
    """Read where partial forgeries lie, by id."""
    rows = [row for path in manifests for row in json.loads(Path(path).read_text())["entries"]]
    return {row["id"]: row["fake_segments"] for row in rows if "fake_segments" in row}


def chosen(entries: Iterable[Entry], stream: str) -> list[Entry]:
    """List what a table is of: published forgeries and genuine recordings that nothing was trained on."""
    kept = []
    for entry in entries:
        is_forged = entry.kind in FORGED[stream] and entry.generator is not None and entry.use == "test"
        if is_forged or (entry.kind in GENUINE[stream] and entry.use in ("dev", "test")):
            kept.append(entry)
    return kept


def summarize(told: list[dict]) -> dict[str, dict]:
    """Figures by generator, each against all genuine recordings."""
    genuine = [row for row in told if row["generator"] is None]
    groups = defaultdict(list)
    for row in told:
        if row["generator"] is not None:
            groups[row["generator"]].append(row)
    everything = [row for rows in groups.values() for row in rows]
    counted = {"all": everything, **dict(sorted(groups.items()))} if everything else {}
    return {
        "genuine": _describe(genuine),
        **{name: _describe(rows) | _ranked(rows, genuine) for name, rows in counted.items()},
    }


def _describe(rows: list[dict]) -> dict:
    return {
        "n": len(rows),
        "n_identities": len({row["identity"] for row in rows}),
        "minutes": round(sum(row["duration_s"] for row in rows) / 60, 2),
        "found": sum(row["found"] for row in rows),
        "covered": round(float(np.mean([row["covered"] for row in rows])), 3) if rows else None,
    }


def _ranked(forged: list[dict], genuine: list[dict]) -> dict:
    rows = [*forged, *genuine]
    scores = np.array([row["score"] for row in rows])
    truth = np.array([row["generator"] is not None for row in rows])

    def ranked(weights: np.ndarray) -> dict[str, float]:
        kept = weights > 0
        if len(set(truth[kept])) < 2:
            return {"AUC": float("nan")}
        return {"AUC": auc(scores[kept], truth[kept], weights[kept])}

    value = ranked(np.ones(len(rows)))["AUC"]
    if np.isnan(value):
        return {"AUC": None, "interval_95": None}
    bounds = bootstrap_intervals(ranked, [row["identity"] for row in rows], n_replicates=N_REPLICATES)["AUC"]
    return {"AUC": round(value, 3), "interval_95": bounds and [round(bound, 3) for bound in bounds]}


def ask(localizer: object, entry: Entry) -> dict | None:
    """Analyse a recording; None where it was not analysable."""
    prediction = localizer(str(entry.path))
    if prediction.status != "analysed" or prediction.score is None:
        return None
    spans = [d.segment for d in prediction.detections if d.score >= _threshold(prediction)]
    covered = sum(span.end - span.start for span in Timeline(tuple(sorted(spans))).support().segments)
    return {
        "id": entry.id,
        "identity": entry.identity,
        "generator": entry.generator,
        "duration_s": entry.duration,
        "score": prediction.score,
        "found": bool(spans),
        "covered": min(1.0, covered / entry.duration),
        "detections": [[d.score, d.segment.start, d.segment.end] for d in prediction.detections],
    }


def _threshold(prediction: Prediction) -> float:
    told = [prediction.threshold, *(channel.threshold for channel in prediction.channels)]
    return next(threshold for threshold in told if threshold is not None)


def partial_rows(told: Iterable[Mapping], spans: Mapping[str, list]) -> list[dict]:
    """List segments of partial forgeries with the detection that fits each best."""
    rows = []
    for row in told:
        for start, end in spans.get(row["id"], ()):
            fits = [(_iou((start, end), found[1:]), k, found) for k, found in enumerate(row["detections"])]
            iou, rank, best = max(fits, key=lambda fit: (fit[0], -fit[1]), default=(0.0, None, None))
            rows.append(
                {"id": row["id"], "start_s": start, "end_s": end, "best_iou": round(iou, 3)}
                | {"rank": None if best is None else rank + 1, "score": None if best is None else best[0]}
            )
    return rows


def _iou(a: tuple[float, float], b: list[float]) -> float:
    first, second = Segment(*a), Segment(*b)
    shared = max(0.0, min(first.end, second.end) - max(first.start, second.start))
    return shared / (first.end - first.start + second.end - second.start - shared)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    entries = read_manifests(options.media)
    localizer = load_localizer(options.weights, min_score=0.0)
    result = {
        "environment": environment(),
        "weights": shown(options.weights),
        "parameters_sha256": parameters_sha256(options.weights),
    }
    for stream in FORGED:
        asked = [(entry, ask(localizer, entry)) for entry in chosen(entries, stream)]
        told = [row for _, row in asked if row is not None]
        result[stream] = {
            "not_analysed": [entry.id for entry, row in asked if row is None],
            "figures": summarize(told),
            "partial": partial_rows(told, spans_of(options.media)),
        }
        print(f"\n{stream}")
        for name, row in result[stream]["figures"].items():
            print(f"  {name:<42}", *(f"{key} {value}" for key, value in row.items()), sep="  ")
        for row in result[stream]["partial"]:
            print("  partial", row)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
