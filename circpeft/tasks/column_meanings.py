"""What unused columns hold, by their names, and which kinds of tasks refuse them.

A column that would change what is learnt, such as weights of rows, is refused: without it, the run would not be the one
that the data asks for. `unused_columns` applies this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..data_folders.split_names import normalized

EVERY_KIND = ("text", "images", "instructions")


@dataclass(frozen=True)
class Meaning:
    """What columns of some names hold.

    Args:
        what: what they hold, in a few words.
        names: the names; capital letters, blanks, hyphens and underscores do not count.
        kinds: the kinds of tasks for which the names have this meaning.
        advice: what to do about a column that is refused. It may contain ``{question}`` and ``{answer}``, the first and
            the last column of the task. "" for a column that is only listed.
        numbers: whether such values can be numbers. Otherwise numbers are taken for counts or IDs, and the column is
            only listed.
    """

    what: str
    names: tuple[str, ...]
    kinds: tuple[str, ...] = EVERY_KIND
    advice: str = ""
    numbers: bool = True


WEIGHTS = Meaning(
    "weights of rows",
    ("weight", "weights", "sample_weight", "sample_weights", "row_weight", "example_weight", "loss_weight"),
    EVERY_KIND,
    "every row counts the same: remove the column, or repeat rows",
)
TURNS = Meaning(
    "turns of a conversation",
    ("history", "chat_history", "messages", "conversation", "conversations", "dialog", "dialogue", "turns"),
    ("instructions", "text"),
    "a row has only the turn in {question}: make a row of each turn, with the earlier ones in {question}",
    numbers=False,
)
MEANINGS = (
    WEIGHTS,
    TURNS,
    Meaning(
        "preferred or rejected answers",
        ("chosen", "rejected", "preferred", "preference", "chosen_response", "rejected_response", "margin"),
        ("instructions",),
        "only one answer is learnt: put it into {answer} and remove the column",
    ),
    Meaning(
        "system prompts",
        ("system", "system_prompt", "system_message"),
        ("instructions",),
        "put them into {question}, or remove the column",
    ),
    Meaning(
        "tools or calls of tools",
        ("tools", "functions", "tool_calls", "function_call", "function_calls"),
        ("instructions",),
        "put them into {question} and {answer} as text, or remove the column",
        numbers=False,
    ),
    Meaning(
        "further texts of a row",
        ("context", "input", "passage", "document", "background", "evidence", "knowledge", "choices", "options"),
        ("instructions",),
        "put them into {question}, or remove the column",
    ),
    Meaning(
        "second texts of a row",
        ("sentence2", "sentence_b", "text2", "text_b", "text_pair", "premise", "hypothesis", "context", "passage"),
        ("text",),
        "the model would not see them: put them into {question}, or remove the column",
    ),
    Meaning(
        "images, sound or video",
        ("image", "images", "image_path", "pixel_values", "audio", "audios", "speech", "video", "videos"),
        ("instructions", "text"),
        "the task reads only text: remove the column",
        numbers=False,
    ),
    Meaning(
        "soft labels",
        ("soft_label", "soft_labels", "label_probs", "label_probabilities", "probabilities", "probs", "logits"),
        ("text", "images"),
        "a row has one label: remove the column",
    ),
    Meaning(
        "positions of objects",
        ("bbox", "bboxes", "boxes", "bounding_box", "objects", "keypoints", "annotations"),
        ("images",),
    ),
    Meaning("masks", ("mask", "masks", "segmentation", "segmentation_mask"), ("images",)),
    Meaning("descriptions of images", ("caption", "captions", "text", "description", "alt_text"), ("images",)),
    Meaning("sound or video", ("audio", "audios", "speech", "video", "videos"), ("images",)),
    Meaning(
        "further labels",
        (
            "label",
            "labels",
            "label1",
            "label2",
            "label3",
            "fine_label",
            "coarse_label",
            "targets",
            "tags",
            "categories",
        ),
        ("text", "images"),
    ),
    Meaning("parts of the data", ("split", "partition", "subset", "set", "fold", "kfold", "is_train", "is_test")),
)
# Names of classes beside their numbers. They must agree with the labels.
LABEL_TEXTS = {*map(normalized, ("label_text", "label_name", "label_str", "label_string", "class_name"))}
SPLIT_COLUMNS = {*map(normalized, ("split", "partition", "subset", "set"))}
# These number the rows or say where they come from. They are not listed.
UNINTERESTING = {
    *map(
        normalized,
        (
            *("id", "idx", "index", "old_index", "guid", "uid", "uuid", "row_id", "example_id", "question_id"),
            *("gem_id", "gem_parent_id", "prompt_id", "image_id", "#1 ID", "#2 ID", "Unnamed: 0", "__index_level_0__"),
            *("source", "source1", "source2", "star", "url", "link", "license", "licence", "dataset", "genre", "year"),
            *("filename", "file_name", "path", "width", "height", "date", "timestamp", "author", "annotator", "hash"),
        ),
    )
}


def meaning_of(kind: str, column: str) -> Meaning | None:
    """Return what a column holds by its name; None for a name without a known meaning.

    >>> meaning_of("text", "Sample-Weight").what
    'weights of rows'
    """
    same = (m for m in MEANINGS if kind in m.kinds and normalized(column) in map(normalized, m.names))
    return next(same, None)
