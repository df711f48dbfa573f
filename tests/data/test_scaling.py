"""Scaling and standardisation against scikit-learn and the twin."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from companion import data
from companion.reference import data as twin
from tests.plugins.shapes import unchecked
from tests.support import normal, seeds, shapes_vary, sizes
from tests.verification import agree

INTERVALS = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (2.5, 10.0)])


@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds, to=INTERVALS)
def test_scale(rows, columns, seed, to):
    x = normal(rows, columns, seed=seed, scale=5.0).numpy()
    low, high = -7.0, 9.0
    theirs = MinMaxScaler(to).fit(np.full((2, columns), [[low], [high]])).transform(x)
    agree("scale", "scikit-learn", data.scale(x, low, high, to), theirs)
    agree("scale", "NumPy twin", data.scale(x, low, high, to), twin.scale(x, low, high, to))
    agree("scale, tensor", "NumPy twin", data.scale(torch.from_numpy(x), low, high, to), theirs)
    agree("twin: scale", "scikit-learn", twin.scale(x, low, high, to), theirs)


def test_scale_of_bytes():
    x = np.arange(256, dtype=np.uint8)
    expected = np.arange(256) / 255
    for images in (x, torch.from_numpy(x)):
        unit = data.scale(images, 0, 255)
        assert str(unit.dtype).endswith("float32")
        agree("scale", "by hand", unit, expected)
        agree("scale", "by hand", data.scale(images, 0, 255, to=(-1, 1)), 2 * expected - 1)


def test_scale_keeps_the_format():
    for dtype in (torch.float32, torch.float64):
        assert data.scale(torch.ones(2, dtype=dtype), 0, 2).dtype is dtype
    assert data.scale(np.ones(2, np.float16), 0, 2).dtype == np.float16


@pytest.mark.parametrize("bounds", [(1, 1), (2, 1)])
def test_scale_of_an_empty_interval(bounds):
    with pytest.raises(
        ValueError, match=f"high must be above low, got {bounds[1]} and {bounds[0]}"
    ):
        data.scale(np.ones(1), *bounds)


@shapes_vary
@given(rows=st.integers(2, 9), columns=sizes, seed=seeds)
def test_standardizer(rows, columns, seed):
    train = normal(rows, columns, seed=seed, scale=4.0).numpy() + 3
    test = normal(5, columns, seed=seed + 1).numpy()
    ours, theirs = data.Standardizer().fit(train), StandardScaler().fit(train)
    for x in (train, test):
        agree("Standardizer.transform", "scikit-learn", ours.transform(x), theirs.transform(x))
        agree("Standardizer.transform", "NumPy twin", ours.transform(x), twin.standardise(train, x))
        agree("Standardizer.inverse", "scikit-learn", ours.inverse(x), theirs.inverse_transform(x))
        agree("Standardizer.inverse", "by hand", ours.inverse(ours.transform(x)), x)
        tensor = ours.transform(torch.from_numpy(x))
        agree("Standardizer.transform, tensor", "scikit-learn", tensor, theirs.transform(x))
    agree(
        "twin: standardise", "scikit-learn", twin.standardise(train, test), theirs.transform(test)
    )
    assert ours.mean.shape == ours.std.shape == (columns,)


def test_one_mean_for_all_pixels():
    images = normal(4, 3, 2).numpy()
    standardizer = data.Standardizer(overall=True).fit(images)
    column = StandardScaler().fit_transform(images.reshape(-1, 1)).reshape(images.shape)
    agree("Standardizer.transform", "scikit-learn", standardizer.transform(images), column)


def test_standardizer_sees_only_what_it_is_fitted_on():
    train, test = normal(50, 2).numpy(), normal(50, 2, seed=1).numpy() + 100
    standardizer = data.Standardizer().fit(train)
    before = standardizer.mean.copy()
    assert standardizer.transform(test).mean() > 50
    assert (standardizer.mean == before).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.3])
def test_a_constant_feature_becomes_nothing(value):
    train = np.full((7, 1), value)
    standardizer = data.Standardizer().fit(train)
    assert standardizer.std.tolist() == [1.0]
    agree("Standardizer.transform", "by hand", standardizer.transform(train), np.zeros((7, 1)))


def test_standardizer_of_whole_numbers():
    x = np.array([[0], [255]], dtype=np.uint8)
    standardizer = data.Standardizer().fit(x)
    for both in (x, torch.from_numpy(x)):
        found = standardizer.transform(both)
        assert str(found.dtype).endswith("float32")
        agree("Standardizer.transform", "by hand", found, [[-1.0], [1.0]])


def test_standardizer_without_data():
    with pytest.raises(ValueError, match="nothing was fitted: call fit on the training part first"):
        data.Standardizer().transform(np.ones((1, 1)))
    with pytest.raises(ValueError, match="nothing was fitted"):
        data.Standardizer().inverse(np.ones((1, 1)))
    for x in (np.empty((0, 2)), np.array([[1.0], [np.nan]])):
        with pytest.raises(ValueError, match="x must hold finite numbers, got an array of"):
            data.Standardizer().fit(x)


LATE = np.arange(1_700_000_000, 1_700_000_010)  # seconds: in float32 all of them are one number


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_large_numbers_that_are_near_one_another(form):
    x = LATE[:, None]
    theirs = StandardScaler().fit_transform(x)
    found = data.Standardizer().fit(form(x)).transform(form(x))
    agree(
        "Standardizer.transform", "scikit-learn", np.asarray(found), theirs, 1e-6, limit="float32"
    )
    theirs = MinMaxScaler().fit_transform(x)
    found = np.asarray(data.scale(form(x), int(LATE[0]), int(LATE[-1])))
    agree("scale", "scikit-learn", found, theirs, 1e-6, limit="float32")


SPREAD = np.array([[0], [1], [2], [5]])
FORMS = {
    **{str(kind): SPREAD.astype(kind) for kind in ("float16", "int8", "uint8", "uint16", "uint64")},
    "bfloat16": torch.from_numpy(SPREAD).bfloat16(),
    "with a gradient": torch.from_numpy(SPREAD).float().requires_grad_(),
    "a list": SPREAD.tolist(),
    "nanoseconds": SPREAD + 1_700_000_000_000_000_000,
    "nanoseconds in a tensor": torch.from_numpy(SPREAD + 1_700_000_000_000_000_000),
    "the last of 64 bits": (np.uint64(2**64 - 6) + SPREAD.astype(np.uint64)),
    "very large": SPREAD * 1e300,
    "very small": SPREAD * 1e-300,
    "half and large": (SPREAD * 12_000).astype(np.float16),
}


@pytest.mark.parametrize("x", FORMS.values(), ids=FORMS)
def test_the_same_numbers_whatever_they_are_kept_in(x):
    """Squares and sums overflow in 16 bits, and at 1e300 in 64, too; there the offset is lost."""
    expected = StandardScaler().fit_transform(SPREAD)
    with unchecked():
        found = data.Standardizer().fit(x).transform(x)
    found = found.detach().float() if isinstance(found, torch.Tensor) else found
    error = 1e-2 if "bfloat16" in str(getattr(x, "dtype", "")) else 1e-3
    agree("Standardizer.transform", "scikit-learn", np.asarray(found), expected, error, limit="16")


def test_features_must_be_those_it_was_fitted_on():
    """One column would otherwise be taken for each of two."""
    fitted = data.Standardizer().fit(np.array([[1.0, 5.0], [3.0, 9.0]]))
    for use in (fitted.transform, fitted.inverse):
        with pytest.raises(ValueError, match=r"features of shape \(2,\), got shape \(3, 1\)"):
            use(np.ones((3, 1)))
    agree("Standardizer.transform", "by hand", fitted.transform(np.array([3.0, 5.0])), [1.0, -1.0])
    assert repr(fitted) == "Standardizer(), fitted on features of shape (2,)"


@pytest.mark.parametrize("x", [np.array([["a"]]), np.array([[1j]]), np.array(["2020"], "M8[Y]")])
def test_what_is_no_real_number_is_refused(x):
    with pytest.raises(TypeError, match="x must hold real numbers, got"):
        data.Standardizer().fit(x)
    with pytest.raises(TypeError, match="x must hold real numbers, got"):
        data.scale(x, 0, 1)


def test_bounds_must_be_numbers():
    for low, high in ((0, np.inf), (-1e308, 1e308)):
        with pytest.raises(ValueError, match="the bounds and their distance must be finite"):
            data.scale(np.ones(1), low, high)
    for bound in ("0", None, True, np.zeros(1)):
        with unchecked(), pytest.raises(TypeError, match="low must be a number, got"):
            data.scale(np.ones(1), bound, 1)
    with unchecked(), pytest.raises(TypeError, match="to must be two numbers, got 5"):
        data.scale(np.ones(1), 0, 1, to=5)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_bounds_in_the_format_of_the_numbers(dtype):
    """`x.min()` and `x.max()` are such: the distance of -100 and 100 is -56 in 8 bits."""
    limits = np.iinfo(dtype)
    x = np.array([limits.min, limits.min, limits.max], dtype=dtype)
    with unchecked():
        for numbers in (x, torch.from_numpy(x)):
            found = data.scale(numbers, numbers.min(), numbers.max())
            assert found.tolist() == [0.0, 0.0, 1.0]
        found = data.scale(np.array([0.0, 1.0]), 0, 1, to=(x[2], x[0]))
    assert found.tolist() == [float(limits.max), float(limits.min)]


def test_bounds_of_nanoseconds():
    x = np.arange(1_700_000_000_000_000_000, 1_700_000_000_000_000_005)
    with unchecked():
        assert data.scale(x, x.min(), x.max()).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_masked_numbers_are_refused():
    """The number below a mask would count for mean and deviation."""
    x = np.ma.array([1.0, 2.0, 9.0], mask=[False, False, True])
    for use in (data.Standardizer().fit, lambda x: data.scale(x, 0, 9)):
        with unchecked(), pytest.raises(ValueError, match="x must not have masked numbers"):
            use(x)


def test_a_deviation_too_small_for_a_number():
    """Of 0 and 5e-324 it is half of that, which rounds to 0."""
    x = np.array([[0.0], [5e-324]])
    fitted = data.Standardizer().fit(x)
    assert fitted.std.tolist() == [1.0]
    assert np.isfinite(fitted.transform(x)).all()
