"""Augmentation: images against torch, scipy and the twin; words by what must stay."""

import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional as F

from companion import data
from companion.reference import data as twin
from tests.plugins.shapes import unchecked
from tests.support import normal, seeds, shapes_vary, sizes
from tests.verification import agree, same

angles = st.sampled_from([0.0, 10.0, 30.0, 45.0, 90.0, -60.0, 200.0])
sides = st.integers(2, 7)


# -- grids and samples ---------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(1, 3), height=sides, width=sides, seed=seeds)
def test_affine_grid(n, height, width, seed):
    matrix = normal(n, 2, 3, seed=seed)
    theirs = F.affine_grid(matrix, [n, 1, height, width], align_corners=False)
    agree("affine_grid", "torch", data.affine_grid(matrix, height, width), theirs)


@shapes_vary
@given(n=st.integers(1, 3), height=sizes, width=sizes, points=sides, seed=seeds)
def test_sample_bilinear(n, height, width, points, seed):
    images, grid = normal(n, height, width, seed=seed), normal(n, points, 3, 2, seed=seed + 1)
    theirs = F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
    agree("sample_bilinear", "torch", data.sample_bilinear(images, grid), theirs)
    shared = F.grid_sample(images[None], grid[:1], align_corners=False)[0]
    agree("sample_bilinear", "torch", data.sample_bilinear(images, grid[0]), shared)


def test_gradients_flow_through_samples():
    images, grid = normal(2, 4, 5).requires_grad_(), normal(2, 3, 3, 2, scale=0.5).requires_grad_()
    assert torch.autograd.gradcheck(data.sample_bilinear, (images, grid))


def test_points_for_another_number_of_images():
    with unchecked(), pytest.raises(ValueError, match=r"grid must be for each image or for all"):
        data.sample_bilinear(normal(3, 4, 4), normal(2, 4, 4, 2))


# -- rotation and scale --------------------------------------------------------------------------


@shapes_vary
@given(height=sides, width=sides, degrees=angles, seed=seeds)
def test_rotate(height, width, degrees, seed):
    image = normal(height, width, seed=seed)
    ours = data.rotate(image, degrees)
    spline = {"reshape": False, "order": 1, "mode": "grid-constant", "prefilter": False}
    agree("rotate", "SciPy", ours, ndimage.rotate(image.numpy(), degrees, **spline))
    agree("rotate", "NumPy twin", ours, twin.rotate(image.numpy(), degrees))
    agree("twin: rotate", "SciPy", twin.rotate(image.numpy(), degrees), ours)


@shapes_vary
@given(side=sides, turns=st.integers(-4, 4), seed=seeds)
def test_quarter_turns(side, turns, seed):
    image = normal(side, side, seed=seed)
    agree("rotate", "numpy.rot90", data.rotate(image, 90 * turns), torch.rot90(image, turns))


def test_an_angle_for_each_image():
    images, degrees = normal(3, 5, 4), torch.tensor([0.0, 20.0, -90.0], dtype=torch.float64)
    one_by_one = [data.rotate(i, float(d)) for i, d in zip(images, degrees, strict=True)]
    agree("rotate", "one by one", data.rotate(images, degrees), torch.stack(one_by_one))


@shapes_vary
@given(height=sides, width=sides, factor=st.sampled_from([0.5, 0.8, 1.0, 1.3, 2.0]), seed=seeds)
def test_rescale(height, width, factor, seed):
    image = normal(height, width, seed=seed)
    ours = data.rescale(image, factor)
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    theirs = ndimage.affine_transform(
        image.numpy(),
        np.eye(2) / factor,
        centre - centre / factor,
        order=1,
        mode="grid-constant",
        prefilter=False,
    )
    agree("rescale", "SciPy", ours, theirs)


def test_a_factor_for_each_image():
    images, factors = normal(2, 5, 4), torch.tensor([0.5, 2.0], dtype=torch.float64)
    one_by_one = [data.rescale(i, float(f)) for i, f in zip(images, factors, strict=True)]
    agree("rescale", "one by one", data.rescale(images, factors), torch.stack(one_by_one))


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_factor_must_be_positive(factor):
    with pytest.raises(ValueError, match=f"factor must be above 0, got {factor}"):
        data.rescale(normal(2, 2), factor)


def test_colour_by_hand():
    image = np.array([[0.0, 4.0], [8.0, 12.0]])
    agree("twin: colour", "by hand", np.float64(twin.colour(image, 0.5, 0.25)), 5.0)
    agree("twin: colour", "by hand", np.float64(twin.colour(image, -0.5, 1.0)), 2.0)


# -- crops and reflection ------------------------------------------------------------------------


def test_crop():
    images = torch.arange(2 * 5 * 6).reshape(2, 5, 6)
    ours = data.crop(images, 1, 2, 3, 4)
    same("crop", "NumPy", ours, images.numpy()[:, 1:4, 2:6])
    same("crop", "NumPy", data.crop(images, 0, 0, 5, 6), images)


@pytest.mark.parametrize("rectangle", [(3, 0, 3, 2), (0, 5, 1, 2), (-1, 0, 2, 2), (0, 0, 0, 1)])
def test_crop_outside(rectangle):
    with pytest.raises(ValueError, match="the rectangle must"):
        data.crop(torch.zeros(5, 6), *rectangle)


def test_random_crop():
    images = torch.arange(20 * 5 * 6).reshape(20, 5, 6)
    cut = data.random_crop(images, 3, 4, torch.Generator().manual_seed(0))
    again = data.random_crop(images, 3, 4, torch.Generator().manual_seed(0))
    same("random_crop", "the same seed", cut, again)
    places = set()
    for image, piece in zip(images, cut, strict=True):
        top, left = divmod(int(piece[0, 0] - image[0, 0]), 6)
        same("random_crop", "NumPy", piece, image.numpy()[top : top + 3, left : left + 4])
        places.add((top, left))
    assert len(places) > 4


def test_random_crop_moves_what_it_pads():
    images = torch.ones(200, 4, 4)
    moved = data.random_crop(images, 4, 4, torch.Generator().manual_seed(0), padding=2)
    lost = Counter((16 - moved.sum((1, 2))).int().tolist())
    assert set(lost) == {0, 4, 7, 8, 10, 12}  # nothing to 2 rows and 2 columns
    with pytest.raises(ValueError, match=r"at most \(4, 4\), got \(5, 4\)"):
        data.random_crop(images, 5, 4, torch.Generator())


def test_random_crop_of_no_images():
    assert data.random_crop(torch.zeros(0, 4, 4), 2, 3, torch.Generator()).shape == (0, 2, 3)


def test_flip():
    images = torch.arange(12).reshape(2, 2, 3)
    same("flip", "NumPy", data.flip(images), np.flip(images.numpy(), -1))


# -- words ---------------------------------------------------------------------------------------

sentences = st.lists(st.sampled_from(["not", "bad", "at", "all", "but"]), max_size=8)


@pytest.mark.verifies(
    "swap_words", "keeps the words; n swaps are n swaps; every pair equally often"
)
@shapes_vary
@given(words=sentences, n=st.integers(0, 5), seed=seeds)
def test_swap_words(words, n, seed):
    before = list(words)
    swapped = data.swap_words(words, n, np.random.default_rng(seed))
    assert Counter(swapped) == Counter(words)
    assert words == before
    if n == 0 or len(words) < 2:
        assert swapped == words
    if n == 1:
        assert sum(a != b for a, b in zip(words, swapped, strict=True)) in (0, 2)


def test_every_pair_is_swapped_equally_often():
    rng = np.random.default_rng(0)
    found = Counter(tuple(data.swap_words(list("abcd"), 1, rng)) for _ in range(6000))
    assert len(found) == 6
    error = math.sqrt(1 / 6 * 5 / 6 / 6000)
    shares = [count / 6000 for count in found.values()]
    agree("swap_words", "probability", np.array(shares), [1 / 6] * 6, 5 * error, limit="1/√n")


@pytest.mark.verifies("delete_words", "keeps the order and at least one word")
@shapes_vary
@given(words=sentences, p=st.sampled_from([0.0, 0.3, 1.0]), seed=seeds)
def test_delete_words(words, p, seed):
    kept = data.delete_words(words, p, np.random.default_rng(seed))
    left = iter(words)
    assert all(word in left for word in kept)  # in the same order
    assert bool(kept) == bool(words)
    if p == 0:
        assert kept == words
    if p == 1 and words:
        assert len(kept) == 1


def test_words_are_deleted_with_their_probability():
    words = [str(i) for i in range(20_000)]
    kept = len(data.delete_words(words, 0.3, np.random.default_rng(0))) / len(words)
    error = math.sqrt(0.3 * 0.7 / len(words))
    agree("delete_words", "probability", np.float64(kept), 0.7, 4 * error, limit="1/√n")


@pytest.mark.verifies("insert_words", "adds n words of the sentence, and keeps its order")
@shapes_vary
@given(words=sentences, n=st.integers(0, 5), seed=seeds)
def test_insert_words(words, n, seed):
    more = data.insert_words(words, n, np.random.default_rng(seed))
    assert len(more) == len(words) + (n if words else 0)
    assert set(more) == set(words)
    left = iter(more)
    assert all(word in left for word in words)


def test_words_by_seed():
    for change, amount in (("swap_words", 2), ("delete_words", 0.5), ("insert_words", 2)):
        words = list("abcdefghi")
        for make in (np.random.default_rng, random.Random):
            drawn = [getattr(data, change)(words, amount, make(s)) for s in (1, 1, 2)]
            assert drawn[0] == drawn[1] != drawn[2]


def test_amounts_must_make_sense():
    rng = np.random.default_rng(0)
    for change in (data.swap_words, data.insert_words):
        with pytest.raises(ValueError, match="n must be at least 0, got -1"):
            change(["a"], -1, rng)
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"p must be from 0 to 1, got {p}"):
            data.delete_words(["a"], p, rng)


def test_a_seed_is_no_generator_and_a_text_no_list_of_words():
    """With a seed each call would draw the same numbers."""
    rng = np.random.default_rng(0)
    for change in (data.swap_words, data.insert_words, data.delete_words):
        with unchecked():
            with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator, got 0"):
                change(["a", "b"], 1, 0)
            with pytest.raises(TypeError, match="tokens must be a list of texts, got one text"):
                change("not bad", 1, rng)
            with pytest.raises(TypeError, match="tokens must have an order, got a set"):
                change({"not", "bad"}, 1, rng)  # which words it takes would differ by the process
    with unchecked():
        with pytest.raises(TypeError, match=r"generator must be a torch.*Generator, got 0"):
            data.random_crop(torch.ones(1, 4, 4), 2, 2, 0)
        with pytest.raises(TypeError, match=r"n must be a whole number, got 0\.5"):
            data.swap_words(["a", "b"], 0.5, rng)


# -- what images may be --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_large_images_in_16_bits(dtype):
    """Their places have numbers that 16 bits cannot tell apart."""
    images = torch.rand(2, 300, 280, generator=torch.Generator().manual_seed(0)).to(dtype)
    for change in (lambda x: data.rotate(x, 30.0), lambda x: data.rescale(x, 1.7)):
        expected = change(images.float()).to(dtype)
        found = change(images)
        assert found.dtype == dtype
        assert torch.equal(found, expected)


def test_more_pixels_than_float32_has_whole_numbers():
    height, width = 3, 2**23
    image = torch.zeros(height, width)
    image[2, -2] = 1.0
    corner = torch.tensor([[[1.0 - 3 / width, 1.0 - 1 / height]]])
    assert data.sample_bilinear(image, corner).item() == 1.0


def test_outside_of_an_image_all_is_zero():
    """Whatever is in its first pixel, and however far away."""
    image = torch.tensor([[math.nan, 1.0], [2.0, 3.0]])
    points = torch.tensor([[[5.0, 5.0], [1e38, 0.0], [-math.inf, math.inf]]])
    assert data.sample_bilinear(image, points).tolist() == [[0.0, 0.0, 0.0]]


IMAGE = torch.ones(2, 4, 4)
WRONG_IMAGES = {
    "images must hold floating-point numbers, got torch.uint8": [
        lambda: data.rotate(IMAGE.byte(), 22.5),
        lambda: data.rescale(IMAGE.byte(), 1.5),
        lambda: data.sample_bilinear(IMAGE.byte(), torch.zeros(1, 1, 2)),
    ],
    "images must be a torch tensor, got ndarray": [lambda: data.rotate(IMAGE.numpy(), 90)],
    "matrix must hold floating-point": [lambda: data.affine_grid(torch.ones(2, 3).long(), 2, 2)],
    "top must be a whole number, got 0.0": [lambda: data.crop(IMAGE, 0.0, 0, 2, 2)],
    "height must be a whole number": [
        lambda: data.crop(IMAGE, 0, 0, 2.0, 2),
        lambda: data.random_crop(IMAGE, 2.0, 2, torch.Generator()),
    ],
    "generator must be a torch.Generator, got 0: torch.Generator": [
        lambda: data.random_crop(IMAGE, 2, 2, 0)
    ],
}
WRONG_SHAPES = {
    r"images must be \(n, H, W\), got": lambda: data.random_crop(IMAGE[0], 2, 2, torch.Generator()),
    r"images must be \(..., H, W\), got": lambda: data.rotate(IMAGE[0, 0], 90),
    "degrees must be finite, got nan": lambda: data.rotate(IMAGE, math.nan),
    "factor must be finite, got inf": lambda: data.rescale(IMAGE, math.inf),
}


@pytest.mark.parametrize("message", [*WRONG_IMAGES, *WRONG_SHAPES])
def test_wrong_images_are_named(message):
    kind = TypeError if message in WRONG_IMAGES else ValueError
    for call in WRONG_IMAGES.get(message) or [WRONG_SHAPES[message]]:
        with unchecked(), pytest.raises(kind, match=message):
            call()
