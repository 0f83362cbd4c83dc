"""``avloc schema``."""

import json

import jsonschema

from avloc.report.schema import json_schema


def test_the_published_schema_is_printed_and_is_a_schema(run):
    code, out, err = run("schema")
    assert (code, err) == (0, "") and json.loads(out) == json_schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(out))
