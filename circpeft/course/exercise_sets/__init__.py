"""The exercises and the questions of the course by their ids, from one module for each notebook."""

from . import nb00, nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09, nb10, nb11, nb12

NOTEBOOKS = (nb00, nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09, nb10, nb11, nb12)

EXERCISES = {item.id: item for notebook in NOTEBOOKS for item in notebook.EXERCISES}
QUESTIONS = {item.id: item for notebook in NOTEBOOKS for item in notebook.QUESTIONS}
