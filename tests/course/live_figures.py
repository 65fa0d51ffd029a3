"""What a `LiveFigure` shows, as a plotly figure with arrays in place of the bytes that it sends."""

import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go

from circpeft.course.live_figure import LiveFigure


def shown(live: LiveFigure) -> go.Figure:
    return go.Figure(_with_arrays({part: live.content[part] for part in ("data", "layout")}))


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
        return array.reshape([int(side) for side in str(value.get("shape", array.size)).split(",")])
    if isinstance(value, dict):
        return {name: _with_arrays(part) for name, part in value.items()}
    return [_with_arrays(part) for part in value] if isinstance(value, list) else value
