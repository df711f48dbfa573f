"""Pictures of a widget's states, divided into what they share and what each has of its own."""

import numpy as np
from PIL import Image, ImageFilter

from companion.notebook import pictures


def test_the_seam_is_two_pixels_wide_at_the_edges_too():
    drawn = np.random.default_rng(1).random((3, 20, 17, 3)) < 0.02
    for one in drawn:
        differs = Image.fromarray(one.any(axis=2).astype(np.uint8) * 255)
        grown = np.asarray(differs.filter(ImageFilter.MaxFilter(5))) > 0
        found = pictures._differs(one, np.zeros_like(one))
        assert found.any()
        np.testing.assert_array_equal(found, grown)
