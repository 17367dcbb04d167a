"""A network that kills its own process in the middle of the training, once, and leaves a trace of every step."""

import os
import signal
from pathlib import Path

from torch import nn

from tests import tiny_model

# A folder. `steps` in it grows by a byte for every training step; the worker that writes number FATAL is killed there.
FOLDER = "EASINESS_TEST_MORTAL"
FATAL = 5


def build(num_classes):
    """`tiny_model` with a bad heart."""
    return nn.Sequential(_Heart(), tiny_model.build(num_classes))


class _Heart(nn.Module):
    def forward(self, x):
        if self.training and len(x) > 2 and FOLDER in os.environ:
            steps = Path(os.environ[FOLDER], "steps")
            with steps.open("ab") as file:
                file.write(b".")
            if steps.stat().st_size == FATAL:
                os.kill(os.getpid(), signal.SIGKILL)
        return x
