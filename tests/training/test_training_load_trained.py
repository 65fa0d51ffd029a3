"""The trained model of a run, read back from disk."""

import shutil

import pytest
import torch

from circpeft import training


@pytest.mark.parametrize("method", ["c3a", "full"])
def test_the_trained_model_is_read_back(instruction, method):
    made = instruction(method, epochs=1)
    prepared = training.prepare(made)
    trained = training.train(prepared)
    training.record(prepared, trained)
    model, tokenizer = training.load_trained(made)
    ids = torch.tensor([tokenizer("### Instruction:\nsay 3")["input_ids"]])
    with torch.no_grad():
        expected = trained.trainer.model.eval()(input_ids=ids).logits
        assert torch.allclose(model(input_ids=ids).logits, expected, atol=1e-5) and not model.training
    shutil.rmtree(training.weights_of(made))
    with pytest.raises(FileNotFoundError, match=f"the weights of {made.name} are not at .*; train the run again"):
        training.load_trained(made)
