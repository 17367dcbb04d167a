"""CUDA's graphs, played on the CPU by a stand-in that makes the same calls on the same tensors.

So all but the recording itself is the code that a GPU runs.
"""

from contextlib import contextmanager

from easiness.trials import steps
from easiness.trials.steps import KEPT


class StandIn:
    """Records steps as CUDA's graphs do, and replays their calls."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def record(self, step):
        for _ in range(steps._WARM_UP + 1):
            results = step()
        self.recorded += 1

        def replay():
            self.replayed += 1
            for result, values in zip(results, step(), strict=True):
                result.copy_(values)  # at the same address each time
            return results

        return replay


@contextmanager
def played_on_the_cpu(monkeypatch, *modules):
    """Captures on the CPU by the stand-in; scoring batches of 16, in these modules, too."""
    stand_in = StandIn()
    monkeypatch.setattr(steps, "record", stand_in.record)
    monkeypatch.setattr(steps, "captures", lambda capture, device: capture != "false")
    for module in (steps, *modules):
        monkeypatch.setattr(module, "score_batch_size", lambda device: 16)
    KEPT.clear()
    yield stand_in
    KEPT.clear()
