"""The mutations that `make mutants` tries: each is one small change that still compiles."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / "tools"

SOURCE = b'''
LIMIT = 5

def put(self, item: str, \xc3\xbc: int) -> None:
    """Put it."""
    if not item or len(item) >= LIMIT:
        raise ValueError
    try:
        self.items[item] = max(\xc3\xbc, 0) + 1
        self.notify()
    except KeyError:
        self.failed = True
'''

EXPECTED = [
    "number: 5 => 20",
    "return early: if not item or len(item) >= LIMIT: raise ValueError => return",
    "negate: not item or len(item) >= LIMIT => (not (not item or len(item) >= LIMIT))",
    "drop a guard: not item or len(item) >= LIMIT => False",
    "combine: or => and",
    "compare: >= => >",
    "drop an assignment: self.items[item] = max(ü, 0) + 1 => pass",
    "calculate: + => -",
    "swap: max => min",
    "number: 0 => 1",
    "number: 1 => 2",
    "drop a call: self.notify() => pass",
    "drop an except: self.failed = True => raise",
    "drop an assignment: self.failed = True => pass",
    "negate: True => False",
]


def test_mutations_change_one_place_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns are counted in bytes, so other letters don't move them."""
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.delitem(sys.modules, "mutations", raising=False)
    mutations = importlib.import_module("mutations")

    found = mutations.mutations("put.py", SOURCE)
    shown = [" ".join(each.shown(SOURCE).split()) for each in found]
    assert sorted(shown) == sorted(EXPECTED)
    for each in found:
        changed = each.applied(SOURCE)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCE))
