"""Build the site: the course as executed, the pages of docs/, the API reference, results and errata.

python docs/site/build.py                        # run the course in the smoke profile first
python docs/site/build.py --notebooks runs/NAME  # with the notebooks of a run that exists
python docs/site/build.py --stripped             # without outputs
"""

import argparse
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENTRY = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>circpeft</title>
<meta http-equiv="refresh" content="0; url=README.html"></head>
<body><p><a href="README.html">circpeft</a></p></body></html>
"""


def executed(folder: Path) -> Path:
    """Return a folder of executed notebooks as an absolute path.

    Raises: SystemExit if there is no such folder, or if it has no notebook of the course.
    """
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    if not folder.is_dir():
        sys.exit(f"No folder {folder}. Give a folder that circpeft course wrote, such as runs/<time>-cpu-<id>.")
    if not names & {path.name for path in folder.iterdir()}:
        sys.exit(f"No notebook of the course in {folder}. Give a folder that circpeft course wrote.")
    return folder.resolve()


def run_course() -> Path:
    """Run the course in the smoke profile, and return the run's folder.

    Raises: SystemExit if a notebook fails.
    """
    from circpeft.course import run_course

    run = run_course("smoke")
    if run.unfinished:
        names = ", ".join(entry["name"] for entry in run.unfinished)
        sys.exit(f"Not run to the end: {names}. The page {run.folder / 'index.html'} has the errors.")
    return run.folder


def build(output: Path, notebooks: Path | None) -> int:
    """Build the site into a folder; a warning is an error. Return the exit status of Sphinx."""
    output.mkdir(parents=True, exist_ok=True)
    options = ["-b", "html", "-q", "-W", "--keep-going", "-c", str(HERE), "-d", f"{output}.doctrees"]
    status = build_main([*options, "-D", f"executed_notebooks={notebooks or ''}", str(ROOT), str(output)])
    (output / "index.html").write_text(ENTRY, encoding="utf-8")
    return status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--notebooks", type=Path, metavar="FOLDER", help="a folder of executed notebooks")
    source.add_argument("--stripped", action="store_true", help="take the notebooks without outputs")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site", metavar="FOLDER")
    options = parser.parse_args()
    notebooks = None if options.stripped else executed(options.notebooks) if options.notebooks else run_course()
    if status := build(options.output.resolve(), notebooks):
        sys.exit(status)
    print(f"The site is {options.output / 'index.html'}; open it in a browser. It needs no server.")


if __name__ == "__main__":
    main()
