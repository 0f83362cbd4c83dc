import dataclasses

from avloc.report.schema import recording_to_dict
from avloc.structures import Recording


def test_the_state_of_the_file_is_no_property_of_the_recording():
    plain = Recording("a", "a.wav", "00", 1, "wav", 0.0, 9.0)
    known = dataclasses.replace(plain, _file_state=(1, 2, 3, 4))
    assert known == plain
    assert repr(known) == repr(plain)
    assert recording_to_dict(known) == recording_to_dict(plain)
