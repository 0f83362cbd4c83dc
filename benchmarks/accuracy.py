"""How well avloc localizes, by kind of forgery, beside baselines on the same items.

python benchmarks/accuracy.py --items DIR --weights default --out benchmarks/results/accuracy.json \
    --bootstrap 200

DIR holds ``manifest.jsonl`` (one JSON object an item: path, duration_s, segments [[start_s, end_s], ...],
family, modality, and where known audio_segments, visual_segments, identity, source and what ``slices`` reads)
and the media, as ``avloc synth`` makes them. Items without segments are genuine and serve as negatives of
every family. Protocol ``corrected``; a figure stands beside its 95 % bootstrap interval over speakers: voices
repeat (over sources where the speaker is not known). The figures of avloc are sliced further by ``slices``.

False alarms are detections at or above the operating threshold of the weights card in genuine items. A
baseline has no threshold of its own; it gets the one at which it finds as many segments as avloc does, or all
that it can find. Operating points are those for a new card: at the rate that ships, which is
``--max-per-hour`` or the lowest that the genuine hours can check (3 / hours), whichever is higher; and
``further_points`` at 30 and 60 an hour.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from alarms import count_alarms, operating_points, threshold_for
from slices import count_identities, slices_of
from systems import Answers, as_telephone, load_references, run_avloc, run_random, run_signal

from avloc import metrics
from avloc.metrics import SegmentTable
from avloc.structures import Reference

IOU = (0.5, 0.75)
PROPOSALS = (20,)
COLUMNS = ("AP@0.5", "AP@0.75", "frame_AUC", "frame_AUC_inside", "frame_AUC_boundary", "AUC")


def score(answers: Answers, references: list[Reference], *, bootstrap: int, seed: int) -> dict:
    """Figures of all items and of every family against all genuine items."""
    groups = {"all": references, **metrics.slices(references, "family")}
    return {name: _figures(answers, chosen, bootstrap, seed) for name, chosen in groups.items()}


def _figures(answers: Answers, references: list[Reference], bootstrap: int, seed: int) -> dict:
    table = SegmentTable.from_references(references)
    rows = SegmentTable.from_rows({i: answers.rows[i] for i in table.ids if i in answers.rows})
    found = metrics.evaluate(
        rows,
        references,
        iou_thresholds=IOU,
        n_proposals=PROPOSALS,
        recording_scores=answers.scores,
        bootstrap=bootstrap,
        seed=seed,
    )
    pooled = metrics.pool_frames(answers.frames, table)
    found |= {n: None if np.isnan(v) else v for n, v in metrics.frame_auc(pooled).items()}
    found["n_frames"], found["frame_coverage"] = len(pooled.scores), pooled.coverage
    found["n_identities"] = count_identities(references)
    if bootstrap:
        sources = [reference.attributes["source"] for reference in references]
        found["intervals"] |= metrics.bootstrap_intervals(
            lambda weights: metrics.frame_auc(pooled, weights=weights),
            sources,
            n_replicates=bootstrap,
            seed=seed,
        )
    return found


def print_table(results: Mapping[str, dict], file: object = None) -> None:
    """Print one line a family and system: figures with intervals."""
    print(f"{'items':<24}{'system':<10}{'n':>5}{'K':>5}", *(f"{c:>19}" for c in COLUMNS), file=file)
    for group in results["avloc"]["figures"]:
        for system, result in results.items():
            figures = result["figures"][group]
            cells = [_cell(figures[c], (figures["intervals"] or {}).get(c)) for c in COLUMNS]
            start = f"{group:<24}{system:<10}{figures['n']:>5}{figures['n_references']:>5}"
            print(start, *(f"{cell:>19}" for cell in cells), file=file)
    for system, result in results.items():
        for alarms in result["false_alarms"]:
            share = f"{alarms['n_found']} of {alarms['n_references']} segments found"
            print(f"{system}: false alarms {alarms['text']} at {alarms['threshold']:.4f}, {share}", file=file)
        if result["failures"]:
            print(f"{system}: {len(result['failures'])} items were not analysed", file=file)


def _cell(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def measure(
    references: list[Reference],
    folder: Path,
    localizer: Callable,
    *,
    bootstrap: int,
    seed: int,
    max_per_hour: float,
) -> dict:
    """Run and score avloc and the baselines."""
    systems = {
        "avloc": run_avloc(references, folder, localizer),
        "random": run_random(references, seed),
        **run_signal(references, folder),
    }
    thresholds = {"avloc": systems["avloc"].thresholds}
    at_threshold = count_alarms(systems["avloc"], references, thresholds["avloc"])
    n_found = sum(row["n_found"] for row in at_threshold)
    for name in systems.keys() - {"avloc"}:
        same = threshold_for(systems[name], references, n_found)
        thresholds[name] = {r.recording_id: same for r in references}
    results = {
        name: {
            "figures": score(answers, references, bootstrap=bootstrap, seed=seed),
            "false_alarms": count_alarms(answers, references, thresholds[name]),
            "failures": answers.failures,
        }
        for name, answers in systems.items()
    }
    points = operating_points(systems["avloc"], references, max_per_hour)
    results["avloc"] |= {
        "slices": {
            label: {
                value: _figures(systems["avloc"], chosen, bootstrap, seed) for value, chosen in groups.items()
            }
            for label, groups in slices_of(references).items()
        },
        "operating_points": {path: ships for path, (ships, *_) in points.items()},
        "further_points": {path: further for path, (_, *further) in points.items()},
    }
    return results


def made_by(folder: Path) -> dict | None:
    """Use, condition and implementations of a set that ``avloc synth`` made; None for another."""
    path = folder / "synth.json"
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    recipe = told["recipe"]
    return {
        "condition": told.get("condition"),
        **{name: recipe.get(name) for name in ("use", "implementations", "seed")},
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=Path, required=True, help="folder with manifest.jsonl and the media")
    parser.add_argument("--weights", default="default", help="name or path of the weights")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--telephone", action="store_true", help="score the sound as a telephone carries it")
    parser.add_argument("--bootstrap", type=int, default=0, help="replicates of the 95 %% intervals")
    parser.add_argument(
        "--max-per-hour", type=float, default=12.0, help="false alarms an hour that a threshold may cost"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random baseline and the bootstrap")
    options = parser.parse_args(arguments)
    from environment import environment, parameters_sha256, shown

    from avloc.pipelines.loading import load_localizer

    references = load_references(options.items)
    localizer = load_localizer(options.weights, min_score=0.0, curves=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.items
        if options.telephone:
            folder = as_telephone(references, options.items, Path(scratch))
        results = measure(
            references,
            folder,
            localizer,
            bootstrap=options.bootstrap,
            seed=options.seed,
            max_per_hour=options.max_per_hour,
        )
    print_table(results)
    genuine = [r for r in references if not r.segments]
    written = {
        "environment": environment(),
        "protocol": "corrected",
        "weights": shown(options.weights),
        "parameters_sha256": parameters_sha256(options.weights),
        "telephone": options.telephone,
        "manifest_sha256": hashlib.sha256((options.items / "manifest.jsonl").read_bytes()).hexdigest(),
        "n_items": len(references),
        "n_genuine": len(genuine),
        "genuine_hours": sum(r.duration for r in genuine) / 3600.0,
        "n_identities": count_identities(references),
        "n_genuine_identities": count_identities(genuine),
        "made_by": made_by(options.items),
        "bootstrap": {"n_replicates": options.bootstrap, "seed": options.seed, "unit": "speaker"},
        "systems": results,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
