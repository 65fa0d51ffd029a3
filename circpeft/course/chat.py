"""A form that puts a question to a fine-tuned language model, without and with its adapter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from ..escaping import html
from ..tasks import InstructionTask
from ..training import chat, generation, tokens

CELL = "padding: .3em .8em; text-align: left; vertical-align: top; white-space: pre-wrap; overflow-wrap: anywhere"
TABLE = "width: 100%; max-width: 1000px; table-layout: fixed; line-height: 1.4"  # columns of one width
HEADINGS = ("question", "without the adapter", "with the adapter")
EMPTY = "(no text: the model ended its answer at once)"


class Exchange(NamedTuple):
    """A question with both answers: those of the model without and with its adapter."""

    question: str
    before: str
    after: str


class Answerer:
    """Answers a question by greedy decoding, with the prompt that the model was trained with.

    Args:
        model: a causal language model with an adapter, such as a `PeftModel`. Its adapter must not be merged.
        tokenizer: its tokenizer.
        task: the task whose prompt is used if ``in_chat`` is False.
        in_chat: whether the prompt is in the model's chat template.
        max_new_tokens: the largest number of tokens of an answer.

    Raises: TypeError for a model without `disable_adapter`; ValueError for ``max_new_tokens`` below 1.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        task: InstructionTask,
        in_chat: bool,
        max_new_tokens: int,
    ) -> None:
        if not hasattr(model, "disable_adapter"):
            raise TypeError(f"expected a model with an adapter, such as a PeftModel; got {type(model).__name__}")
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        # A question stands where the task has a row.
        self.model, self.tokenizer, self.task = model, tokenizer, replace(task, instruction=str)
        self.in_chat, self.max_new_tokens = in_chat, max_new_tokens
        self.end = chat.end(tokenizer) if in_chat else None

    def __call__(self, question: str, adapted: bool) -> str:
        """Return the answer to a question, of at most ``max_new_tokens`` tokens.

        Args:
            question: the question.
            adapted: whether the adapter is enabled.

        Raises: ValueError for a question that leaves no position for an answer; whatever the model raises.
        """
        ids = chat.prompt_of(self.task, question, self.tokenizer, self.in_chat)
        positions = tokens.longest(sys.maxsize, self.tokenizer, self.model.config)
        if len(ids) >= positions:
            raise ValueError(f"the prompt has {len(ids)} tokens, and the model has {positions} positions; ask less")
        with nullcontext() if adapted else self.model.disable_adapter():
            [answer] = generation.write_answers(
                self.model, self.tokenizer, [ids], self.max_new_tokens, progress=False, end=self.end
            )
        return answer


class Chat:
    """A box for a question, a button, and a table of questions with both answers, the newest first.

    Each question stands for itself: the model does not see the earlier ones. While it writes, the button is disabled.
    A viewer without widgets shows the table only.

    Args:
        answer: function from a question, and whether the adapter is enabled, to an answer: an `Answerer`.
        question: the text that the box begins with.
        exchanges: questions that were answered before.
        note: a sentence under the box, such as the limit of an answer.
    """

    def __init__(
        self,
        answer: Callable[[str, bool], str],
        question: str = "",
        exchanges: Iterable[Exchange] = (),
        note: str = "",
    ) -> None:
        import ipywidgets as widgets

        self.answer, self.exchanges, self.note = answer, list(exchanges), note
        self.question = widgets.Textarea(
            description="Question",
            value=question,
            placeholder="Type a question, then press Ask",
            rows=4,
            layout={"width": "95%", "max_width": "900px"},
        )
        self.button = widgets.Button(button_style="primary")
        self.status, self.shown = widgets.HTML(), widgets.HTML()
        self.box = widgets.VBox([self.question, widgets.HBox([self.button, self.status]), self.shown])
        self.button.on_click(lambda _: self.ask())
        self._set_busy(False)
        self._say(note)
        self.shown.value = self.to_html()

    def ask(self) -> None:
        """Answer the question in the box without and with the adapter. A failure is shown as a sentence."""
        question = self.question.value.strip()
        if not question:
            self._say("Type a question first.")
            return
        outcome = "The answer was interrupted."
        self._set_busy(True)
        try:
            self._say("The model writes its answer without the adapter ...")
            before = self.answer(question, False)
            self._say("The model writes its answer with the adapter ...")
            self.exchanges.insert(0, Exchange(question, before, self.answer(question, True)))
            self.shown.value = self.to_html()
            outcome = self.note
        except Exception as error:  # of any kind: a widget's traceback goes to a log that learners do not see
            outcome = f"The model gave no answer. {type(error).__name__}: {error}"
        finally:
            self._say(outcome)
            self._set_busy(False)

    def to_html(self) -> str:
        """Return the questions and answers as a table in HTML. Markup in them is shown as it is written."""
        if not self.exchanges:
            return ""
        head = "".join(f'<th scope="col" style="{CELL}">{heading}</th>' for heading in HEADINGS)
        rows = "".join(f"<tr>{''.join(map(_cell, exchange))}</tr>" for exchange in self.exchanges)
        caption = '<caption style="text-align: left">Questions and answers, the newest first</caption>'
        return f'<table style="{TABLE}">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def _set_busy(self, busy: bool) -> None:
        self.button.disabled = busy
        self.button.description, self.button.icon = ("Writing", "spinner spin") if busy else ("Ask", "comment")

    def _say(self, sentence: str) -> None:
        self.status.value = f'<span role="status">{html(sentence)}</span>'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widgets, and the table for viewers that cannot show widgets."""
        static = f"<p>In JupyterLab (circpeft lab), this is a form that asks the model a question.</p>{self.to_html()}"
        return {**self.box._repr_mimebundle_(), "text/html": static, "text/plain": "Form: ask the model a question"}


def _cell(text: str) -> str:
    return f'<td style="{CELL}">{html(text.strip()) or EMPTY}</td>'
