"""sentence-transformers: an adapter trains with its Trainer, resumes, and encodes the same after saving and loading."""

import numpy as np
import pytest
from transformers.trainer_utils import get_last_checkpoint

import circpeft

st = pytest.importorskip("sentence_transformers")
losses = pytest.importorskip("sentence_transformers.losses")
datasets = pytest.importorskip("datasets")

SENTENCES = ["the circle turns", "a square stands", "the row turns once", "a circle saw the row"]


@pytest.fixture(scope="module")
def base(tmp_path_factory, save_bert) -> str:
    return save_bert(tmp_path_factory.mktemp("bert"), "the a circle square row turns stands saw once".split())


@pytest.fixture
def train(tmp_path):
    """Return a function that trains a model for six steps, with a checkpoint after three; it returns the losses."""
    pairs = {"anchor": SENTENCES * 4, "positive": [text.replace("the", "a") for text in SENTENCES] * 4}

    def run(model: object, checkpoint: str | None = None) -> list[float]:
        arguments = st.SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "out"),
            max_steps=6,
            save_steps=3,
            per_device_train_batch_size=4,
            learning_rate=1e-2,
            logging_steps=1,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        )
        loss = losses.MultipleNegativesRankingLoss(model)
        rows = datasets.Dataset.from_dict(pairs)
        trainer = st.SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=loss)
        trainer.train(resume_from_checkpoint=checkpoint)
        return [row["loss"] for row in trainer.state.log_history if "loss" in row]

    return run


def adapted(base: str, method: object) -> object:
    """Return a SentenceTransformer with mean pooling and a new adapter, with the same weights at every call."""
    model = st.SentenceTransformer(base, device="cpu")
    model.add_adapter(method(target_modules=["query", "value"], init_weights=True))
    return model


def test_an_adapter_trains_is_saved_alone_and_encodes_the_same_when_loaded(base, method, train, tmp_path):
    model = adapted(base, method)
    before = model.encode(SENTENCES)
    assert np.array_equal(before, st.SentenceTransformer(base, device="cpu").encode(SENTENCES))
    assert all(method.prefix in name for name, weight in model.named_parameters() if weight.requires_grad)
    train(model)
    after = model.encode(SENTENCES)
    assert np.abs(after - before).max() > 1e-3
    model.save_pretrained(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "saved" / "model.safetensors").exists()
    loaded = st.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert np.array_equal(loaded.encode(SENTENCES), after)


def test_training_resumes_from_a_checkpoint(base, method, train, tmp_path):
    model = adapted(base, method)
    whole = train(model)
    last = get_last_checkpoint(str(tmp_path / "out"))
    assert last.endswith("checkpoint-6")
    resumed = adapted(base, method)
    assert train(resumed, last.replace("-6", "-3")) == whole
    assert np.array_equal(resumed.encode(SENTENCES), model.encode(SENTENCES))


def test_a_merged_model_is_saved_as_a_plain_one(base, method, tmp_path):
    model = st.SentenceTransformer(base, device="cpu")
    model.add_adapter(method(target_modules=["query", "value"]))
    expected = model.encode(SENTENCES)
    assert np.abs(expected - st.SentenceTransformer(base, device="cpu").encode(SENTENCES)).max() > 1e-2
    circpeft.merge(model)
    model.save_pretrained(str(tmp_path / "merged"))
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert not list((tmp_path / "merged").glob("adapter_*"))
    plain = st.SentenceTransformer(str(tmp_path / "merged"), device="cpu")
    assert not any("adapters" in name for name in plain.state_dict())
    np.testing.assert_allclose(plain.encode(SENTENCES), expected, atol=1e-4)
