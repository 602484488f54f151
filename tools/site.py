"""
Collect the pages of the documentation in build/pages, for mkdocs.

    python tools/site.py && mkdocs build --strict

The text is that of the repository's own files: a page for each chapter of README.md, a page for
each command, made from what its man page is made from, the other files as they are, and the
reference that pdoc writes from the docstrings. Links between them lead to their pages; links to
other files lead to the repository.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from markdown_page import MarkdownPage
from pymdownx.slugs import slugify

import man

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "pages"
FILES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
    "benchmarks/results.md": "benchmarks/results.md",
    "benchmarks/floors.md": "benchmarks/floors.md",
    "benchmarks/at_rest.md": "benchmarks/at_rest.md",
}
"""The page of each file that has one."""

IMAGES = ("pictures", "benchmarks")
SLUG = slugify(case="lower")
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
REPOSITORY = "https://github.com/etcdnaming/etcdnaming/blob/main/"


def main() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    for directory in IMAGES:
        for image in (ROOT / directory).glob("*.svg"):
            write(f"{directory}/{image.name}", image.read_text("utf-8"))
    chapters = dict(chapters_of((ROOT / "README.md").read_text("utf-8")))
    anchors = {anchor: page for page, text in chapters.items() for anchor in anchors_of(text)}
    for page, text in chapters.items():
        write(page, linked(text, "README.md", page, anchors))
    for file, page in FILES.items():
        write(page, linked((ROOT / file).read_text("utf-8"), file, page, anchors))
    for name, text in man.pages(MarkdownPage).items():
        write(f"commands/{name.rpartition('.')[0]}.md", text)
    subprocess.run([sys.executable, ROOT / "tools" / "reference.py", PAGES / "api"], check=True)
    write_navigation(chapters)


def write(name: str, text: str) -> None:
    file = PAGES / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def chapters_of(readme: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page for each chapter; the first has the introduction."""
    parts = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    yield "index.md", "".join(parts[:2])
    for text in parts[2:]:
        title = text.partition("\n")[0].removeprefix("## ")
        promoted = HEADING.sub(lambda heading: heading[0][1:], outside_fences(text))
        yield f"{SLUG(title, '-')}.md", restore(promoted, text)


def outside_fences(text: str) -> str:
    """Return *text* with a mark in place of each code block: a comment in it is no heading."""
    return FENCE.sub("\0", text)


def restore(text: str, original: str) -> str:
    """Put the code blocks of *original* back."""
    blocks = iter(FENCE.findall(original))
    return re.sub("\0", lambda _: next(blocks), text)


def anchors_of(text: str) -> list[str]:
    """Return the anchors of the headings."""
    return [SLUG(title.replace("`", ""), "-") for _, title in HEADING.findall(outside_fences(text))]


def linked(text: str, file: str, page: str, anchors: Mapping[str, str]) -> str:
    """Return the *text* of *file* with links that are right on *page*."""
    up = "../" * page.count("/")

    def link(found: re.Match[str]) -> str:
        shown, place = found.groups()
        if re.match(r"[a-z]+:", place):
            return found[0]
        path, _, anchor = place.partition("#")
        if not path:
            there = anchors.get(anchor, page) if file == "README.md" else page
            return f"{shown}({'' if there == page else up + there}#{anchor})"
        name = (ROOT / file).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
        if name == "README.md":
            return f"{shown}({up}{anchors.get(anchor, 'index.md')}{'#' * bool(anchor)}{anchor})"
        if name in FILES:
            return f"{shown}({up}{FILES[name]}{'#' * bool(anchor)}{anchor})"
        if name.endswith(".svg"):
            return f"{shown}({up}{name})"
        return f"{shown}({REPOSITORY}{name})"

    return restore(LINK.sub(link, outside_fences(text)), text)


def write_navigation(chapters: Mapping[str, str]) -> None:
    """Write mkdocs' configuration with the list of all pages."""
    commands = sorted(
        (each.stem for each in (PAGES / "commands").iterdir()),
        key=lambda name: (name != "etcdnaming", name),
    )
    lines = ["INHERIT: ../mkdocs.yml", "docs_dir: pages", "site_dir: docs", "nav:"]
    lines += ["  - Guide:", *(f"      - {page}" for page in chapters)]
    lines += ["  - Commands:", *(f"      - {name}: commands/{name}.md" for name in commands)]
    lines += ["  - Library: api/etcdnaming.html"]
    lines += ["  - Project:", *(f"      - {page}" for page in FILES.values())]
    (ROOT / "build" / "mkdocs.yml").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
