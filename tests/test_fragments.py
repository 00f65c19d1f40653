"""A structure that falls into large pieces is no structure; crumbs of it do not count."""

import numpy as np
import pytest

from segment.fragments import MOST_APART, share_apart
from tests.benchmarks.fragments import CALIBRATION, VALIDATION, read_rows, told
from tests.benchmarks.shifts import NONE
from tests.benchmarks.uncertainty_table import DOCUMENT


def block(shape=(20, 20, 20)):
    mask = np.zeros(shape, bool)
    mask[2:10, 2:10, 2:10] = True
    return mask


def test_one_piece_and_none_have_nothing_apart():
    assert share_apart(block()) == 0
    assert share_apart(np.zeros((3, 4, 5), bool)) == 0


def test_what_touches_at_a_corner_is_one_piece():
    mask = block()
    mask[10:12, 10:12, 10:12] = True
    assert share_apart(mask) == 0


@pytest.mark.parametrize(("edge", "is_much"), [(2, False), (4, True)])
def test_the_share_apart_is_that_of_all_but_the_largest_piece(edge, is_much):
    mask = block()
    mask[12 : 12 + edge, 12 : 12 + edge, 12 : 12 + edge] = True
    share = share_apart(mask)
    assert share == pytest.approx(edge**3 / (8**3 + edge**3))
    assert (share > MOST_APART) is is_much


def test_the_document_holds_the_table_of_what_was_drawn():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "\n".join(told(read_rows())) in text


def test_no_crop_without_a_fault_was_drawn_in_large_pieces():
    plain = [row for row in read_rows() if row.shift == NONE]
    assert {row.split for row in plain} == {CALIBRATION, VALIDATION}
    assert max(max(row.apart) for row in plain) < MOST_APART
