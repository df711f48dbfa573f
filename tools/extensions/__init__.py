"""Sphinx extensions of this book, each small enough to read in one go."""
