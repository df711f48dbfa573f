"""Train the Vision Transformer and the CNN of *Model families* on few and on many images.

Models, settings, augmentation and training loop are the notebook's own cells (tagged ``patches``).
Two questions are measured: how well both read scikit-learn's digits, as on the page, with two
variants of the Vision Transformer (positions that stay 0; the mean of all patches in place of the
class token); and how well both read MNIST after training on 100 to 10,000 of its images, with and
without augmentation (the Vision Transformer also with four times as many steps on 1,000 images).
Learning rates are chosen before, each for its network and without augmentation, on images that are
neither in the training nor in the test set. MNIST itself is needed. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.families_images [--seeds 3]
"""

import contextlib
import dataclasses
import io
from functools import cache
from typing import Any

import torch
from torch import nn

from benchmarks import records
from companion import device, models

CHAPTER = records.chapter("model-families/images")
RESULT = records.RESULTS / "families_images.json"
CPU = torch.device("cpu")
SIZES = {100: 200, 1_000: 400, 10_000: 900}  # training images: steps
LONGER, LONGER_ON = 4, 1_000  # times as many steps, for this number of training images
BATCH = 64
SHIFTS = (1, 2, 3, 4)  # pixels to the right, at which the largest runs are tested too
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
TUNED_ON = {"digits": (1_150, 800), "mnist": (1_000, 400)}  # training images and steps
TUNING_SEED = 100


@cache
def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "images-imports", "patches")


@cache
def pictures(name: str) -> list[torch.Tensor]:
    """Return images and labels of training and test."""
    return chapter_code()["load_images"](name)


def settings(name: str, **changes: int) -> Any:
    """Return the chapter's settings for small digits or for MNIST."""
    where = torch.device("cuda" if name == "mnist" else "cpu")
    return dataclasses.replace(chapter_code()["Settings"].for_device(where), **changes)


class WithoutPositions(models.ViT):
    """A Vision Transformer that sees a bag of patches."""

    def _initialise(self) -> None:
        super()._initialise()
        nn.init.zeros_(self.positions)
        self.positions.requires_grad_(False)


class Averaging(models.ViT):
    """A Vision Transformer that reads the classes from the mean of all patches."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of the classes."""
        x = self.embed(images)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 1:]).mean(dim=1))


def builder(network: str) -> Any:
    """Return what builds a network from settings and the side of the images."""
    code = chapter_code()
    if network in ("ViT", "CNN"):
        return code["build_vit" if network == "ViT" else "build_cnn"]
    kind = {"no positions": WithoutPositions, "mean": Averaging}[network]
    return lambda s, side: kind(code["build_vit"](s, side).config)


def trained(network: str, s: Any, rate: float, seed: int, parts: Any, augmented: bool) -> nn.Module:
    """Train a network, its progress unseen."""
    code = chapter_code()
    change = code["augment"] if augmented else None
    with contextlib.redirect_stdout(io.StringIO()):
        network_, _ = code["train"](builder(network), parts, s, rate, seed, CPU, network, change)
    return network_


def tuning_case(images: str, network: str, rate: float, seed: int) -> dict[str, float]:
    """Train on a part of the training images, and return the accuracy on another part."""
    n, steps = TUNED_ON[images]
    x, y = pictures(images)[:2]
    held_out = slice(n, None) if images == "digits" else slice(50_000, 55_000)
    s = settings(images, steps=steps, batch=BATCH)
    model = trained(network, s, rate, seed, (x[:n], y[:n]), False)
    return {"accuracy": chapter_code()["accuracy"](model, x[held_out], y[held_out])}


def digits_case(network: str, rate: float, seed: int) -> dict[str, float]:
    """Train on the small digits as on the page, and return the accuracy on the test images."""
    parts = pictures("digits")
    model = trained(network, settings("digits"), rate, seed, parts[:2], False)
    return {"accuracy": chapter_code()["accuracy"](model, *parts[2:])}


def mnist_parts(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return n images of MNIST and their labels, drawn by the seed."""
    x, y = pictures("mnist")[:2]
    rows = torch.randperm(50_000, generator=torch.Generator().manual_seed(seed))[:n]
    return x[rows], y[rows]


def mnist_case(network: str, augmented: bool, n: int, rate: float, seed: int) -> dict[str, float]:
    """Train on n images of MNIST; return accuracies on the 10,000 test images.

    After most images the test images are also moved to the right, by each of `SHIFTS`.
    """
    test_x, test_y = pictures("mnist")[2:]
    s = settings("mnist", steps=SIZES[n], batch=BATCH)
    model = trained(network, s, rate, seed, mnist_parts(n, seed), augmented)
    found = {"accuracy": chapter_code()["accuracy"](model, test_x, test_y)}
    if n == max(SIZES):
        for shift in SHIFTS:
            there = test_x.roll(shift, dims=-1)[:5_000]  # the last four columns are empty
            found[f"moved {shift}"] = chapter_code()["accuracy"](model, there, test_y[:5_000])
        if network == "ViT":
            device.seed_everything(seed)  # as in the loop, so that the start is the same
            found |= grid_learnt(model, builder(network)(s, test_x.shape[-1]))
    return found


def longer_case(network: str, augmented: bool, rate: float, seed: int) -> dict[str, float]:
    """Train on some images of MNIST for `LONGER` times as many steps as `mnist_case` does."""
    test_x, test_y = pictures("mnist")[2:]
    s = settings("mnist", steps=LONGER * SIZES[LONGER_ON], batch=BATCH)
    model = trained(network, s, rate, seed, mnist_parts(LONGER_ON, seed), augmented)
    return {"accuracy": chapter_code()["accuracy"](model, test_x, test_y)}


def grid_learnt(model: models.ViT, start: models.ViT) -> dict[str, float]:
    """Return how alike the position vectors of neighbours have become, and those of others."""
    added = (model.positions - start.positions).detach()[0, 1:]  # (16, D)
    alike = nn.functional.cosine_similarity(added[:, None], added[None], dim=-1)
    places = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    apart = torch.cdist(places, places).round(decimals=3)
    return {
        "neighbours": alike[apart == 1].mean().item(),
        "farther": alike[apart > 2.5].mean().item(),
        "added": (added.norm() / start.positions[0, 1:].norm()).item(),
    }


def best(rows: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Return the rate with the highest accuracy for each set of images and network."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for row in rows:
        case = row["case"]
        key = (case["images"], case["network"])
        found[key] = max(found.get(key, (0.0, 0.0)), (row["measured"]["accuracy"], case["rate"]))
    return {key: rate for key, (_, rate) in found.items()}


def tuning_cases() -> list[dict[str, Any]]:
    """Return every learning rate that is tried."""
    return [
        {"images": images, "network": network, "rate": rate, "seed": TUNING_SEED}
        for images in TUNED_ON
        for network in ("CNN", "ViT")
        for rate in RATES
    ]


def main() -> None:
    """Tune, measure with every seed what is not measured yet, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    tuning = records.kept_runs("families_images_tuning", tuning_cases(), tuning_case)
    rates = best(tuning)
    digits = [
        {"network": name, "rate": rates["digits", name if name == "CNN" else "ViT"]}
        for name in ("CNN", "ViT", "no positions", "mean")
    ]
    mnist = [
        {"network": name, "augmented": a, "n": n, "rate": rates["mnist", name]}
        for n in SIZES
        for a in (False, True)
        for name in ("CNN", "ViT")
    ]
    longer = [
        {"network": "ViT", "augmented": a, "rate": rates["mnist", "ViT"]} for a in (True, False)
    ]
    runs = {}
    for name, cases, run in (
        ("digits", digits, digits_case),
        ("mnist", mnist, mnist_case),
        ("longer", longer, longer_case),
    ):
        each = [{**case, "seed": seed} for seed in seeds for case in cases]
        runs[name] = records.by_seed(records.kept_runs(f"families_images_{name}", each, run))
    sizes = {name: vars(settings(name)) for name in ("digits", "mnist")}
    records.write(
        RESULT,
        seeds,
        settings=sizes,
        mnist_batch=BATCH,
        steps=SIZES,
        longer_steps=LONGER * SIZES[LONGER_ON],
        tuned_on=TUNED_ON,
        tuning=[row["case"] | row["measured"] for row in tuning],
        **runs,
    )


if __name__ == "__main__":
    main()
