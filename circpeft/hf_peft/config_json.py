"""The content of adapter_config.json, read with a bounded size and checked for its form."""

from __future__ import annotations

import json
import os
from typing import Any

from .. import limits


def read_config(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of an adapter's config file.

    Raises: ValueError that names the file, for one that is not there, larger than `limits.CONFIG`, or not a JSON object
    in which every name occurs once.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "adapter_config.json")
    ...     _ = path.write_text("[1]")
    ...     read_config(path)
    Traceback (most recent call last):
    ...
    ValueError: .../adapter_config.json is a JSON list, expected an object
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for name, value in pairs:
            if name in content:
                raise ValueError(f"{name!r} occurs twice in one object; keep one")
            content[name] = value
        return content

    if not os.path.isfile(file):
        raise ValueError(f"{file} is not a file")
    limits.CONFIG.check(str(file), os.path.getsize(file))
    with open(file, "rb") as stream:
        text = stream.read(limits.CONFIG.value + 1)
    try:
        content = json.loads(text.decode(), object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not text in UTF-8: {error}") from error
    except (ValueError, RecursionError) as error:  # RecursionError: nested too deeply
        raise ValueError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is a JSON {type(content).__name__}, expected an object")
    return content
