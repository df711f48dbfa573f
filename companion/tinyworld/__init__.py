r"""Tiny World: a generated language whose every probability is known.

This folder adds: a small probabilistic grammar that writes stories in English and, in step, in
Chinese. Because it is unambiguous, the exact log-probability of each text and the entropy of the
language are known: a language model's loss can be compared with the floor that no model can
pass, and a classifier with the best one possible. Sentiment, entities, questions, translations,
instructions and preferences come from the same stories.
"""

from companion.tinyworld.world import TinyWorld

__all__ = ["TinyWorld"]
