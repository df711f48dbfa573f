"""Side-by-side measurements; their records are in results/."""
