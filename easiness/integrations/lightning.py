"""Callback for Lightning's Trainer."""

import math
from collections.abc import Callable, Collection

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader

from easiness.integrations.passes import record_pass, wanted
from easiness.runs.recorder import Recorder


class EasinessCallback(Callback):
    """Record every training example's loss while a LightningModule is fitted, as one trial.

    Parameters
    ----------
    labels : array of int
        (N,) labels of the training set.
    dataloader : DataLoader
        Of the training set in the order of the labels, without augmentation; its sampler is not used.
    epochs : collection of int, optional
        Epochs, counted from 1, at whose end examples are measured; every epoch if not given.
    logits : callable, optional
        From the module and a batch on its device to (B, K) logits; `module(batch[0])` if not given.
    **options
        Of `easiness.Recorder`: ids, class_names, images, name, model, trial, weights …
    """

    def __init__(
        self,
        labels: ArrayLike,
        dataloader: DataLoader,
        *,
        epochs: Collection[int] | None = None,
        logits: Callable[[LightningModule, object], torch.Tensor] | None = None,
        **options: object,
    ) -> None:
        self._labels, self._dataloader, self._epochs, self._options = labels, dataloader, epochs, options
        self._logits = logits or (lambda module, batch: module(batch[0]))
        self.recorder: Recorder | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the trial's run."""
        batches = trainer.num_training_batches
        known = {"model": type(pl_module).__name__}
        if math.isfinite(batches):
            known["updates_per_epoch"] = math.ceil(batches / trainer.accumulate_grad_batches)
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            known["schedule_epochs"] = trainer.max_epochs
        self.recorder = Recorder(self._labels, **known | self._options)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure all examples."""
        if not wanted(trainer.current_epoch + 1, self._epochs):
            return

        def logits(batch: object) -> torch.Tensor:
            with trainer.precision_plugin.forward_context():
                return self._logits(pl_module, trainer.strategy.batch_to_device(batch))

        record_pass(self.recorder, pl_module, self._dataloader, logits)
        logged = trainer.callback_metrics.items()
        metrics = {name: float(value) for name, value in logged if name not in ("epoch", "updates")}
        self.recorder.checkpoint(trainer.global_step, epoch=trainer.current_epoch + 1, **metrics)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the trial."""
        self.recorder.finish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the trial's run as FAILED or KILLED."""
        if self.recorder is not None:
            self.recorder.fail("KILLED" if isinstance(exception, KeyboardInterrupt) else "FAILED")
