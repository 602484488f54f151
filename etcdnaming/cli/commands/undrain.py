"""The command ``etcdnaming undrain``."""

from __future__ import annotations

from .drain import merging_command

__all__ = ["command"]


HELP = """
Mark endpoints as no longer draining.

$ etcdnaming undrain foo/bar/svc/e1
OK

Removes "draining" from the metadata of each KEY, in one transaction.
"""


command = merging_command(HELP, {"draining": None})
