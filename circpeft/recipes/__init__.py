"""Recipes: the settings of runs, and plans of whole sweeps (a table of a paper, or a file of your own)."""

from ..defaults import PROFILES
from ..method_specs import LEARNING_RATES
from .files import plan_file
from .parsing import hyperparameter, parse_method, parse_methods, profile, targets
from .plan import SETTING_TYPES, SETTINGS, Plan, Search, seeds_of, settings_of
from .protocol import PROTOCOLS, Choice, Protocol
from .recipe import CellRecipe, Recipe
from .table_plan import plan_table, table
from .tables import TABLES, Row, Table

__all__ = [
    "LEARNING_RATES",
    "PROFILES",
    "PROTOCOLS",
    "SETTINGS",
    "SETTING_TYPES",
    "TABLES",
    "CellRecipe",
    "Choice",
    "Plan",
    "Protocol",
    "Recipe",
    "Row",
    "Search",
    "Table",
    "hyperparameter",
    "parse_method",
    "parse_methods",
    "plan_file",
    "plan_table",
    "profile",
    "seeds_of",
    "settings_of",
    "table",
    "targets",
]
