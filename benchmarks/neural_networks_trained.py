"""Train the three networks of the chapter *Neural networks* with several seeds, and record them.

Data, models, settings and training loop are the chapter's own cells (tagged ``networks``), so that
what is measured is what is printed there: the perceptron's stand in the notebook *Training*, those
of the CNN and of the LSTM in *Before attention*. It needs MNIST and SST-2 themselves: what stands
in for them where they are out of reach is not measured. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.neural_networks_trained [--seeds 3]
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import records
from companion import data, device

RESULT = records.RESULTS / "neural_networks_trained.json"
NOTEBOOKS = {"mlp": "training", "cnn": "before-attention", "lstm": "before-attention"}
MODELS = {"mlp": "perceptron", "cnn": "convolutional"}


def notebook(network: str) -> Path:
    """Return the notebook that trains a network."""
    return records.chapter(f"neural-networks/{NOTEBOOKS[network]}")


def notebook_code(network: str) -> dict[str, Any]:
    """Run the cells that define a network's experiment, and return what they define."""
    imports = f"neural-networks-{NOTEBOOKS[network]}-imports"
    return records.chapter_code(notebook(network), imports, "networks")


def settings(codes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of all networks on this device."""
    where = device.pick_device()
    return {
        name: value
        for code in codes.values()
        for name, value in vars(code["Settings"].for_device(where)).items()
    }


def trainer(network: str, code: dict[str, Any]) -> Callable[[int], float]:
    """Return what trains a network with a seed and gives its accuracy on the test set."""
    where = device.pick_device()
    epochs = getattr(code["Settings"].for_device(where), f"{network}_epochs")
    if network == "lstm":
        reviews = data.load("sst2")
        return lambda seed: code["read_reviews"](reviews, epochs, seed, where)[2]
    data.load("mnist")  # fails here where it is out of reach
    pictures, build = code["load_pictures"](), code[MODELS[network]]

    def run(seed: int) -> float:
        said = code["read_digits"](build, pictures, epochs, seed, where, network)[2]
        return (said == pictures[3]).double().mean().item()

    return run


def timed(run: Callable[[int], float]) -> Callable[[int], Mapping[str, float]]:
    """Add the seconds that processors worked, whatever else the machine does meanwhile."""

    def measured(seed: int) -> Mapping[str, float]:
        start = time.process_time()
        return {"accuracy": run(seed), "cpu_seconds": time.process_time() - start}

    return measured


def main() -> None:
    """Train all three with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    codes = {network: notebook_code(network) for network in NOTEBOOKS}
    runs = {
        network: records.over_seeds(timed(trainer(network, code)), seeds)
        for network, code in codes.items()
    }
    records.write(RESULT, seeds, settings=settings(codes), runs=runs)


if __name__ == "__main__":
    main()
