r"""Tiny World: a generated language whose every probability is known.

This folder adds: a small probabilistic grammar that writes stories in English and, in step, in
Chinese. Because it is unambiguous, three things are known exactly: the log-probability of each
text, the distribution over the next token after each beginning, and the entropy of the language.
So a language model's loss can be compared with the floor that no model can pass, its predictions
with the true ones, and a classifier with the best one possible. Sentiment, entities, questions,
translations, instructions and preferences come from the same stories.
"""

from companion.tinyworld.world import TinyWorld

__all__ = ["TinyWorld"]
