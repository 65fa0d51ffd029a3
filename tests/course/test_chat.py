"""The form of notebook 10 that asks a model: both answers, markup as it is written, and what has no answer."""

from html.parser import HTMLParser

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import circpeft
from circpeft import models, tasks
from circpeft.course.chat import Answerer, Chat, Exchange

TASK = tasks.get("word_problems")
QUESTION = "Mia has 3 apples and buys 4 more. How many apples does Mia have?"


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    """Return what answers with the small LLaMA, and with a C3A adapter whose weights are random."""
    from peft import get_peft_model

    folder = models.resolve("small-llama")
    config = circpeft.C3AConfig(target_modules="all-linear", init_weights=False, alpha=2000.0, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    return Answerer(model, AutoTokenizer.from_pretrained(folder), TASK, in_chat=False, max_new_tokens=8)


@pytest.fixture
def form():
    """Return a function that makes a form whose answers are those of a function."""

    def make(answer=lambda question, adapted: f"{adapted}: {question}", **options) -> Chat:
        return Chat(answer, **options)

    return make


def tags(html: str) -> set[str]:
    """Return the names of the elements in a text in HTML."""
    found: set[str] = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda name, attributes: found.add(name)
    parser.feed(html)
    return found


def test_the_answers_are_those_of_the_model_without_and_with_its_adapter(answerer):
    plain = AutoModelForCausalLM.from_pretrained(models.resolve("small-llama"))
    ids = answerer.tokenizer(TASK.prompt({"question": QUESTION}), return_tensors="pt")["input_ids"]
    expected = plain.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    before, after = answerer(QUESTION, adapted=False), answerer(QUESTION, adapted=True)
    assert before == answerer.tokenizer.decode(expected, skip_special_tokens=True)
    assert before != after and answerer(QUESTION, adapted=False) == before
    assert all(len(answerer.tokenizer(text, add_special_tokens=False)["input_ids"]) <= 9 for text in (before, after))


def test_a_question_is_answered_by_both_and_the_newest_comes_first(answerer):
    chat = Chat(answerer, QUESTION, [Exchange("an earlier question", "no", "yes")])
    chat.button.click()
    newest = chat.exchanges[0]
    assert newest == (QUESTION, answerer(QUESTION, False), answerer(QUESTION, True))
    assert chat.shown.value.index(QUESTION) < chat.shown.value.index("an earlier question")


def test_the_button_is_disabled_while_the_model_writes(form):
    seen = []

    def answer(question, adapted):
        seen.append((adapted, chat.button.disabled, chat.button.description, chat.status.value))
        return "4"

    chat = form(answer, question="2 + 2?", note="At most 8 tokens.")
    assert not chat.button.disabled and "At most 8 tokens." in chat.status.value
    chat.button.click()
    assert [(adapted, disabled, text) for adapted, disabled, text, _ in seen] == [
        (False, True, "Writing"),
        (True, True, "Writing"),
    ]
    assert "without the adapter" in seen[0][3] and "with the adapter" in seen[1][3]
    assert not chat.button.disabled and chat.button.description == "Ask" and "At most 8 tokens." in chat.status.value


@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_not_asked(form, question):
    chat = form(lambda *_: pytest.fail("was asked"), question=question)
    chat.button.click()
    assert "Type a question first." in chat.status.value and chat.exchanges == []


@pytest.mark.parametrize("fails_with_adapter", [False, True])
def test_a_failure_is_a_sentence_and_the_next_question_is_answered(form, fails_with_adapter):
    broken = [True]

    def answer(question, adapted):
        if broken[0] and adapted is fails_with_adapter:
            raise RuntimeError("out of <b>memory</b>")
        return "4"

    chat = form(answer, question="2 + 2?")
    chat.button.click()
    assert "The model gave no answer. RuntimeError: out of &lt;b&gt;memory" in chat.status.value
    assert chat.exchanges == [] and not chat.button.disabled
    broken[0] = False
    chat.button.click()
    assert chat.exchanges == [("2 + 2?", "4", "4")] and "no answer" not in chat.status.value


def test_an_interruption_passes_and_frees_the_button(form):
    def answer(question, adapted):
        raise KeyboardInterrupt

    chat = form(answer, question="2 + 2?")
    with pytest.raises(KeyboardInterrupt):
        chat.ask()
    assert "interrupted" in chat.status.value and not chat.button.disabled


def test_markup_in_questions_and_answers_is_shown_as_written(form):
    markup = "<img src=x onerror=alert(1)></td><script>alert(2)</script>&amp;"
    chat = form(lambda question, adapted: markup, question=markup)
    chat.button.click()
    for html in (chat.shown.value, chat._repr_mimebundle_()["text/html"]):
        assert not tags(html) & {"img", "script"} and "&lt;script&gt;" in html and "&amp;amp;" in html


def test_a_question_without_room_for_an_answer_is_a_sentence(answerer):
    chat = Chat(answerer, "apples " * 300)
    chat.button.click()
    assert "ValueError: the prompt has " in chat.status.value and "the model has 256 positions" in chat.status.value


def test_a_viewer_without_widgets_gets_the_table(form):
    bundle = form(exchanges=[Exchange("2 + 2?", "", "4")])._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "2 + 2?" in bundle["text/html"] and "(no text: the model ended its answer at once)" in bundle["text/html"]
    assert {"table", "caption", "th"} <= tags(bundle["text/html"]) and "VBox" not in bundle["text/plain"]


def test_a_model_without_an_adapter_and_no_token_are_refused(answerer):
    plain = answerer.model.get_base_model()
    with pytest.raises(TypeError, match="expected a model with an adapter, such as a PeftModel; got Linear"):
        Answerer(plain.lm_head, answerer.tokenizer, TASK, False, 8)
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1, got 0"):
        Answerer(answerer.model, answerer.tokenizer, TASK, False, 0)
