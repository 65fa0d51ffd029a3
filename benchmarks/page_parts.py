"""Parts of the README and of docs/ that scripts write from records, each between two markers."""

import re

from circpeft import files, results


def device_text(device: str) -> str:
    """Return the device of a record as pages write it.

    >>> device_text("CPU, 1 threads"), device_text("CPU, 2 threads")
    ('CPU, 1 thread', 'CPU, 2 threads')
    """
    return re.sub(r"\b1 threads", "1 thread", device)


def rates_text(row: dict) -> str:
    """Return the learning rate of a record, and that of the head if it has another one.

    >>> rates_text({"settings": {"learning_rate": 0.6, "head_learning_rate": 0.0003}, "head_parameters": 645})
    '0.6 (head 0.0003)'
    """
    rate, head_rate = (row["settings"][name] for name in ("learning_rate", "head_learning_rate"))
    return f"{rate:g}" if head_rate == rate or not row["head_parameters"] else f"{rate:g} (head {head_rate:g})"


class Part:
    """The text between ``<!-- name -->`` and ``<!-- /name -->`` of one page.

    Args:
        name: the name in the two markers.
        page: path of the page, relative to the repository.
    """

    def __init__(self, name: str, page: str) -> None:
        self.path = results.ROOT / page
        self._marked = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)

    def read(self) -> str:
        """Return the text that the page has now."""
        return self._marked.search(self.path.read_text(encoding="utf-8"))[2]

    def write(self, text: str) -> None:
        """Replace the text of the page."""
        page = self._marked.sub(lambda match: match[1] + text + match[3], self.path.read_text(encoding="utf-8"))
        files.write_atomically(self.path, page)
