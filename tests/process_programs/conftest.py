"""Keep pytest from importing these programs when it looks for doctests."""

collect_ignore_glob = ["*.py"]
