"""Chat templates: which runs use them, the tokens in the loss, the end of an answer, and what the record says."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from circpeft import tasks, training
from circpeft.training import chat, generation
from circpeft.training.kinds import instructions

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
BROKEN = "{{ raise_exception('only with a system prompt') }}"


@pytest.fixture(scope="module")
def with_template(tmp_path_factory, tiny_llama):
    """Return a function that gives the folder of the tiny LLaMA with a chat template, and room for its tokens."""

    def make(template: str, room: bool = True) -> str:
        folder = Path(shutil.copytree(tiny_llama, tmp_path_factory.mktemp("chat") / "model"))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens([AddedToken(name, special=True) for name in ("<|im_start|>", "<|im_end|>")])
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        if room:
            model = AutoModelForCausalLM.from_pretrained(folder)
            model.resize_token_embeddings(len(tokenizer))
            model.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture(scope="module")
def chat_llama(with_template) -> str:
    return with_template(CHATML)


def test_prompt_and_labels_are_those_of_the_template(instruction, chat_llama):
    made = instruction(model=chat_llama)
    tokenizer, config = AutoTokenizer.from_pretrained(chat_llama), AutoConfig.from_pretrained(chat_llama)
    task, (data, _) = tasks.get(made.task), tasks.load(made.task, made.data_dir)
    encoded = training.KINDS["instructions"].encode(data, task, tokenizer, config, made)
    row, source = encoded["train"][0], data["train"][0]
    messages = [{"role": "user", "content": source["question"]}, {"role": "assistant", "content": source["answer"]}]
    assert tokenizer.decode(row["input_ids"]) + "\n" == tokenizer.apply_chat_template(messages, tokenize=False)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    answer = tokenizer(source["answer"], add_special_tokens=False)["input_ids"]
    assert row["labels"] == [instructions.IGNORED] * len(row["prompt"]) + [*answer, end]
    assert end != tokenizer.eos_token_id


@pytest.mark.parametrize(("template", "end"), [(CHATML, "<|im_end|>"), (PLAIN, "</s>")])
def test_the_end_of_an_answer_is_what_the_template_writes_after_it(with_template, template, end):
    tokenizer = AutoTokenizer.from_pretrained(with_template(template))
    assert tokenizer.convert_ids_to_tokens(chat.end(tokenizer)) == end


def test_an_answer_stops_at_the_end_of_its_turn_or_of_the_text(chat_llama, monkeypatch):
    model, tokenizer = (cls.from_pretrained(chat_llama) for cls in (AutoModelForCausalLM, AutoTokenizer))
    end, word = chat.end(tokenizer), tokenizer("say", add_special_tokens=False)["input_ids"][0]
    for last in (end, tokenizer.eos_token_id):
        written = iter([word, last, word, word])

        def forced(*arguments, written=written, **options):
            output = type(model).forward(model, *arguments, **options)
            output.logits = torch.zeros_like(output.logits)
            output.logits[..., next(written)] = 1.0
            return output

        monkeypatch.setattr(model, "forward", forced)
        [answer] = generation.write_answers(model, tokenizer, [[5, 6]], 4, progress=False, end=end)
        assert answer == tokenizer.decode([word]) and next(written) == word, "two tokens were generated"


@pytest.mark.parametrize("setting", ["auto", True, False])
def test_the_record_says_whether_the_template_was_used(instruction, chat_llama, setting):
    made = instruction(model=chat_llama, chat_template=setting, epochs=1, max_train=8, max_eval=2)
    result = training.run(made)
    assert result.chat_template is bool(setting)
    assert result.settings.get("chat_template", "auto") == setting


def test_auto_uses_no_template_where_there_is_none(instruction, recipe):
    made = instruction(epochs=1, max_train=8, max_eval=2)
    assert training.run(made).chat_template is False
    assert "chat_template" not in made.settings
    assert training.run(recipe("head", epochs=1, max_train=16)).chat_template is None


@pytest.fixture
def refused(instruction):
    """Return a function that asserts that check and prepare raise an error of one line."""

    def refuse(message: str, **settings) -> None:
        made = instruction("lora", **settings)
        for attempt in (training.prepare, lambda made: training.check([made])):
            with pytest.raises(ValueError, match=message) as caught:
                attempt(made)
            assert "\n" not in str(caught.value)

    return refuse


def test_a_template_that_is_not_there(refused):
    refused("chat_template=True, but the tokenizer of model .* has no chat template; set it to", chat_template=True)


def test_a_template_for_another_kind_of_task(recipe):
    with pytest.raises(ValueError, match="chat_template=True is for instructions, and task 'sst2' is of kind text"):
        training.check([recipe("lora", chat_template=True)])


def test_a_template_that_raises(refused, with_template):
    model = with_template(BROKEN)
    refused("cannot write a user's message: only with a system prompt; set chat_template=False", model=model)


def test_a_template_with_tokens_that_have_no_embedding(refused, instruction, with_template):
    model = with_template(CHATML, room=False)
    refused(r"has the token '<\|im_end\|>' with the ID \d+, and the model has only \d+ embeddings", model=model)
    training.check([instruction("lora", model=model, chat_template=False)])


def test_the_check_of_many_recipes_looks_at_each_setting_of_the_template(instruction):
    good = instruction("lora")
    with pytest.raises(ValueError, match="has no chat template"):
        training.check([good, dataclasses.replace(good, chat_template=True)])


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_wrong_value_is_refused(instruction, value):
    with pytest.raises(ValueError, match=f"chat_template must be True, False or 'auto', got {value!r}"):
        instruction(chat_template=value)
