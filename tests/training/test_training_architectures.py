"""Other models than BERT, ViT and LLaMA: they train, and the saved weights give the recorded predictions."""

import json
import shutil
import warnings
from pathlib import Path

import papermill
import pytest
import torch
from peft import PeftModel
from PIL import Image
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    Siglip2ImageProcessor,
    ViTImageProcessor,
)

from circpeft import results, tasks, training
from tests.versions import needs

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2}
DECODES = {"decoder_attention_heads": 2, "encoder_attention_heads": 2, "decoder_ffn_dim": 64, "encoder_ffn_dim": 64}
# Sizes, and the number of C3A's parameters: a kernel of gcd(d_in, d_out) numbers for every square block.
TEXTS = {
    "bart": ({"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, **DECODES}, 640),
    "t5": ({"d_model": 32, "d_ff": 64, "num_layers": 1, "num_heads": 2, "d_kv": 16}, 640),
    "xlnet": ({"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}, 256),
    "gpt2": ({"n_embd": 32, "n_layer": 2, "n_head": 2}, 768),
    "deberta-v2": ({**SIZES, "relative_attention": True, "pos_att_type": ["c2p"]}, 576),
    "modernbert": ({**SIZES, "local_attention": 8}, 640),
}
TOWERS = {"vision_config": {**SIZES, "image_size": 16, "patch_size": 8}, "text_config": SIZES}
NATIVE = {"vision_config": {**SIZES, "num_patches": 16, "patch_size": 4}, "text_config": SIZES}
SWIN = {"embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2], "image_size": 16, "patch_size": 4, "window_size": 2}
PVT = {"image_size": 32, "hidden_sizes": [16] * 4, "depths": [1] * 4, "num_attention_heads": [1] * 4}
MOBILE = {"image_size": 32, "hidden_sizes": [16] * 3, "neck_hidden_sizes": [8] * 6 + [16]}
# Sizes, C3A's parameters, the head's parameters, and the tokens of an image.
IMAGES = {
    "clip": (TOWERS, 512, 3 * 33, 4),
    "siglip": (TOWERS, 640, 3 * 33, 4),
    "siglip2": (NATIVE, 736, 3 * 33, 1),
    "swin": (SWIN, 640, 3 * 33, 16),
    "pvt": (PVT, 1024, 3 * 17, 1),  # its config ignores the number of classes that is asked for
    "mobilevit": (MOBILE, 1152, 3 * 17, 256),  # with batch norms, which an adapter could not save
}
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def saved(auto: type, kind: str, sizes: dict, folder: Path) -> str:
    config = AutoConfig.for_model(kind, **sizes)
    config.architectures = [kind]
    torch.manual_seed(0)
    auto.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def text_model(tiny_model, tmp_path):
    """Return a function that saves a model of a type, with a tokenizer that ends texts as such models need it."""

    def make(kind: str, sizes: dict) -> str:
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        ends = {"eos_token_id": tokenizer.sep_token_id, "pad_token_id": tokenizer.pad_token_id}
        if kind in ("bart", "t5"):
            end = ("[SEP]", tokenizer.sep_token_id)
            tokenizer._tokenizer.post_processor = TemplateProcessing(single="$A [SEP]", special_tokens=[end])
            ends["decoder_start_token_id"] = tokenizer.cls_token_id
        tokenizer.save_pretrained(tmp_path / kind)
        sizes = {"vocab_size": len(tokenizer), **ends, **sizes}
        return saved(AutoModelForSequenceClassification, kind, sizes, tmp_path / kind)

    return make


@pytest.fixture
def logits(monkeypatch) -> list:
    """Return a list of the logits that were scored; the last are those of the test split."""
    seen, real = [], training.kinds.classification.score
    monkeypatch.setattr(
        training.kinds.classification, "score", lambda p, task: seen.append(p.predictions) or real(p, task)
    )
    return seen


NO_TOKEN_TYPES = needs("transformers", "5", "the forward of older versions takes no token types")
BY_LUCK = needs("transformers", "5", "with the random weights of older ones, the score starts too high or stays low")


@pytest.mark.parametrize("kind", [pytest.param(k, marks=NO_TOKEN_TYPES if k in ("bart", "t5") else ()) for k in TEXTS])
@torch.no_grad()
def test_text_models(recipe, text_model, data_dir, logits, kind):
    sizes, parameters = TEXTS[kind]
    folder = text_model(kind, sizes)
    made = recipe("c3a", model=folder, target_modules="all-linear", epochs=1, learning_rate=1e-2)
    with torch.enable_grad():
        result = training.run(made)
    assert result.trainable_parameters == parameters and result.head_parameters > 0 and result.spectra
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, ignore_mismatched_sizes=True)
    model = PeftModel.from_pretrained(base, training.weights_of(made)).eval()
    rows, tokenizer = tasks.load("sst2", data_dir)[0]["test"], AutoTokenizer.from_pretrained(folder)
    one_by_one = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in rows["sentence"]])
    torch.testing.assert_close(one_by_one, torch.as_tensor(logits[-1]), rtol=1e-4, atol=1e-4)
    assert one_by_one.argmax(-1).tolist() == result.predictions


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("colours")
    for split in ("train", "validation", "test"):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(6):
                seen = tuple(max(0, value - 9 * number) for value in colour)
                Image.new("RGB", (16, 16), seen).save(folder / split / name / f"{number}.png")
    return str(folder)


@pytest.mark.parametrize("kind", [pytest.param(k, marks=BY_LUCK if k in ("swin", "pvt") else ()) for k in IMAGES])
@torch.no_grad()
def test_image_models(recipe, colours, tmp_path, logits, kind):
    """The new head trains, also that of CLIP and SigLIP."""
    sizes, parameters, head, patches = IMAGES[kind]
    folder = saved(AutoModelForImageClassification, kind, sizes, tmp_path / kind)
    side = sizes.get("image_size", 16)
    prepared = ViTImageProcessor(size={"height": side, "width": side})
    if kind == "siglip2":
        prepared = Siglip2ImageProcessor(patch_size=4, max_num_patches=16)
    prepared.save_pretrained(folder)
    settings = {"model": folder, "data_dir": colours, "target_modules": "all-linear", "learning_rate": 1e-2}
    made = recipe("c3a", task="images", **settings, batch_size=6)
    with torch.enable_grad(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = training.run(made)
    assert (result.trainable_parameters, result.head_parameters) == (parameters, head)
    assert result.start_score < 0.7 and (result.score > 0.9 or kind == "mobilevit")
    unused = [str(w.message) for w in caught if "no gradient reached" in str(w.message)]
    if kind.startswith("siglip"):  # SigLIP has a pooling that is not used for classification
        [message] = unused
        assert "reached 2 trainable parameters" in message and "vision_model.head.mlp.fc1.circonv" in message
    else:
        assert not unused
    base = AutoModelForImageClassification.from_pretrained(folder, num_labels=3, ignore_mismatched_sizes=True)
    model, processor = (
        PeftModel.from_pretrained(base, training.weights_of(made)),
        AutoImageProcessor.from_pretrained(folder),
    )
    rows = tasks.load("images", colours)[0]["test"]["image"]
    one_by_one = torch.cat([model(**processor(image, return_tensors="pt")).logits for image in rows])
    torch.testing.assert_close(one_by_one, torch.as_tensor(logits[-1]), rtol=1e-4, atol=1e-4)
    assert one_by_one.argmax(-1).tolist() == result.predictions
    config = AutoConfig.from_pretrained(folder)
    assert training.KINDS["images"].count_tokens(rows, config) == patches * len(rows)


@pytest.mark.parametrize("method", ["full", "head", "bitfit", "lora"])
def test_batch_norms_of_a_frozen_model_do_not_change(recipe, colours, tmp_path, monkeypatch, method):
    """No adapter would save their statistics."""
    folder = saved(AutoModelForImageClassification, "mobilevit", MOBILE, tmp_path / "mobilevit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    models, real = [], training.base_model.load
    monkeypatch.setattr(training.base_model, "load", lambda *a: models.append(real(*a)) or models[-1])
    training.run(recipe(method, task="images", model=folder, data_dir=colours, target_modules="all-linear", epochs=1))
    known = AutoModelForImageClassification.from_pretrained(folder).state_dict()
    found = {name.removeprefix("base_model.model."): values for name, values in models[0].state_dict().items()}
    means = [name for name in known if name.endswith("running_mean")]
    assert len(means) > 20
    assert {torch.equal(found[name], known[name]) for name in means} == {method != "full"}


def test_a_model_without_a_class_for_the_task(recipe, instruction, text_model, colours, tiny_model, tmp_path):
    t5 = text_model("t5", TEXTS["t5"][0])
    with pytest.raises(
        ValueError, match=r"is a 't5', for which transformers has no ModelForCausalLM, as task 'gsm8k' needs"
    ):
        training.check([instruction("c3a", model=t5)])
    with pytest.raises(ValueError, match="is a 'bert', for which transformers has no ModelForImageClassification, as"):
        training.check([recipe("c3a", task="images", data_dir=colours, model=tiny_model)])
    swin = saved(AutoModelForImageClassification, "swin", IMAGES["swin"][0], tmp_path / "swin")
    with pytest.raises(FileNotFoundError, match="has no image processor; expected one of: preprocessor_config.json"):
        training.check([recipe("c3a", task="images", data_dir=colours, model=swin)])
    perceiver = {"num_latents": 2, "d_latents": 8, "d_model": 8, "num_blocks": 1, "num_self_attends_per_block": 1}
    folder = text_model("perceiver", {**perceiver, "num_self_attention_heads": 1, "num_cross_attention_heads": 1})
    for method in ("head", "lora"):
        with pytest.raises(ValueError, match="PerceiverForSequenceClassification keeps its head inside its base mod"):
            training.check([recipe(method, model=folder, target_modules="all-linear")])


@torch.no_grad()
def test_bert_as_a_language_model_does_not_see_later_tokens(instruction, tiny_llama, tmp_path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "bert"))
    (folder / "generation_config.json").unlink()
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    BertLMHeadModel(BertConfig(vocab_size=size, is_decoder=False, **SIZES)).save_pretrained(folder)
    made, kind = instruction("c3a", model=str(folder)), training.KINDS["instructions"]
    config = training.base_model.config_of(made, tasks.get("gsm8k"), kind, str(folder))
    model = training.base_model.load(made, kind, str(folder), config).eval()
    ids = torch.tensor([[4, 5, 6, 7], [4, 5, 6, 9]])
    first, second = model(input_ids=ids).logits
    torch.testing.assert_close(first[:3], second[:3])
    assert not torch.allclose(first[3], second[3])


@pytest.mark.full
@pytest.mark.parametrize(
    ("notebook", "task", "kind"), [("08_language_understanding", "sst2", "bart"), ("09_images", "images", "clip")]
)
def test_notebooks_with_other_models(text_model, data_dir, colours, tmp_path, notebook, task, kind):
    """The notebooks look into models and load the trained weights."""
    if task == "sst2":
        folder, data = text_model(kind, TEXTS[kind][0]), data_dir
    else:
        folder, data = saved(AutoModelForImageClassification, kind, IMAGES[kind][0], tmp_path / kind), colours
        ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    given = {"profile": "smoke", "task": task, "model": folder, "data_dir": data, "target_modules": "all-linear"}
    given |= {"methods": "head,c3a", "output_dir": str(tmp_path / "records")}
    done = papermill.execute_notebook(
        results.ROOT / "notebooks" / f"{notebook}.ipynb", tmp_path / "done.ipynb", given, progress_bar=False
    )
    printed = "".join(str(output.get("text", "")) for cell in done.cells for output in cell.get("outputs", []))
    assert "c3a: " in printed and " KiB on disk" in printed  # loaded, and the same when merged
