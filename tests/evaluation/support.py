"""What the tests of evaluation share: oracles that warn where we do not, and random rows."""

import warnings

import numpy as np
from hypothesis import strategies as st


def quiet(function, *args, **settings):
    """Call a function of another package, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **settings)


def equal_but_nan(ours, theirs):
    """Return both with NaN replaced by a number, after seeing that it stands in the same places."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    assert np.isnan(ours).tolist() == np.isnan(theirs).tolist()
    return np.nan_to_num(ours, nan=-7.0), np.nan_to_num(theirs, nan=-7.0)


@st.composite
def labelled(draw, n_classes=3, least=1):
    """Draw two lists of labels, of the same length."""
    n = draw(st.integers(least, 12))
    label = st.integers(0, n_classes - 1)
    lists = st.lists(label, min_size=n, max_size=n)
    return draw(lists), draw(lists)


@st.composite
def scored(draw, least=1):
    """Draw labels 0 and 1, and scores with many ties."""
    n = draw(st.integers(least, 15))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    scores = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    return np.array(labels), np.array(scores) / 4
