"""Cut images into patches, and put them together again."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from exercises import Check, Exercise
from exercises.answers import array
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
Write `to_patches(images, P)`, which cuts images of shape (B, C, H, W) into squares of side $P$ and returns them as rows, shape (B, N, C·P·P): patches from left to right and from top to bottom, ORDER Then write `to_images(rows, P, C, H, W)`, which makes the images from the rows again. Use neither a loop nor `unfold` or `fold`. $P$ divides height and width; images need not be square.
"""
# What takes the place of ORDER.
ORDERS = {
    "channels": "and in each row one channel after the other, each channel line by line.",
    "pixels": "and in each row one pixel after the other, line by line, each pixel with all its channels.",
}
STARTER = '''
def to_patches(images, P):
    """images (B, C, H, W) -> rows (B, N, C·P·P)"""
    ...

def to_images(rows, P, C, H, W):
    """rows (B, N, C·P·P) -> images (B, C, H, W)"""
    ...
'''
TWISTS = {
    "columns": Twist(
        "Here the patches come from top to bottom first and then from left to right: patch 1 stands below patch 0.",
        {
            "to_patches": (
                "",
                """
                down, across = images.shape[2] // P, images.shape[3] // P
                result = result.unflatten(1, (down, across)).transpose(1, 2).flatten(1, 2)
                """,
            ),
            "to_images": (
                "rows = rows.unflatten(1, (W // P, H // P)).transpose(1, 2).flatten(1, 2)",
                "",
            ),
        },
    ),
    "channels last": Twist(
        "The channels of the images come last, as in image files: images are (B, H, W, C).",
        {
            "to_patches": ("images = images.movedim(-1, 1)", ""),
            "to_images": ("", "result = result.movedim(1, -1)"),
        },
        {"images (B, C, H, W)": "images (B, H, W, C)"},
    ),
}
CALLS = {"to_patches": "images, P", "to_images": "rows, P, C, H, W"}
HINT = r"Give height and width two dimensions each, first which patch and then where in it: (B, C, H/P, P, W/P, P). Then put the dimensions in another order with `permute` and join them with `reshape`. The way back takes the same steps in reverse."
CHANNELS_FIRST = """
def to_patches(images, P):
    B, C, H, W = images.shape
    cut = images.reshape(B, C, H // P, P, W // P, P)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(B, -1, C * P * P)

def to_images(rows, P, C, H, W):
    cut = rows.reshape(len(rows), H // P, W // P, C, P, P)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(len(rows), C, H, W)
"""
PIXELS_FIRST = CHANNELS_FIRST.replace("(0, 2, 4, 1, 3, 5)", "(0, 2, 4, 3, 5, 1)").replace(
    "H // P, W // P, C, P, P)\n    return cut.permute(0, 3, 1, 4, 2, 5)",
    "H // P, W // P, P, P, C)\n    return cut.permute(0, 5, 1, 3, 2, 4)",
)
SOLUTIONS = {"channels": CHANNELS_FIRST, "pixels": PIXELS_FIRST}
EXPLANATION = r"""
`reshape` alone cuts the numbers as they lie in memory, line by line over the whole width. But a patch lies there in {{P}} pieces, one for each of its lines. `permute` brings the two dimensions that say *which* patch to the front, and leaves those that say *where in it* behind, with the channel where it is wanted. The way back needs the inverse order. A mistake in the order of pixels is not visible in any shape, and a model can even be trained with it. But published weights would then see shuffled pixels.
"""
TRIAL = """
generator = torch.Generator().manual_seed(SEED)
images = torch.randn(2, 3, 2 * SIDE, 4 * SIDE, generator=generator)
rows = to_patches(images, SIDE)
expected = models.patches(images, SIDE)  # one channel after the other
check("patches", rows, expected)
again = to_images(rows, SIDE, 3, 2 * SIDE, 4 * SIDE)
check("and back", again, images, 0)
"""
WRONG_ANSWERS = {
    "cut as the numbers lie": """
def to_patches(images, P):
    B, C, H, W = images.shape
    return images.reshape(B, -1, C * P * P)

def to_images(rows, P, C, H, W):
    return rows.reshape(len(rows), C, H, W)
""",
}


def wrong_answers(order: str) -> dict[str, str]:
    """Return mistakes in the order of patches or of pixels."""
    (other,) = set(SOLUTIONS) - {order}
    right = SOLUTIONS[order]
    return {
        **WRONG_ANSWERS,
        "pixels in another order": SOLUTIONS[other],
        "from top to bottom first": right.replace("permute(0, 2, 4,", "permute(0, 4, 2,"),
        "height and width exchanged on the way back": right.replace(
            "H // P, W // P, ", "W // P, H // P, "
        ).replace("C, W // P, H // P, P)", "C, H // P, P, W // P, P)"),
    }


def exercise(
    P: int = 4, seed: int = 0, order: str = "channels", twists: tuple[str, ...] = ()
) -> Exercise:
    """Return the exercise, tried with patches of side ``P``, pixels in an `order`."""
    given = {"P": P, "seed": seed, "order": order, "twists": twists}
    twisted = [TWISTS[name] for name in twists]
    return Exercise(
        id="model-families-to-patches",
        title="There and back",
        kind="code",
        difficulty=1,
        minutes=15,
        points=3,
        question=asked(QUESTION.replace("ORDER", ORDERS[order]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=wrapped(SOLUTIONS[order], CALLS, twisted),
        explanation=EXPLANATION,
        values={"P": P},
        visible=(Check(shapes_fit, given),),
        hidden=(Check(rows_are_right, given), Check(images_come_back, given)),
        wrong_answers={
            mistake: wrapped(code, CALLS, twisted) for mistake, code in wrong_answers(order).items()
        },
        public_solution=True,
        trial=TRIAL.replace("SIDE", str(P)).replace("SEED", str(seed))
        if order == "channels" and not twists
        else "",
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the side of a patch, the order of pixels, and twists."""
    chosen = drawn(rng, ("pixels", *TWISTS))
    return {
        "P": rng.choice([2, 3, 5, 6]),
        "seed": rng.randrange(10_000),
        "order": "pixels" if "pixels" in chosen else "channels",
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def some_images(P: int, seed: int) -> torch.Tensor:
    """Return three images of two channels, twice as high as a patch and three times as wide."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 2, 2 * P, 3 * P, generator=generator)


def as_row(square: torch.Tensor, order: str) -> torch.Tensor:
    """Return squares (B, C, P, P) as rows, (B, C·P·P)."""
    return (square.permute(0, 2, 3, 1) if order == "pixels" else square).flatten(1)


def plain_patches(to_patches, twists):
    """Return to_patches as the page asks for it."""

    def as_on_the_page(images, P):
        given = images.movedim(1, -1) if "channels last" in twists else images
        rows = torch.tensor(array(to_patches(given, P)))
        if "columns" in twists and rows.ndim == 3:
            down, across = images.shape[2] // P, images.shape[3] // P
            rows = rows.unflatten(1, (across, down)).transpose(1, 2).flatten(1, 2)
        return rows

    return as_on_the_page


def plain_images(to_images, twists):
    """Return to_images as the page asks for it."""

    def as_on_the_page(rows, P, C, H, W):
        if "columns" in twists:
            rows = rows.unflatten(1, (H // P, W // P)).transpose(1, 2).flatten(1, 2)
        images = array(to_images(rows, P, C, H, W))
        return np.moveaxis(images, -1, 1) if "channels last" in twists else images

    return as_on_the_page


def shapes_fit(to_patches, to_images, *, P, seed, order, twists):
    """Check the shapes of rows and images."""
    to_patches = plain_patches(to_patches, twists)
    to_images = plain_images(to_images, twists)
    images = some_images(P, seed)
    rows = to_patches(images.clone(), P)
    assert tuple(rows.shape) == (3, 6, 2 * P * P), (
        f"Images of shape {tuple(images.shape)} and patches of side {P} should give rows of shape "
        f"{(3, 6, 2 * P * P)}, got {tuple(rows.shape)}"
    )
    again = to_images(torch.zeros(3, 6, 2 * P * P), P, 2, 2 * P, 3 * P)
    assert tuple(again.shape) == tuple(images.shape), (
        f"The rows should become images of shape {tuple(images.shape)}, got {tuple(again.shape)}"
    )


def rows_are_right(to_patches, *, P, seed, order, twists):
    """Compare each row with the square cut out of the image."""
    to_patches = plain_patches(to_patches, twists)
    images = some_images(P, seed)
    rows = to_patches(images.clone(), P)
    for n in range(6):
        top, left = n // 3 * P, n % 3 * P
        square = images[:, :, top : top + P, left : left + P]
        assert torch.allclose(rows[:, n], as_row(square, order).double(), atol=6e-4), (
            f"Patch {n} (counted from 0, from left to right and from top to bottom) is not what "
            "stands there in the image, in the order that is asked for"
        )


def images_come_back(to_images, *, P, seed, order, twists):
    """Lay out squares and let them be put together."""
    to_images = plain_images(to_images, twists)
    images = some_images(P, seed)
    squares = [
        as_row(images[:, :, top : top + P, left : left + P], order)
        for top in range(0, 2 * P, P)
        for left in range(0, 3 * P, P)
    ]
    again = to_images(torch.stack(squares, dim=1), P, 2, 2 * P, 3 * P)
    assert np.abs(again - images.numpy()).max() < 6e-4, (
        "to_images puts pixels in other places than those that the patches were cut from"
    )
