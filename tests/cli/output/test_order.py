"""The order of tables: any keys can be compared, and numbers in them count by their value."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from etcdnaming.cli.output.order import natural

TEXTS = st.text(st.sampled_from("e/019é\x00٣"), max_size=6)


@given(st.lists(TEXTS, max_size=8))
def test_any_texts_have_one_order(texts: list[str]) -> None:
    """Some are the beginning of others, and some numbers have zeros in front."""
    in_order = dict.fromkeys(sorted(texts, key=natural))
    assert len(in_order) == len({*texts})
    assert all(natural(a) < natural(b) for a, b in pairwise(in_order))


@given(TEXTS, st.integers(0), st.integers(0), TEXTS)
def test_numbers_are_ordered_by_their_value(before: str, a: int, b: int, after: str) -> None:
    """Whatever stands around them."""
    begin, end = f"{before}-", f"-{after}"
    texts = f"{begin}{a}{end}", f"{begin}{b}{end}"
    assert (natural(texts[0]) < natural(texts[1])) is (a < b)
