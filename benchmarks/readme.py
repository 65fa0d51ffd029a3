"""The parts of the README that scripts write, each between its two markers."""

import re

from circpeft import files, results

PATH = results.ROOT / "README.md"


class Part:
    """What stands between ``<!-- name -->`` and ``<!-- /name -->``."""

    def __init__(self, name: str) -> None:
        self._marked = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)

    def shown(self) -> str:
        """The text as it stands there."""
        return self._marked.search(PATH.read_text(encoding="utf-8"))[2]

    def put(self, text: str) -> None:
        """Write a text in its place."""
        whole = self._marked.sub(lambda match: match[1] + text + match[3], PATH.read_text(encoding="utf-8"))
        files.write_atomically(PATH, whole)
