"""What ``avloc synth --audit`` prints."""

from pathlib import Path

import click

from avloc.cli.main import FAILED


def report_audit(folder: Path, *, as_json: bool) -> int:
    """Audit a folder that holds a manifest, print what was found, and give the exit code.

    3 if a probe tells the classes apart, else 0.
    """
    from avloc.synth.audit import audit_folder

    found = audit_folder(folder)
    click.echo(_as_json(folder, found) if as_json else _as_text(found))
    return FAILED if found.shortcuts else 0


def _as_text(found: object) -> str:
    lines = [
        f"audit of {found.n_recordings} recordings, {found.n_forged} forged, {found.n_groups} hosts",
        f"{'probe':<14}{'AUC':>6}  interval, 95 % for all together",
    ]
    for finding in found.findings:
        interval = f"[{finding.low:.3f}, {finding.high:.3f}]"
        mark = "  shortcut" if finding.is_shortcut else ""
        lines.append(f"{finding.probe:<14}{finding.auc:>6.3f}  {interval}{mark}")
    return "\n".join(lines)


def _as_json(folder: Path, found: object) -> str:
    import json

    document = {
        "folder": str(folder),
        "n_recordings": found.n_recordings,
        "n_forged": found.n_forged,
        "n_groups": found.n_groups,
        "probes": [
            {"probe": f.probe, "auc": f.auc, "interval": [f.low, f.high], "is_shortcut": f.is_shortcut}
            for f in found.findings
        ],
    }
    return json.dumps(document, indent=1)
