"""Runs on images: what is learnt, recorded and saved, and which images and checkpoints are accepted."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset, DatasetDict
from peft import PeftModel
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, Trainer, ViTConfig, ViTModel
from transformers import ViTForImageClassification as Classifier

from circpeft import methods, results, tasks, training
from tests.versions import LOADS_OPTIMIZERS

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
SIDE = 16
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": SIDE, "width": SIDE},
}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2}
RATES = {"full": 3e-3, "c3a": 3e-2, "cdvft": 1e-2, "head": 1e-2}


def save_vit(folder: Path, model: type = ViTModel, **settings) -> str:
    torch.manual_seed(0)
    model(ViTConfig(image_size=SIDE, patch_size=8, initializer_range=0.1, **SIZES, **settings)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return str(folder)


def save_images(folder: Path, count: dict[str, int], mode: str = "RGB", size: int = 20) -> str:
    """Save ``count`` images of each colour for every split, in different shades."""
    draw = torch.Generator().manual_seed(0)
    for split, images in count.items():
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(images):
                shade = torch.randint(-40, 41, (3,), generator=draw).tolist()
                seen = tuple(min(255, max(0, value + change)) for value, change in zip(colour, shade, strict=True))
                picture = Image.new("RGB", (size, size + number % 3), seen)
                picture = (picture.convert("L") if mode == "I;16" else picture).convert(mode)
                picture.save(folder / split / name / f"{number}.png")
    return str(folder)


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory) -> str:
    return save_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> str:
    return save_images(tmp_path_factory.mktemp("colours"), {"train": 16, "validation": 6, "test": 6})


@pytest.fixture
def image_recipe(recipe, tiny_vit, colours):
    def make(method: str = "c3a", **settings):
        rates = {"learning_rate": RATES[method], "head_learning_rate": RATES["head"]}
        defaults = {"task": "images", "model": tiny_vit, "data_dir": colours, "target_modules": "all-linear"}
        return recipe(method, **{**defaults, **rates, "batch_size": 8} | settings)

    return make


@torch.no_grad()
def classes_one_by_one(model, folder: str, data_dir: str) -> list[int]:
    """Return the classes of the test images, one at a time: no batches, no Trainer."""
    processor, model = AutoImageProcessor.from_pretrained(folder), model.eval()
    rows = tasks.load("images", data_dir)[0]["test"]
    return [model(**processor(row["image"].convert("RGB"), return_tensors="pt")).logits.argmax().item() for row in rows]


@pytest.mark.parametrize("method", ["full", "c3a", "cdvft"])
def test_colours_are_learnt_and_recorded(image_recipe, tiny_vit, colours, method):
    made = image_recipe(method)
    result = training.run(made)
    assert result.score >= 0.9 and result.start_score < 0.7
    assert (result.metric, result.head_parameters) == ("accuracy", 3 * 32 + 3)
    assert result.rows == {"train": 48, "validation": 18, "test": 18} and len(result.start_predictions) == 18
    labels = tasks.load("images", colours)[0]["test"]["label"]
    right = [found == label for found, label in zip(result.predictions, labels, strict=True)]
    assert sum(right) / 18 == result.test_score
    assert sum(map(int.__eq__, result.start_predictions, labels)) / 18 == result.start_score
    for number, name in enumerate(COLOURS):
        of_class = [r for r, label in zip(right, labels, strict=True) if label == number]
        assert result.groups[name] == sum(of_class) / len(of_class)
    assert results.read(results.path_of(made.name, made.output_dir)) == result
    # The saved weights give the recorded predictions.
    folder = Path(made.output_dir) / ("models" if method == "full" else "adapters") / made.name
    if method == "full":
        saved = AutoModelForImageClassification.from_pretrained(folder)
        assert classes_one_by_one(saved, str(folder), colours) == result.predictions
    else:
        base = AutoModelForImageClassification.from_pretrained(tiny_vit, num_labels=3)
        assert classes_one_by_one(PeftModel.from_pretrained(base, folder), tiny_vit, colours) == result.predictions


def test_the_model_knows_the_names_of_the_classes(image_recipe, monkeypatch):
    seen = []
    monkeypatch.setattr(Trainer, "train", lambda self, **options: seen.append(self.model.config) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.run(image_recipe("head"))
    assert seen[0].id2label == {0: "blue", 1: "green", 2: "red"}
    assert seen[0].label2id == {"blue": 0, "green": 1, "red": 2}


def test_check_applies_methods_to_a_model_with_the_classes_of_the_data(image_recipe, monkeypatch):
    """Without classes a model has no head, and the method head would have nothing to train."""
    heads, real = [], methods.apply

    def applied(model, *arguments, **options):
        heads.append(model.classifier.out_features)
        return real(model, *arguments, **options)

    monkeypatch.setattr(methods, "apply", applied)
    training.check([image_recipe("head"), image_recipe("c3a")])
    assert heads == [3, 3]
    with pytest.raises(ValueError, match="block_size=12 does not divide"):
        training.check([image_recipe("c3a", hyperparameters={"block_size": 12})])


@pytest.mark.parametrize("method", ["head", "c3a"])
def test_a_checkpoint_with_other_classes_gets_a_new_head_that_trains(image_recipe, tmp_path, monkeypatch, method):
    other = save_vit(tmp_path / "other", Classifier, num_labels=5)
    heads, real = [], Trainer.train

    def watching(self, *arguments, **options):
        named = [(n, p) for n, p in self.model.named_parameters() if "classifier" in n and p.requires_grad]
        before = {name: p.detach().clone() for name, p in named}
        done = real(self, *arguments, **options)
        heads.extend((name, p.shape[0], (p - before[name]).abs().max().item()) for name, p in named)
        return done

    monkeypatch.setattr(Trainer, "train", watching)
    result = training.run(image_recipe(method, model=other, epochs=1))
    assert len(heads) == 2 and all(classes == 3 and moved > 1e-3 for _, classes, moved in heads)
    assert result.head_parameters == 99


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_grey_and_other_modes_of_images_are_accepted(image_recipe, tmp_path, mode):
    folder = save_images(tmp_path / "images", {"train": 4, "validation": 2, "test": 2}, mode)
    result = training.run(image_recipe("head", data_dir=folder, epochs=1))
    assert result.rows == {"train": 12, "validation": 6, "test": 6}


@pytest.mark.parametrize(("mode", "value"), [("I;16", 51 * 257), ("RGBA", (0, 0, 0, 204)), ("LA", (0, 204))])
def test_16_bits_and_transparency_reach_the_model(image_recipe, tiny_vit, mode, value):
    """The value is 51 of 255: once in 16 bits, and twice as transparent black on white."""
    rows = Dataset.from_dict({"image": [Image.new(mode, (20, 20), value)], "label": [0]})
    kind = training.KINDS["images"]
    encoded = kind.encode(DatasetDict(train=rows), None, kind.load_processor(tiny_vit), None, image_recipe())
    values = encoded["train"][0]["pixel_values"]
    assert values.shape == (3, SIDE, SIDE) and torch.allclose(values, torch.tensor(51 / 255 * 2 - 1), atol=1e-6)


@pytest.mark.parametrize("bytes_kept", [60, 200, 0])
def test_a_damaged_image_is_named_before_training(image_recipe, tmp_path, steps, bytes_kept):
    folder = save_images(tmp_path / "images", {"train": 4, "validation": 2, "test": 2}, size=200)
    damaged = Path(folder) / "train" / "blue" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:bytes_kept])
    for start in (training.run, lambda recipe: training.check([recipe])):  # `circpeft train` checks first
        with pytest.raises(ValueError, match="row 1 of split train .* is not a readable image") as raised:
            start(image_recipe("head", data_dir=folder))
        assert str(damaged) in str(raised.value)
    assert steps == []


@LOADS_OPTIMIZERS
@pytest.mark.parametrize("method", ["full", "c3a"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(image_recipe, same_when_resumed, method):
    same_when_resumed(image_recipe, method, epochs=2)


def test_a_model_that_cannot_be_downloaded_is_named(image_recipe, monkeypatch):
    """The config is loaded first: for a missing image processor transformers does not name the cause."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="'no-one/no-model' is not in the cache and the hub cannot be reached"):
        training.check([image_recipe("c3a", model="no-one/no-model")])


def test_a_folder_without_an_image_processor_is_named(image_recipe, tmp_path, tiny_vit, steps):
    ViTModel.from_pretrained(tiny_vit).save_pretrained(tmp_path / "bare")
    with pytest.raises(OSError, match="bare.*preprocessor_config.json"):
        training.run(image_recipe("head", model=str(tmp_path / "bare")))
    assert steps == []


@pytest.mark.parametrize("method", ["full", "head", "c3a"])
def test_the_best_epoch_is_loaded_again(image_recipe, monkeypatch, tmp_path, method):
    """transformers 5 saves ViT's weights under other names. The first epoch's have to be loaded all the same."""
    logits, scores = [], iter((0.0, 0.9, 0.1, 0.9))  # before training, two epochs, test

    def by_hand(prediction, task):
        logits.append(torch.as_tensor(prediction.predictions))
        return {"score": next(scores)}

    monkeypatch.setattr(training.kinds.classification, "score", by_hand)
    data_dir = save_images(tmp_path / "same", {"train": 16, "validation": 6})
    (tmp_path / "same" / "test").symlink_to(tmp_path / "same" / "validation")  # so that their logits can be compared
    result = training.run(image_recipe(method, epochs=2, data_dir=data_dir))
    _, first, second, tested = logits
    assert result.best_epoch == 1
    assert torch.equal(tested, first) and not torch.allclose(first, second, atol=1e-3)
