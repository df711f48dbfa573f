"""NumPy twins: each formula in float64, obvious and slow, to hold the fast code against."""
