"""differences(): what of two nested mappings of plain values is not the same, in words."""

from collections.abc import Mapping


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> str:
    """Say which values differ, nested ones under dotted names; nothing if none does.

    Parameters
    ----------
    there, here : mapping
        Values that compare; a key that is absent counts as None.

    Examples
    --------
    >>> differences({"n": 3, "weights": {"sha256": "ab"}}, {"n": 3, "weights": {"sha256": "cd"}})
    "weights.sha256 is 'ab' there and 'cd' here"
    """
    there, here = _flat(there), _flat(here)
    return ", ".join(
        f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
        for key in sorted({*there, *here})
        if there.get(key) != here.get(key)
    )


def _flat(value: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Give nested values one dotted name each."""
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{before}{key}.") if isinstance(inner, Mapping) else {f"{before}{key}": inner}
    return flat
