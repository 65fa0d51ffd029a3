"""A box of controls with a sentence for places that cannot show widgets."""

from typing import Any

import ipywidgets as widgets

SENTENCE = (
    "Interactive controls: open this notebook in JupyterLab (circpeft lab). If this is JupyterLab, circpeft doctor "
    "names the extension that is missing."
)


class Controls(widgets.VBox):
    """A column of widgets. Where widgets cannot be shown, a sentence tells what to do.

    >>> Controls([widgets.IntSlider()])._repr_mimebundle_()["text/plain"][:20]
    'Interactive controls'
    """

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**options), "text/plain": SENTENCE}
