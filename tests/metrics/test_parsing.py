import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avloc.errors import AnnotationError
from avloc.metrics import SegmentTable
from avloc.metrics.parsing import parse_rows

BLOCKS = (1, 2, 7, 64, 2**22)


def parsed(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return parse_rows(io.BytesIO(data), source="'p.json'", **options)


def same(one, other):
    assert one.ids == other.ids and one.splits.tolist() == other.splits.tolist()
    for name in ("scores", "starts", "ends"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.n_skipped == other.n_skipped


# Numbers whose nearest double a careless conversion misses: halfway, subnormal, of many digits, big powers.
ODD_BYTES = b'"[]{},:\\0129.eE+-NI tn\xff\x00'
HARD = [
    "0",
    "-0",
    "-0.0",
    "1",
    "0.1",
    "0.3",
    "1e22",
    "1e23",
    "123456789012345678",
    "9007199254740993",
    "9007199254740992.5",
    "1.7976931348623157e308",
    "2.2250738585072014e-308",
    "4.9e-324",
    "2.4e-324",
    "1e-400",
    "0.000000000000000000000000000000000000001",
    "1E+2",
    "1e-22",
    "1e-23",
    "3.14159265358979323846264338327950288419716939937510",
    "12345678901234567890123456789012345678901234567890e-40",
    "0.1000000000000000055511151231257827021181583404541015625",
]


@pytest.mark.parametrize("number", HARD)
def test_every_number_is_the_nearest_double(number):
    table = parsed(f'{{"a": [[{number}, -1e300, 1e300]]}}')
    assert table.scores[0] == float(number) and np.signbit(table.scores[0]) == number.startswith("-")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.dictionaries(
        st.text(max_size=5),
        st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3), max_size=4),
        max_size=5,
    ),
    block=st.sampled_from(BLOCKS),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_it_equals_the_reader_of_objects(rows, block, indent, ascii_only):
    rows = {name: [[s, *sorted((a, b))] for s, a, b in entry] for name, entry in rows.items()}
    try:
        text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # a lone surrogate can be escaped, not written
        text = json.dumps(rows, indent=indent).encode()
    same(parsed(text, block_bytes=block), SegmentTable.from_rows(json.loads(text)))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_as_json_reads_them(data):
    """The compiled automaton meets whatever a file may hold: it must not crash or read something else."""
    text = bytearray(b'{"a/\\u00e9": [[0.9, 1.25, 2e0], [0.5, -1, 3]], "b": [], "c": [[1, 2.0, 30.5]]}')
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        what = data.draw(st.sampled_from(["replace", "cut", "insert"]))
        if what == "cut":
            del text[at:]
            text += b" "
        elif what == "insert":
            text.insert(at, data.draw(st.sampled_from(ODD_BYTES)))
        else:
            text[at] = data.draw(st.integers(0, 255))
    for block in (3, 2**16):
        try:
            expected = json.loads(bytes(text).decode(), object_pairs_hook=list)
        except ValueError:
            with pytest.raises(AnnotationError):
                parsed(bytes(text), block_bytes=block)
            continue
        try:
            found = parsed(bytes(text), block_bytes=block)
        except AnnotationError:
            continue  # JSON, but no predictions
        assert found.ids == tuple(name for name, _ in expected)
        assert found.scores.tolist() == [float(row[0]) for _, rows in expected for row in rows]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [[0.9, 2, 1]]}', r"'p.json': 'a' row 0: expected end >= start, got \[0.9, 2.0, 1.0\]"),
        ('{"b": [[1, 1, 2]], "a": [[1, 0, 1], [NaN, 1, 2]]}', "'a' row 1: .*all finite"),
        ('{"a": [[0.9, 1, Infinity]]}', "'a' row 0: .*all finite"),
        ('{"a": [[0.9, -Infinity, 1]]}', "'a' row 0: .*all finite"),
        ('{"a": [[1e999, 1, 2]]}', "'a' row 0: .*all finite"),
        ('{"a": [[0.9, 1]]}', "'a' row 0: expected .score, start_s, end_s., all finite, got"),
        ('{"a": [[0.9, 1, null]]}', "'a' row 0: .*as numbers"),
        ('{"a": [0.9, 1, 2]}', "'a' row 0: .*as numbers"),
        ('{"a": [["0.9", "1", "2"]]}', "'a' row 0: .*as numbers"),
        ('{"a": ["123"]}', "'a' row 0: .*as numbers"),
        ('{"a": [[true, 1, 2]]}', "'a' row 0: .*as numbers"),
        ('{"a": null}', "'a' row 0"),
        ('{"a": [], "a": []}', r"every recording must stand once, got \['a'\]"),
        ('{"a": [[0.9, 1, 2]]', "at byte 19"),
        ('{"a": [[0.9, 1, 2]],}', "at byte 20"),
        ('{"a": [[0.9, 01, 2]]}', "at byte"),
        ('{"a": [[0.9, .5, 2]]}', "at byte"),
        ('{"a" [[0.9, 1, 2]]}', "at byte"),
        ('{"a": [[0.9, 1, 2]]} x', "more after the brace"),
        ("", "begins with ''"),
        ("[1]", "begins with '\\['"),
        ('{"\\ud8": [[0.9, 1, 2]]}', "escape"),
        (b'{"\xff": [[0.9, 1, 2]]}', "utf-8|UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_name(text, message, block):
    with pytest.raises(AnnotationError, match=message) as error:
        parsed(text, block_bytes=block)
    assert "'p.json'" in str(error.value)


@pytest.mark.parametrize("block", BLOCKS)
def test_invalid_rows_are_dropped_and_counted_when_told_so(block):
    text = '{"a": [[0.9, 2, 1], [0.8, 1, 2]], "b": [[NaN, 1, 2]], "c": [[1, 2]], "d": 3, "e": [[0.1, 0, 1]]}'
    table = parsed(text, skip_invalid=True, block_bytes=block)
    assert table.ids == ("a", "b", "c", "d", "e") and table.counts.tolist() == [1, 0, 0, 0, 1]
    assert table.n_skipped == 4 and table.scores.tolist() == [0.8, 0.1]


def test_a_deep_nest_is_refused_without_a_crash():
    with pytest.raises(AnnotationError, match="nested too deeply|at byte"):
        parsed('{"a": ' + "[" * 200_000)


def test_a_mark_of_byte_order_is_passed_over():
    assert parsed(b'\xef\xbb\xbf {"a": []}').ids == ("a",)
