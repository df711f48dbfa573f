"""Count the parameters of a CNN and of an MLP for the same images."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = r"""
Images are {{channels}} × {{side}} × {{side}} (channels, height, width). A CNN: convolution {{k}} × {{k}} to {{first}} channels, ReLU, max-pooling 2 × 2; convolution {{k}} × {{k}} to {{second}} channels, ReLU, max-pooling 2 × 2; flatten; linear to {{hidden}}, ReLU, linear to {{classes}}. No padding, stride 1, biases everywhere. How many numbers come out of `flatten`, and how many parameters has the CNN? How many has an MLP that goes from the flat image through {{hidden}} hidden neurons to {{classes}} classes?
"""
STARTER = """
flat_features = ...
convolution_parameters = ...  # both convolutions together
cnn_parameters = ...
mlp_parameters = ...
"""
HINT = "A kernel of side $k$ fits $n - k + 1$ times along $n$ pixels. An output channel has one kernel for *each* input channel, and one bias."
EXPLANATION = r"""
The side goes {{sides}}, so `flatten` gives ${{second}} \cdot {{last}}^2 = {{flat_features}}$ numbers. The convolutions have {{convolution_parameters}} parameters, the linear layers the rest of {{cnn_parameters}}; the MLP has {{mlp_parameters}}. Sharing a kernel over all places is what makes the first part so small: however large the image, the count stays.
"""


def exercise(
    channels: int = 1,
    side: int = 28,
    k: int = 5,
    first: int = 6,
    second: int = 16,
    hidden: int = 120,
    classes: int = 10,
) -> Exercise:
    """Return the exercise for this network."""
    sides = _sides(side, k)
    right = _counts(channels, side, k, first, second, hidden, classes)
    return Exercise(
        id="neural-networks-count-parameters",
        title="Where the parameters are",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values={
            **{name: f"{value:,}" for name, value in right.items()},
            "channels": channels,
            "side": side,
            "k": k,
            "first": first,
            "second": second,
            "hidden": hidden,
            "classes": classes,
            "last": sides[-1],
            "flat_features": right["flat_features"],  # inside of a formula, without a comma
            "sides": ", ".join(map(str, sides)),
        },
        visible=(Check(counts_are_whole, {"second": second}),),
        hidden=(Check(counts_are_right, {"right": right}),),
        wrong_answers=_wrong_answers(channels, side, k, first, second, hidden, classes),
        public_solution=True,
    )


def _sides(side: int, k: int) -> list[int]:
    """Return the image's side, and that after each convolution and each pooling."""
    found = [side]
    for _ in range(2):
        found += [found[-1] - k + 1, (found[-1] - k + 1) // 2]
    return found


def _counts(
    channels: int, side: int, k: int, first: int, second: int, hidden: int, classes: int
) -> dict[str, int]:
    flat = second * _sides(side, k)[-1] ** 2
    convolutions = first * (channels * k * k + 1) + second * (first * k * k + 1)
    return _total(flat, convolutions, channels * side * side, hidden, classes)


def _total(flat: int, convolutions: int, pixels: int, hidden: int, classes: int) -> dict[str, int]:
    last = (hidden + 1) * classes
    return {
        "flat_features": flat,
        "convolution_parameters": convolutions,
        "cnn_parameters": convolutions + (flat + 1) * hidden + last,
        "mlp_parameters": (pixels + 1) * hidden + last,
    }


def _answer(counts: dict[str, int]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in counts.items())


def _wrong_answers(
    channels: int, side: int, k: int, first: int, second: int, hidden: int, classes: int
) -> dict[str, str]:
    flat, right, *_ = _counts(channels, side, k, first, second, hidden, classes).values()
    pixels = channels * side * side
    no_biases = first * channels * k * k + second * first * k * k
    one_kernel = first * (k * k + 1) + second * (k * k + 1)
    padded = second * (side // 4) ** 2
    bare = {
        "flat_features": flat,
        "convolution_parameters": no_biases,
        "cnn_parameters": no_biases + flat * hidden + hidden * classes,
        "mlp_parameters": pixels * hidden + hidden * classes,
    }
    return {
        "biases left out": _answer(bare),
        "one kernel an output channel": _answer(_total(flat, one_kernel, pixels, hidden, classes)),
        "as if padded": _answer(_total(padded, right, pixels, hidden, classes)),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw sizes of which pooling never cuts anything off."""
    while True:
        side, k = rng.choice([20, 24, 28, 30, 32, 36, 40, 44]), rng.choice([3, 5])
        sides = _sides(side, k)
        if sides[1] % 2 == sides[3] % 2 == 0:
            return {
                "channels": rng.choice([1, 3]),
                "side": side,
                "k": k,
                "first": rng.choice([4, 8, 12]),
                "second": rng.choice([16, 20, 24, 32]),
                "hidden": rng.choice([50, 64, 80, 100]),
                "classes": rng.choice([2, 5, 10, 20]),
            }


# -- checks --------------------------------------------------------------------------------------


def counts_are_whole(
    flat_features, convolution_parameters, cnn_parameters, mlp_parameters, *, second
):
    """Check that the counts are whole numbers that fit each other."""
    given = {
        "flat_features": flat_features,
        "convolution_parameters": convolution_parameters,
        "cnn_parameters": cnn_parameters,
        "mlp_parameters": mlp_parameters,
    }
    for name, value in given.items():
        assert value == int(value) > 0, f"{name} should be a whole number above 0, got {value}"
    assert flat_features % second == 0, (
        f"flat_features should be a multiple of the {second} channels that are made flat"
    )
    assert cnn_parameters > convolution_parameters, (
        "cnn_parameters should include the linear layers after the convolutions"
    )


def counts_are_right(
    flat_features, convolution_parameters, cnn_parameters, mlp_parameters, *, right
):
    """Check all four counts."""
    assert int(flat_features) == right["flat_features"], (
        "flat_features is not right: follow the side through both convolutions and both poolings"
    )
    assert int(convolution_parameters) == right["convolution_parameters"], (
        "convolution_parameters is not right: count kernels for each pair of channels, and the "
        "biases"
    )
    assert int(cnn_parameters) == right["cnn_parameters"], (
        "cnn_parameters is not right: add weights and biases of both linear layers to the "
        "convolutions"
    )
    assert int(mlp_parameters) == right["mlp_parameters"], (
        "mlp_parameters is not right: every pixel of every channel is an input, and neurons have "
        "biases"
    )
