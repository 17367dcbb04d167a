"""Callback for the Trainer of Hugging Face's transformers."""

from collections.abc import Callable, Collection, Mapping

import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from easiness.integrations.passes import record_pass, wanted
from easiness.runs.recorder import Recorder


def classify(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Logits of a classification network."""
    return model(**{name: values for name, values in batch.items() if name != "labels"}).logits


class EasinessCallback(TrainerCallback):
    """Record every training example's loss while a Trainer trains a classifier, as one trial.

    Parameters
    ----------
    labels : array of int
        (N,) labels of the training set.
    dataloader : DataLoader
        Of the training set in the order of the labels, without augmentation, with the collation of the Trainer; its
        sampler is not used.
    epochs : collection of int, optional
        Epochs, counted from 1, at whose end examples are measured; every epoch if not given.
    logits : callable, optional
        From the network and a batch on its device to (B, K) logits; the output's `logits` if not given.
    **options
        Of `easiness.Recorder`: ids, class_names, images, name, model, trial, weights …
    """

    def __init__(
        self,
        labels: ArrayLike,
        dataloader: DataLoader,
        *,
        epochs: Collection[int] | None = None,
        logits: Callable[[nn.Module, Mapping[str, torch.Tensor]], torch.Tensor] = classify,
        **options: object,
    ) -> None:
        self._labels, self._dataloader, self._epochs, self._options = labels, dataloader, epochs, options
        self._logits = logits
        self.recorder: Recorder | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Open the trial's run."""
        if self.recorder is not None:  # of a training that failed, which a callback is not told
            self.recorder.fail()
        model = kwargs["model"]
        known = {"model": type(model).__name__, "schedule_epochs": state.num_train_epochs}
        known["weights"] = getattr(model, "name_or_path", "") or "none"
        if state.max_steps % state.num_train_epochs == 0:
            known["updates_per_epoch"] = state.max_steps // state.num_train_epochs
        self.recorder = Recorder(self._labels, **known | self._options)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Measure all examples."""
        epoch, model = round(state.epoch), kwargs["model"]
        if not wanted(epoch, self._epochs):
            return

        def logits(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return self._logits(model, {name: values.to(args.device) for name, values in batch.items()})

        record_pass(self.recorder, model, self._dataloader, logits)
        self.recorder.checkpoint(state.global_step, epoch=epoch)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Log the trial."""
        self.recorder.finish()
