"""Learning rates: one to begin with, from the shapes of a model's layers, and a short search on your own data.

`suggest` trains nothing. `search` trains a few steps at each of several rates and compares the validation losses.
"""

from .outcome import RateTrial, Search
from .search import search
from .suggestion import LayerStep, Suggestion, suggest

__all__ = ["LayerStep", "RateTrial", "Search", "Suggestion", "search", "suggest"]
