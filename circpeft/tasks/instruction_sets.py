"""Instruction tasks: those of the papers, and word problems that the project generates.

CDVFT Table 3 has Alpaca and GSM8K; C3A Table 3 has GSM8K, MATH, ViGGO and SQL.
"""

from .instructions import InstructionTask
from .scoring import answers, comparisons, formulas

NUMBER = "'#### NUMBER' at the end, or only the number"
FORMULA = r"a closed '\boxed{...}', 'The answer is ...', or only the formula"


def _alpaca(row: dict) -> str:
    return f"{row['instruction']}\n\n{row['input']}" if row.get("input") else row["instruction"]


TASKS = {
    task.name: task
    for task in (
        InstructionTask(
            "word_problems",
            ("question", "answer"),
            lambda row: row["question"],
            comparisons.same_number,
            has_answer=answers.has_number,
            expected=NUMBER,
            max_new_tokens=48,
            group="kind",
        ),
        InstructionTask(
            "gsm8k",
            ("question", "answer"),
            lambda row: row["question"],
            comparisons.same_number,
            ("openai/gsm8k", "main"),
            answers.has_number,
            NUMBER,
        ),
        InstructionTask(
            "math",
            ("problem", "solution"),
            lambda row: row["problem"],
            comparisons.same_mathematics,
            ("DigitalLearningGmbH/MATH-lighteval",),
            formulas.has_formula,
            FORMULA,
            max_new_tokens=512,
            by_value=True,
        ),
        InstructionTask(
            "viggo",
            ("target", "meaning_representation"),
            lambda row: f"Write the meaning representation of this sentence.\n\n{row['target']}",
            comparisons.same_meaning,
            ("GEM/viggo",),
            max_new_tokens=128,
            publisher_names=(("mr", "meaning_representation"), ("ref", "target")),
        ),
        InstructionTask(
            "sql",
            ("context", "question", "answer"),
            lambda row: f"{row['context']}\n\nWrite an SQL query that answers: {row['question']}",
            comparisons.same_query,
            ("b-mc2/sql-create-context",),
            max_new_tokens=128,
            share=0.125,
        ),
        InstructionTask("alpaca", ("instruction", "output"), _alpaca, None, ("tatsu-lab/alpaca",), optional="input"),
    )
}
