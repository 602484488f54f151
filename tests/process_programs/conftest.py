"""Keep pytest, which looks for doctests in every file, from importing what are programs."""

collect_ignore_glob = ["*.py"]
