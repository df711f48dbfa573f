"""The companion package of *Large Models from Scratch*: what the chapters build, and import."""

__version__ = "0.1.0"
