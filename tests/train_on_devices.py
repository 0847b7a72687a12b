"""Training on one device and on several, in a process that is told how many there are.

Usage: train_on_devices.py DATA OUT DEVICES PHASE. In phase "killed" a run goes on from one device
to all, and is killed after its third epoch. In phase "whole" one device ends it, and two more runs
do all of it, `one` and `all`; under JAX one device does it in one call per epoch, too. An epoch
has four steps, the last of them of a smaller batch.
"""

import os
import signal
import sys
from pathlib import Path

data_file, out, devices, phase = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.environ["JAX_NUM_CPU_DEVICES"] = str(devices)
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf

    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)

from repro import models  # noqa: E402
from repro.data import dataset  # noqa: E402
from repro.data.load import LONGER_LOAD  # noqa: E402
from repro.data.pairs import make_pairs  # noqa: E402
from repro.experiments.samples import trajectories  # noqa: E402
from repro.models.backend import keras  # noqa: E402
from repro.reference import Request  # noqa: E402
from repro.training import snapshot  # noqa: E402
from repro.training.devices import DistributedEngine, all_devices  # noqa: E402
from repro.training.engine import TrainingEngine  # noqa: E402
from repro.training.recipes import TrainingConfig  # noqa: E402
from repro.training.scanned import ScannedEngine  # noqa: E402
from repro.training.trainer import train  # noqa: E402

EPOCHS = 5
data = dataset.read(data_file)


def run(name, epochs, engine=None):
    keras.utils.set_random_seed(0)
    state = train(
        # A bias before batch normalization has no gradient but rounding, which Adam makes steps of.
        models.paper_unet(filters=2, levels=1, kernel=3, bias=False),
        make_pairs(data, range(3), 4),  # 15 pairs
        make_pairs(data, [5], 4),
        TrainingConfig(epochs, batch_size=4, clip_norm=1.0, statistics_samples=8),
        out / name,
        progress=False,
        engine=engine,
    )
    assert state.epoch == epochs


def save_then_die(directory, state, identity):
    save(directory, state, identity)
    if state.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def error_of_direct_prediction(engine):
    keras.utils.set_random_seed(0)
    longer = Request("paper", size=16, load=LONGER_LOAD).solve(range(4))
    pairs = [trajectories(longer, part) for part in (range(3), [3])]
    network = models.direct_prediction(filters=2, blocks=1, levels=1, iterations=0, fine=0)
    config = TrainingConfig(1, batch_size=2)
    state = train(network, *pairs, config, out / engine.__name__, progress=False, engine=engine)
    return state.history[-1]["mae_validation"]


assert all_devices()[1] == devices
if phase == "killed":
    run("killed", 1)
    save, snapshot.save = snapshot.save, save_then_die
    run("killed", EPOCHS, DistributedEngine)
else:
    run("killed", EPOCHS)
    run("one", EPOCHS)
    run("all", EPOCHS, DistributedEngine)
    if keras.backend.backend() == "jax":
        run("scanned", EPOCHS, ScannedEngine)
        one, other = map(error_of_direct_prediction, (TrainingEngine, ScannedEngine))
        assert abs(one - other) < 1e-4 * one
