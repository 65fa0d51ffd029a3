"""MT-Bench (Zheng et al. 2023, arXiv 2306.05685): 80 two-turn questions, a model's answers, and a judge's scores.

``questions`` reads the questions, ``generate`` lets a model answer them, ``judge`` lets another model grade every
answer, and ``scores`` takes the means. Answers and judgments are kept in FastChat's file formats. Both steps continue
where they were interrupted.
"""

from .answers import generate, instruction_template, read_answers
from .judging import check_judge, judge
from .prompts import judge_prompt, rating
from .question_file import TEMPERATURES, Question, questions
from .scoring import read_judgments, scores

__all__ = [
    "TEMPERATURES",
    "Question",
    "check_judge",
    "generate",
    "instruction_template",
    "judge",
    "judge_prompt",
    "questions",
    "rating",
    "read_answers",
    "read_judgments",
    "scores",
]
