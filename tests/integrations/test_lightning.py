"""Lightning's Trainer with the callback, on 500 images."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import easiness
from easiness import tracking
from easiness.architectures.torchvision_import import import_torchvision
from tests.integrations.images import Pictures, drawn, network, told

import_torchvision()  # which Lightning imports, whether its operators fit or not
lightning = pytest.importorskip("lightning.pytorch", reason="needs lightning: pip install 'easiness[lightning]'")

from easiness.integrations.lightning import EasinessCallback  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning's own


class Classifier(lightning.LightningModule):
    def __init__(self, fails_at=None):
        super().__init__()
        self.network, self.fails_at = network(), fails_at

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch, number):
        if self.global_step == self.fails_at:
            raise ZeroDivisionError
        images, labels = batch
        loss = torch.nn.functional.cross_entropy(self(images), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.05, 0.9)


def fit(data, *callbacks, seed=0, epochs=2, fails_at=None):
    lightning.seed_everything(seed, verbose=False)
    module = Classifier(fails_at)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(Pictures(data, augmented=True), batch_size=50, shuffle=True))
    return module


def callback_of(data, **options):
    plain = DataLoader(Pictures(data, augmented=False), batch_size=64)
    return EasinessCallback(data.labels, plain, **told(data) | options)


@pytest.fixture(scope="module")
def data():
    return drawn()


def test_runs_of_the_callback_open_in_report(store, data):
    callbacks = [callback_of(data, trial=seed) for seed in range(2)]
    modules = [fit(data, callback, seed=seed) for seed, callback in enumerate(callbacks)]
    trials = [callback.recorder.run_id for callback in callbacks]
    for module, trial in zip(modules, trials, strict=True):
        pictures = Pictures(data, augmented=False)
        with torch.no_grad():
            logits = module.eval()(pictures.pixels)
        expected_N = torch.nn.functional.cross_entropy(logits, pictures.labels, reduction="none").numpy()
        found_TMN = tracking.read_trials([trial], "losses", (10, 20), data.fingerprint)
        np.testing.assert_allclose(found_TMN[-1, 0], expected_N, rtol=1e-4, atol=1e-5)
        run = mlflow.get_run(trial)
        assert (run.info.status, run.data.metrics["train_loss"] > 0) == ("FINISHED", True)
    scores = easiness.collect(runs=trials, allow_outliers=True)
    assert (scores.model, scores.moment_name) == ("Classifier", "20 updates (epoch 2 of 2)")
    page = easiness.report(runs=[scores.run_id], name="lightning").page.read_text()
    assert "Classifier" in page


def test_measuring_changes_no_bit_of_the_training(store, data):
    callback = callback_of(data, epochs=[2])
    alone, watched = (fit(data, *callbacks, epochs=3).state_dict() for callbacks in ((), (callback,)))
    assert callback.recorder.updates == (20,)
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_a_fit_that_fails_ends_the_run(store, data):
    callback = callback_of(data)
    with pytest.raises(ZeroDivisionError):
        fit(data, callback, fails_at=3)
    assert mlflow.get_run(callback.recorder.run_id).info.status == "FAILED"


def test_other_data_than_the_labels_are_refused(store, data):
    callback = EasinessCallback(data.labels[:-1], DataLoader(Pictures(data, augmented=False), batch_size=64))
    with pytest.raises(ValueError, match="the dataloader has 500 examples, and labels are 499"):
        fit(data, callback, epochs=1)


PROGRAM = """
import sys
import torch
from torch import distributed
from torch.utils.data import DataLoader
from easiness.architectures.torchvision_import import import_torchvision
import_torchvision()
import lightning.pytorch as lightning
from tests.integrations.images import Pictures, drawn
from tests.integrations.test_lightning import Classifier, callback_of

data = drawn().subset(range(101))
callback = callback_of(data)
module = Classifier()
trainer = lightning.Trainer(
    max_epochs=2, callbacks=[callback], accelerator="cpu", devices=2, strategy="ddp", logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(module, DataLoader(Pictures(data, augmented=True), batch_size=10, shuffle=True))
if distributed.get_rank() == 0:
    torch.save(module.state_dict(), sys.argv[1])
    print(callback.recorder.run_id)
"""


@pytest.mark.slow
def test_two_processes_record_one_trial(store, data, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "program.py"]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONWARNINGS": "ignore", "MLFLOW_TRACKING_URI": store}
    done = subprocess.run([*command, "weights.pt"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    part = data.subset(range(101))
    pictures, module = Pictures(part, augmented=False), Classifier()
    module.load_state_dict(torch.load("weights.pt", weights_only=True))
    with torch.no_grad():
        logits = module.eval()(pictures.pixels)
    expected_N = torch.nn.functional.cross_entropy(logits, pictures.labels, reduction="none").numpy()
    found_TMN = tracking.read_trials([done.stdout.split()[-1]], "losses", (6, 12), part.fingerprint)
    np.testing.assert_allclose(found_TMN[-1, 0], expected_N, rtol=1e-4, atol=1e-5)
