"""Hugging Face's Trainer with the callback, on 500 images, without a network."""

import mlflow
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import easiness
from easiness import tracking
from easiness.architectures.torchvision_import import import_torchvision
from tests.integrations.images import Pictures, drawn, told

import_torchvision()  # which transformers imports, whether its operators fit or not
reason = "needs transformers: pip install 'easiness[transformers]'"
transformers = pytest.importorskip("transformers", reason=reason)
pytest.importorskip("accelerate", reason=reason)

from easiness.integrations.transformers import EasinessCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers' own

CONFIG = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def collate(items):
    images, labels = zip(*items, strict=True)
    return {"pixel_values": torch.stack(images), "labels": torch.stack(labels)}


class Failing(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        raise ZeroDivisionError


def train(data, folder, *callbacks, seed=0, epochs=2):
    transformers.set_seed(seed)
    model = transformers.ViTForImageClassification(
        transformers.ViTConfig(**CONFIG, intermediate_size=32, num_labels=10, hidden_dropout_prob=0.1)
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=50,
        learning_rate=1e-2,
        seed=seed,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    transformers.Trainer(model, arguments, collate, Pictures(data, augmented=True), callbacks=list(callbacks)).train()
    return model


def callback_of(data, **options):
    plain = DataLoader(Pictures(data, augmented=False), batch_size=64, collate_fn=collate)
    return EasinessCallback(data.labels, plain, **told(data) | options)


@pytest.fixture(scope="module")
def data():
    return drawn()


def test_runs_of_the_callback_open_in_report(store, data, tmp_path):
    callbacks = [callback_of(data, trial=seed) for seed in range(2)]
    models = [train(data, tmp_path / "out", callback, seed=seed) for seed, callback in enumerate(callbacks)]
    trials = [callback.recorder.run_id for callback in callbacks]
    for model, trial in zip(models, trials, strict=True):
        pictures = Pictures(data, augmented=False)
        with torch.no_grad():
            logits = model.eval()(pixel_values=pictures.pixels).logits
        expected_N = torch.nn.functional.cross_entropy(logits, pictures.labels, reduction="none").numpy()
        found_TMN = tracking.read_trials([trial], "losses", (10, 20), data.fingerprint)
        np.testing.assert_allclose(found_TMN[-1, 0], expected_N, rtol=1e-4, atol=1e-5)
        assert mlflow.get_run(trial).info.status == "FINISHED"
    scores = easiness.collect(runs=trials, allow_outliers=True)
    assert (scores.model, scores.moment_name) == ("ViTForImageClassification", "20 updates (epoch 2 of 2)")
    page = easiness.report(runs=[scores.run_id], name="transformers").page.read_text()
    assert "ViTForImageClassification" in page


def test_measuring_changes_no_bit_of_the_training(store, data, tmp_path):
    callback = callback_of(data, epochs=[2])
    alone, watched = (train(data, tmp_path, *callbacks, epochs=3).state_dict() for callbacks in ((), (callback,)))
    assert callback.recorder.updates == (20,)
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_a_training_that_failed_is_closed_by_the_next(store, data, tmp_path):
    callback = callback_of(data)
    with pytest.raises(ZeroDivisionError):
        train(data, tmp_path, callback, Failing(), epochs=1)
    failed = callback.recorder.run_id
    train(data, tmp_path, callback, epochs=1)
    assert [mlflow.get_run(run_id).info.status for run_id in (failed, callback.recorder.run_id)] == [
        "FAILED",
        "FINISHED",
    ]
