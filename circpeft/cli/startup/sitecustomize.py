"""Import circpeft when Python starts. `circpeft exec` puts this folder on PYTHONPATH.

Python imports the first `sitecustomize` of its path. This one also runs the next one, which Python would have run
otherwise. A process of an environment without circpeft starts as usual.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

if __name__ == "sitecustomize":  # and not when a tool imports all modules of circpeft
    if find_spec("circpeft") is not None:
        import circpeft.import_hooks  # noqa: F401
    _here = os.path.dirname(os.path.abspath(__file__))
    _next = PathFinder.find_spec(__name__, [entry for entry in sys.path if os.path.abspath(entry) != _here])
    if _next is not None and _next.loader is not None:
        sys.modules[__name__] = module_from_spec(_next)
        _next.loader.exec_module(sys.modules[__name__])
