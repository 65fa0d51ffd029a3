"""Chat templates: the prompt of a conversation, and the token that ends the model's answer."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from ..recipes import Recipe
from ..tasks import AnyTask, InstructionTask

SAMPLE, ANSWER = "1 + 1?", "answer"


def used(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the prompts of a run are in the chat template of its model.

    ``chat_template="auto"`` uses the template if the tokenizer has one.
    """
    return bool(tokenizer.chat_template if recipe.chat_template == "auto" else recipe.chat_template)


def check(recipe: Recipe, task: AnyTask, tokenizer: Any, rows: int | None) -> None:
    """Raise ValueError for a chat template that is asked for and cannot be used.

    Args:
        recipe: the settings.
        task: their task.
        tokenizer: the model's tokenizer, or image processor.
        rows: number of the model's embeddings; None if it has no such table.
    """
    if task.kind != "instructions":
        if recipe.chat_template is True:
            raise ValueError(
                f"chat_template=True is for instructions, and task {task.name!r} is of kind {task.kind}; leave it at "
                f"'auto'"
            )
        return
    if recipe.chat_template is True and not tokenizer.chat_template:
        raise ValueError(
            f"chat_template=True, but the tokenizer of model {recipe.model!r} has no chat template; set it to 'auto' "
            f"or False, or choose a model that was trained on conversations"
        )
    if not used(recipe, tokenizer):
        return
    try:
        ids = prompt(SAMPLE, tokenizer)
        ids = [*ids, end(tokenizer)]
    except Exception as error:  # a template is a program: it may raise anything
        raise ValueError(
            f"the chat template of model {recipe.model!r} cannot write a user's message: {error}; set "
            f"chat_template=False"
        ) from error
    if rows is not None and max(ids) >= rows:
        raise ValueError(
            f"the chat template of model {recipe.model!r} has the token {tokenizer.convert_ids_to_tokens(max(ids))!r} "
            f"with the ID {max(ids)}, and the model has only {rows} embeddings; set chat_template=False, or call "
            f"model.resize_token_embeddings({max(len(tokenizer), max(ids) + 1)}) and save the model again"
        )


def prompt(instruction: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token IDs of a conversation up to where the answer to an instruction begins."""
    messages = [{"role": "user", "content": instruction}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]  # the template writes them


def prompt_of(task: InstructionTask, row: Any, tokenizer: PreTrainedTokenizerBase, in_chat: bool) -> list[int]:
    """Return the token IDs of a row's prompt, up to where the answer begins.

    Args:
        task: the row's task. Its template is used if ``in_chat`` is False.
        row: the row.
        tokenizer: the model's tokenizer.
        in_chat: whether the prompt is in the model's chat template.
    """
    if in_chat:
        return prompt(task.instruction(row).strip(), tokenizer)
    ids = tokenizer(task.prompt(row))["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids  # some tokenizers end every text


def end(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the ID of the token that ends an answer in the chat template.

    It is the special token that the template writes after an answer, such as ``<|im_end|>``. A tokenizer may have
    another end-of-text token; it is taken where the template writes no special token.
    """
    messages = [{"role": "user", "content": SAMPLE}, {"role": "assistant", "content": ANSWER}]
    rest = tokenizer.apply_chat_template(messages, tokenize=False).rpartition(ANSWER)[2].strip()
    first = next(iter(tokenizer(rest, add_special_tokens=False)["input_ids"]), tokenizer.eos_token_id)
    added = tokenizer.added_tokens_decoder.get(first)
    return first if added is not None and added.special else tokenizer.eos_token_id
