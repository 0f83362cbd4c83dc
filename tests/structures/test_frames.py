from dataclasses import fields

import numpy as np
import pytest

from avloc.structures import FrameTable

COLUMNS = {field.name: np.zeros(3) for field in fields(FrameTable)}


def test_columns_come_back_by_name_and_order():
    table = FrameTable(**COLUMNS)
    assert len(table) == 3 and list(table.columns()) == list(COLUMNS)


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((3, 1)), np.zeros(())])
def test_columns_of_another_length_are_refused(wrong):
    with pytest.raises(ValueError, match="columns .n,. of one length"):
        FrameTable(**COLUMNS | {"score": wrong})
