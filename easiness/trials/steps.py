"""Steps of a network: an update by its optimizer, and a measurement of a batch; eager, or captured and replayed.

A small network in eager mode keeps a GPU waiting for its kernels to be launched (171 in an update of WRN 16-4, 1,062 of
DenseNet-BC). Captured, a step is one launch of a graph, which computes the same kernels at the same addresses. So the
network that was captured serves all trials of its kind: each loads its weights in place. Nothing is compiled.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import nn

from easiness.architectures import build_model
from easiness.loaders.protocol import score_batch_size
from easiness.recipes.recipe import Recipe
from easiness.trials.distributed import ALONE, Ranks, share_gradients
from easiness.trials.evaluation import logit_metrics
from easiness.trials.precision import forward

LOG = logging.getLogger("easiness")

CAPTURE = ("auto", "true", "false", "compile")


def captures(capture: str, device: torch.device) -> bool:
    """Whether steps are captured; ValueError for a device that cannot."""
    if capture == "true" and device.type != "cuda":
        raise ValueError(f"capture is 'true', and the device is {device.type}, which has no graphs; use capture=auto")
    return capture in ("auto", "true") and device.type == "cuda"


# Runs of a step before it is captured: libraries choose their kernels and make their workspaces in them.
_WARM_UP = 3

# Tensors of a step's result, valid until the step is taken again.
Replay = Callable[[], tuple[torch.Tensor, ...]]


def make_optimizer(model: nn.Module, recipe: Recipe, head: Collection[str] = ()) -> torch.optim.Optimizer:
    """Optimizer of the recipe: plain momentum SGD (no Nesterov) or AdamW; `train` sets the rate at every update.

    On a GPU its steps can be captured.

    `head` are the names of the last layer's parameters, for a recipe that trains these alone at first. They are a group
    of their own, the second: torch's fused SGD wants that all parameters of a group begin together.
    """
    groups = [list(model.parameters())]
    if recipe.head_epochs:
        named = list(model.named_parameters())
        groups = [[values for name, values in named if (name in head) == last] for last in (False, True)]
    options = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    parameters = [{"params": group} for group in groups]
    if recipe.optimizer == "adamw":
        options["capturable"] = next(model.parameters()).is_cuda
        return torch.optim.AdamW(parameters, betas=(recipe.momentum, 0.999), **options)
    return torch.optim.SGD(parameters, momentum=recipe.momentum, **options)


def update(steps: "Steps", images_BCHW: torch.Tensor, labels_B: torch.Tensor, weight: float) -> torch.Tensor:
    """One update on a batch, or on the part of it with a `weight`; its mean cross-entropy in nats, 0-dim float32."""
    loss = nn.functional.cross_entropy(forward(steps.trained, images_BCHW, steps.precision), labels_B)
    # What is meant is the sum over the processes, of which `share_gradients` takes the mean.
    (loss * (weight * steps.ranks.size)).backward()
    steps.optimizer.step()
    # Here and not before the next update: gradients of a captured one lie in the memory of its graph.
    steps.optimizer.zero_grad(set_to_none=True)
    return loss.detach()


class Steps:
    """Network with its optimizer, and eager steps."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None,  # None to measure alone
        precision: str = "float32",
        ranks: Ranks = ALONE,
        *,
        compiled: bool = False,
    ) -> None:
        self.model, self.optimizer, self.precision, self.ranks = model, optimizer, precision, ranks
        self.network = torch.compile(model, dynamic=False) if compiled else model
        self.trained = share_gradients(self.network, ranks)

    def load(self, weights: dict[str, torch.Tensor], optimizer: dict[str, object] | None = None) -> None:
        """Begin with these weights, and with this state of the optimizer; without one, as new."""
        self.model.load_state_dict(weights)
        if optimizer is not None:
            self.optimizer.load_state_dict(optimizer)

    def set_rate(self, rate: float) -> None:
        """Learning rate of the next updates."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def update(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
        """See `update`; valid until the next one."""
        return update(self, images_BCHW, labels_B, weight)

    def update_eagerly(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
        """As `update`, where parameters are frozen that a captured step would train."""
        return update(self, images_BCHW, labels_B, weight)

    def measure(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(5, B) `logit_metrics` and (B, K) float32 logits, without gradients."""
        with torch.no_grad():
            logits_BK = forward(self.network, images_BCHW, self.precision)
            return logit_metrics(logits_BK, labels_B), logits_BK


class CapturedSteps(Steps):
    """Steps captured for one shape each: a whole batch of training, and a scoring batch, which is padded to it.

    The last batch of an epoch is computed eagerly.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: str,
        images_BCHW: torch.Tensor,
        score_images_BCHW: torch.Tensor,
    ) -> None:
        super().__init__(model, optimizer, precision)
        device = images_BCHW.device
        # Where a group's rate is a number, it is recorded as it was.
        self._rate = torch.zeros((), device=device)
        for group in optimizer.param_groups:
            group["lr"] = self._rate
        self._images, self._score_images = images_BCHW, score_images_BCHW
        self._labels = torch.zeros(len(images_BCHW), dtype=torch.int64, device=device)
        self._score_labels = torch.zeros(len(score_images_BCHW), dtype=torch.int64, device=device)
        model.train()
        self._replay_update = record(lambda: (super(CapturedSteps, self).update(self._images, self._labels),))
        model.eval()
        self._replay_measure = record(
            lambda: super(CapturedSteps, self).measure(self._score_images, self._score_labels)
        )

    def load(self, weights: dict[str, torch.Tensor], optimizer: dict[str, object] | None = None) -> None:
        """Begin with these weights and state, written where the graphs read them."""
        self.model.load_state_dict(weights)
        parameters = [values for group in self.optimizer.param_groups for values in group["params"]]
        given = {} if optimizer is None else optimizer["state"]
        for number, parameter in enumerate(parameters):
            for name, values in self.optimizer.state[parameter].items():
                # A buffer of zeros is what a new one becomes in its first update.
                values.copy_(given.get(number, {}).get(name, torch.zeros_like(values)))

    def set_rate(self, rate: float) -> None:
        """Learning rate of the next updates."""
        self._rate.fill_(rate)

    def update(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
        """See `update`; valid until the next one."""
        if images_BCHW.shape != self._images.shape:
            return super().update(images_BCHW, labels_B, weight)
        self._images.copy_(images_BCHW)
        self._labels.copy_(labels_B)
        (loss,) = self._replay_update()
        return loss

    def measure(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(5, B) `logit_metrics` and (B, K) float32 logits."""
        count = len(labels_B)
        # What is behind them are examples of an earlier batch, and no example depends on another.
        self._score_images[:count].copy_(images_BCHW)
        self._score_labels[:count].copy_(labels_B)
        metrics, logits_BK = self._replay_measure()
        return metrics[:, :count].clone(), logits_BK[:count].clone()


def record(step: Callable[[], tuple[torch.Tensor, ...]]) -> Replay:
    """Capture a step as a CUDA graph, after some runs to warm up, whose changes are the caller's to undo."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads of this process decode images and talk to the server meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        results = step()

    def replay() -> tuple[torch.Tensor, ...]:
        graph.replay()
        return results

    return replay


@dataclass(frozen=True)
class Kind:
    """What captured steps are made for: two trials of one kind may use the same."""

    recipe: tuple[object, ...]  # fields of `Recipe` that a step depends on
    num_classes: int
    device: torch.device
    score_batch: int

    @classmethod
    def of(cls, recipe: Recipe, num_classes: int, device: torch.device) -> "Kind":
        """Kind of a trial; the recipe's precision is settled."""
        names = ("model", "resolution", "precision", "batch_size", "optimizer", "momentum", "weight_decay")
        fields = tuple(getattr(recipe, name) for name in (*names, "head_epochs"))
        return cls(fields, num_classes, device, score_batch_size(device))


class Kept:
    """Captured steps of the last kind that was asked for: those of another are freed before."""

    def __init__(self) -> None:
        self._kind: Kind | None = None
        self._steps: CapturedSteps | None = None
        self._failed: set[Kind] = set()

    def clear(self) -> None:
        """Free the steps, and forget what failed."""
        self._kind = self._steps = None
        self._failed.clear()

    def steps(
        self,
        kind: Kind,
        recipe: Recipe,
        head: Collection[str] = (),
        *,
        required: bool = False,
    ) -> CapturedSteps | None:
        """Steps of a kind, captured where they are not there; None, with one warning, where capturing fails.

        With `required`, the error is raised.
        """
        if kind in self._failed:
            return None
        if kind != self._kind:
            self._kind = self._steps = None
            if kind.device.type == "cuda":
                torch.cuda.empty_cache()
            try:
                self._steps = _capture(kind, recipe, head)
            except RuntimeError as error:  # CUDA's own errors are such, and a lack of memory
                if required:
                    raise
                self._failed.add(kind)
                reason = str(error).strip().partition("\n")[0]
                LOG.warning("%s cannot be captured (%s); trained eagerly, which takes longer", recipe.model, reason)
                return None
            self._kind = kind
        return self._steps


KEPT = Kept()


def captured_steps(
    capture: str, recipe: Recipe, num_classes: int, device: torch.device, head: Collection[str] = ()
) -> CapturedSteps | None:
    """Captured steps for a recipe whose precision is settled, with the weights of an earlier trial; None for eager."""
    if not captures(capture, device):
        return None
    return KEPT.steps(Kind.of(recipe, num_classes, device), recipe, head, required=capture == "true")


def _capture(kind: Kind, recipe: Recipe, head: Collection[str]) -> CapturedSteps:
    model = build_model(recipe.model, kind.num_classes, image_size=recipe.resolution, seed=0)
    model = model.to(kind.device, memory_format=torch.channels_last)
    side = recipe.resolution

    def blank(count: int) -> torch.Tensor:
        images = torch.zeros((count, 3, side, side), device=kind.device)
        return images.contiguous(memory_format=torch.channels_last)

    with torch.random.fork_rng([kind.device] if kind.device.type == "cuda" else []):
        return CapturedSteps(
            model,
            make_optimizer(model, recipe, head),
            recipe.precision,
            blank(recipe.batch_size),
            blank(kind.score_batch),
        )
