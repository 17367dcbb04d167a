import subprocess
import sys

import pytest

# A block as large as the activations of a batch, freed and asked for again, as in every step.
PROGRAM = """
import resource, sys, torch
from easiness.trials.cpu import use_cores
if sys.argv[1] == "kept":
    use_cores(1)
for _ in range(20):  # The heap grows a few times until a block fits, for small ones settle between.
    torch.ones(16 * 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(16 * 2**20)
print(torch.get_num_threads(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def threads_and_faults(way):
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
    return map(int, done.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other C libraries")
def test_memory_of_a_step_is_there_for_the_next():
    threads, faults = threads_and_faults("kept")
    _, faults_without = threads_and_faults("as it is")
    assert threads == 1
    assert faults < faults_without / 4
