"""Columns that a task does not use: refused if they would change what is learnt, or else named."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Value
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.tasks.column_meanings import MEANINGS, meaning_of

ASKED = {"gsm8k": {"question": "1 + 1?", "answer": "#### 2"}, "alpaca": {"instruction": "Say a.", "output": "a"}}
ASKED |= {"sst2": {"sentence": "a b", "label": 0}, "rte": {"sentence1": "a", "sentence2": "b", "label": 0}}
ONE_EXCHANGE = [{"role": "user", "content": "Say a."}, {"role": "assistant", "content": "a"}]
SPLITS = ("train", "validation", "test")


def loaded(data_folder, task: str, **columns) -> str:
    """Return the line about data with these values of columns in every second row; two labels for texts."""
    rows = [{**ASKED[task], **dict.fromkeys(columns)}, {**ASKED[task], **columns}]
    if "label" in ASKED[task]:
        rows[0]["label"] = 1
    return tasks.load(task, data_folder("jsonl", **dict.fromkeys(SPLITS, rows)))[1]


@pytest.mark.parametrize(
    ("task", "column", "value", "advice"),
    [
        ("alpaca", "system", "You are a pirate.", "put them into 'instruction', or remove the column"),
        ("alpaca", "System Prompt", "You are a pirate.", "put them into 'instruction'"),
        ("alpaca", "history", [["Hello.", "Hi."]], "make a row of each turn, with the earlier ones in 'instruction'"),
        ("alpaca", "messages", [*ONE_EXCHANGE, *ONE_EXCHANGE], "make a row of each turn"),
        ("alpaca", "messages", [{"role": "system", "content": "Be brief."}, *ONE_EXCHANGE[:1]], "make a row of each"),
        (
            "alpaca",
            "messages",
            [ONE_EXCHANGE[0], {**ONE_EXCHANGE[1], "tool_calls": [{"name": "search"}]}],
            "make a row of each turn",
        ),
        ("alpaca", "turns", ["Say b.", "b"], "make a row of each turn"),
        ("alpaca", "context", "Say", "put them into 'instruction'"),
        ("alpaca", "context", "The letter a.", "put them into 'instruction'"),
        ("alpaca", "rejected", "b", "only one answer is learnt: put it into 'output'"),
        ("alpaca", "tools", [{"name": "search"}], "put them into 'instruction' and 'output' as text"),
        ("alpaca", "images", ["a.png"], "the task reads only text"),
        ("alpaca", "weight", 0.5, "every row counts the same: remove the column, or repeat rows"),
        ("gsm8k", "input", "Two apples.", "put them into 'question'"),
        ("gsm8k", "choices", ["1", "2"], "put them into 'question'"),
        ("sst2", "sampleWeight", 2.0, "every row counts the same"),
        ("sst2", "sentence2", "c", "the model would not see them: put them into 'sentence'"),
        ("rte", "context", "c", "put them into 'sentence1'"),
        ("rte", "premise", "another", "put them into 'sentence1'"),
        ("sst2", "soft_labels", [0.2, 0.8], "a row has one label"),
        ("sst2", "audio", "a.wav", "the task reads only text"),
    ],
)
def test_a_column_that_would_change_what_is_learnt_is_refused(data_folder, task, column, value, advice):
    said = f"split train of task '{task}' has a column '{column}' .*, which the task does not use: row 1 has .*{advice}"
    with pytest.raises(ValueError, match=said):
        loaded(data_folder, task, **{column: value})


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("alpaca", {"system": "", "history": [], "tools": None, "images": []}),
        ("alpaca", {"context": "Say a."}),  # what the instruction says
        ("alpaca", {"context": "b\nc", "input": "b\r\nc"}),
        ("alpaca", {"context": "It is red.", "input": "Given: it\nis red, or: It  is red. What is?"}),
        ("rte", {"premise": "a", "hypothesis": "b"}),
        ("sst2", {"id": "x1", "idx": 3, "source": "b", "URL": "c", "Unnamed: 0": 1}),
        ("sst2", {"weight": None}),
    ],
)
def test_a_column_that_adds_nothing_is_not_mentioned(data_folder, task, columns):
    assert loaded(data_folder, task, **columns) == "test: as published"


def test_one_weight_of_all_rows(data_folder):
    rows = [{"sentence": "a", "label": label, "weight": 0.5} for label in (0, 1)]
    assert tasks.load("sst2", data_folder(**dict.fromkeys(SPLITS, rows)))[1] == "test: as published"


@pytest.mark.parametrize(
    ("task", "columns", "named"),
    [
        ("sst2", {"aspect": "food", "idx": 1}, "aspect"),
        ("sst2", {"fold": 3, "labels": [0, 1]}, "fold (parts of the data), labels (further labels)"),
        ("gsm8k", {"rationale": "because"}, "rationale"),
        ("alpaca", {"turns": 2, "tools": 0.0, "images": 3}, "turns, tools, images"),
        ("sst2", {"video": 17}, "video"),
        ("alpaca", {"messages": ONE_EXCHANGE}, "messages (turns of a conversation)"),
        ("alpaca", {"text": "Say a. a"}, "text"),
    ],
)
def test_other_columns_are_named_once(data_folder, task, columns, named):
    assert loaded(data_folder, task, **columns) == f"test: as published; columns not used: {named}"


def test_a_column_of_the_test_split_only(data_folder):
    rows = [{**ASKED["alpaca"]}] * 2
    with pytest.raises(ValueError, match="split test of task 'alpaca' has a column 'system'"):
        tasks.load("alpaca", data_folder(train=rows, validation=rows, test=[{**rows[0], "system": "Be brief."}]))


@pytest.mark.parametrize("task", ["alpaca", "sst2"])
def test_a_missing_column_beside_turns_says_what_to_write(data_folder, task):
    rows = [{"messages": ONE_EXCHANGE}] * 2
    columns = {"alpaca": "instruction, output", "sst2": "sentence, label"}[task]
    with pytest.raises(
        ValueError, match=f"'messages' is not read: write each turn as a row with the columns {columns}$"
    ):
        tasks.load(task, data_folder(train=rows))


def test_a_missing_answer_beside_preferences_says_what_to_rename(data_folder):
    rows = [{"instruction": "Say a.", "chosen": "a", "rejected": "b"}] * 2
    with pytest.raises(
        ValueError, match="only one answer is learnt: rename 'chosen' to 'output' and remove 'rejected'"
    ):
        tasks.load("alpaca", data_folder(train=rows))


def test_a_row_of_another_split(data_folder):
    rows = [{"sentence": "a", "label": i % 2, "split": split} for i, split in enumerate(("train", "train", "test"))]
    said = (
        r"row 2 of split train of task 'sst2' has 'test' in column 'split'.*into a file of its own, such as test\.csv"
    )
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", data_folder(train=rows))
    agreeing = {split: [{**row, "split": split} for row in rows] for split in SPLITS}
    assert tasks.load("sst2", data_folder(**agreeing))[1] == "test: as published"
    other = {split: [{**row, "split": "easy"} for row in rows] for split in SPLITS}
    assert tasks.load("sst2", data_folder(**other))[1].endswith("; columns not used: split (parts of the data)")


@pytest.mark.parametrize(
    ("labels", "texts", "said"),
    [
        ((0, 1), ("negative", "positive"), None),
        ((0, 1), ("Negative", ""), None),
        ((0, 1, 1), ("bad", "good", "Good"), None),
        ((0, 1), ("positive", "negative"), r"row 0 .* has label 0 \(negative\), but 'positive' in column 'label_text'"),
        (("negative", "positive"), ("positive", "positive"), r"has label 'negative' \(negative\), but 'positive'"),
        ((0, 1, 1), ("bad", "good", "fine"), "row 2 .* label 1 and 'fine' .*, but row 1 has 'good' for this label"),
        ((0, 1, 1), ("bad", "bad", "bad"), "row 1 .* label 1 and 'bad' .*, but row 0 has label 0 for this name"),
    ],
)
def test_names_of_classes_have_to_agree_with_the_labels(data_folder, labels, texts, said):
    rows = [{"sentence": "a", "label": label, "label_text": text} for label, text in zip(labels, texts, strict=True)]
    folder = data_folder(**dict.fromkeys(SPLITS, rows))
    if said is None:
        assert tasks.load("sst2", folder)[1] == "test: as published"
    else:
        with pytest.raises(ValueError, match=said):
            tasks.load("sst2", folder)


def test_names_of_classes_in_another_split(data_folder):
    train = [{"sentence": "a", "label": i, "class_name": ["bad", "good"][i]} for i in (0, 1)]
    other = [{"sentence": "a", "label": str(i), "class_name": ["Bad", "good"][i]} for i in (1, 0)]
    assert tasks.load("sst2", data_folder(train=train, validation=train, test=other))[1] == "test: as published"
    for row in other:
        row["class_name"] = {"Bad": "good", "good": "bad"}[row["class_name"]]
    said = "row 0 of split test .* has label '1' and 'bad' .*, but row 1 of split train has 'good' for this label"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", data_folder(train=train, validation=train, test=other))


@pytest.mark.parametrize(
    ("name", "labels", "names", "feature"),
    [
        ("images", [1, 0], ["dog", "cat"], ClassLabel(names=["cat", "dog"])),
        ("images", [0, 1], ["Dog", ""], ClassLabel(names=["dog", "cat"])),
        ("sst2", [0, 1], ["dog", "cat"], ClassLabel(names=["1", "0"])),
        ("sst2", [-1, -1], ["", ""], Value("int64")),
    ],
)
def test_splits_may_number_their_classes_differently(name, labels, names, feature):
    task = tasks.get(name)
    train = {column: ["a", "b"] for column in task.columns} | {"label": [0, 1], "label_text": ["cat", "dog"]}
    other = train | {"label": labels, "label_text": names}
    of_train = ClassLabel(names=["cat", "dog"]) if name == "images" else Value("int64")
    splits = {
        split: Dataset.from_dict(columns).cast_column("label", kind)
        for split, columns, kind in (("train", train, of_train), ("test", other, feature))
    }
    assert tasks.unused_columns(task, DatasetDict(splits)) == []


def test_columns_of_images(image_folder, data_folder):
    image_folder(pictures={"own": 4})
    rows = [
        {
            "image": f"pictures/own/{i}.png",
            "label": i % 2,
            "caption": f"a {i}",
            "bbox": [0, 0, 1, 1],
            "label_text": ["cat", "dog"][i % 2],
            "width": 4,
            "tags": ["pet", "small"],
        }
        for i in range(4)
    ]
    how = tasks.load("images", data_folder("jsonl", **dict.fromkeys(SPLITS, rows)))[1]
    named = "caption (descriptions of images), bbox (positions of objects), tags (further labels)"
    assert how == f"test: as published; columns not used: {named}"
    rows[1]["label_text"] = "cat"
    with pytest.raises(ValueError, match="row 1 .* label 1 and 'cat' .*, but row 0 has label 0 for this name"):
        tasks.load("images", data_folder("jsonl", **dict.fromkeys(SPLITS, rows)))
    for row in rows:
        row |= {"label_text": "", "sample_weight": row["label"]}
    with pytest.raises(ValueError, match="'sample_weight' .weights of rows., which the task does not use: row 1 has 1"):
        tasks.load("images", data_folder("jsonl", **dict.fromkeys(SPLITS, rows)))


def test_a_column_that_a_published_one_replaces_is_named():
    pictures = [Pillow.new("L", (4, 4), shade) for shade in (0, 9)]
    rows = Dataset.from_dict({"img": pictures, "fine_label": [0, 1], "coarse_label": [5, 6], "label": [1, 1]})
    named = tasks.unused_columns(tasks.get("cifar100"), DatasetDict(train=rows))
    assert named == ["coarse_label (further labels)", "label (further labels)"]


@pytest.mark.parametrize("name", tasks.TASKS)
def test_no_task_has_its_own_columns_refused(name):
    task = tasks.get(name)
    used = task.used_columns(task.columns)
    rows = Dataset.from_dict({column: ["a", "b"] for column in used})
    assert {*task.columns} <= {*used} and tasks.unused_columns(task, DatasetDict(train=rows)) == []


def test_a_name_has_one_meaning_for_a_kind():
    for meaning in MEANINGS:
        for kind in meaning.kinds:
            assert {meaning_of(kind, name) for name in meaning.names} == {meaning}
