r"""Masked tokens as the targets: masked language modelling.

This file adds: the choice of the tokens that a model is asked for, each for itself or whole words
at once, and what stands in their place.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Int64, Integer
from torch import Tensor

from companion._arguments import _require_generator, _require_int, _require_number, _require_texts
from companion._tensors import _require_ids, _require_sizes, _require_whole_numbers
from companion.losses import IGNORE

__all__ = ["mask_tokens", "whole_words"]


def mask_tokens(
    ids: Integer[Tensor, "*batch length"],
    mask_id: int,
    vocab_size: int,
    *,
    p: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    special_ids: Iterable[int] = (),
    words: Integer[Tensor, "*batch length"] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Int64[Tensor, "*batch length"], Int64[Tensor, "*batch length"]]:
    r"""Pick tokens to ask for, and hide most of them.

    Each token is picked with probability p. Of the picked ones, 80 % become ``mask_id``, 10 % a
    token drawn from the whole vocabulary, and the rest stay as they are (Devlin et al. 2019,
    section 3.1 and appendix A.1). BERT's own program picks the same number in every text; here
    each token is picked independently, as in ``transformers``, whose collator draws the same
    masks from the same seed.

    Parameters
    ----------
    ids : Tensor of int, shape (..., T)
    mask_id : int
        The id of ``[MASK]``.
    vocab_size : int
        V; random tokens are drawn from 0 to V − 1.
    p : float
        How probable it is that a token is picked, from 0 to 1.
    mask_share, random_share : float
        Shares of the picked tokens; what they leave of 1 is kept as it is.
    special_ids : iterable of int
        Tokens that are never picked, such as ``[CLS]``, ``[SEP]`` and the padding.
    words : Tensor of int, shape (..., T), optional
        The number of the word that a token belongs to, and −1 for none (`whole_words`);
        neighbours with the same number are one word. Its tokens are then picked together, each
        word with probability p (whole-word masking, in BERT's repository since May 2019); what
        stands in their place is still drawn for each token by itself.
    generator : torch.Generator, optional
        Where chance comes from; by default PyTorch's own.

    Returns
    -------
    inputs : Tensor of int64, shape (..., T)
        The corrupted row.
    targets : Tensor of int64, shape (..., T)
        The original token where one was picked, and −100 everywhere else.

    Raises
    ------
    ValueError
        If an id is not in the vocabulary, a share is out of range, the two exceed 1, or ``words``
        has another shape.
    TypeError
        If ids are not whole numbers, or ``generator`` is a seed.

    Examples
    --------
    >>> ids = torch.tensor([[1, 7, 5, 8, 2]])
    >>> generator = torch.Generator().manual_seed(10)
    >>> inputs, targets = mask_tokens(ids, 3, 10, p=0.5, special_ids=[1, 2], generator=generator)
    >>> inputs, targets  # 7 is hidden, 5 is kept; the model is asked for both
    (tensor([[1, 3, 5, 8, 2]]), tensor([[-100,    7,    5, -100, -100]]))
    """
    special = _require_masking(ids, mask_id, vocab_size, p, mask_share, random_share, special_ids)
    if generator is not None:
        _require_generator("generator", generator, torch.Generator)
    ids = ids.long()
    if words is None:
        picked = _coins(ids, p, generator, ~special)
    else:
        picked = _pick(ids, words, p, generator) & ~special
    masked = picked & _coins(ids, mask_share, generator)
    rest = 1 - mask_share
    share = min(random_share / rest, 1.0) if rest else 0.0  # of those that are not masked
    replaced = picked & ~masked & _coins(ids, share, generator)
    drawn = torch.randint(vocab_size, ids.shape, generator=generator, device=_where(generator))
    inputs = torch.where(masked, mask_id, torch.where(replaced, drawn.to(ids.device), ids))
    return inputs, torch.where(picked, ids, IGNORE)


def whole_words(tokens: Sequence[str], *, inside: str = "##") -> list[int]:
    r"""Return the number of the word that each token belongs to.

    Parameters
    ----------
    tokens : list of str
        As WordPiece cuts them. A token in brackets, such as ``[CLS]``, belongs to no word.
    inside : str
        How a token begins that goes on with a word.

    Returns
    -------
    list of int
        For each token the number of its word, from 0; −1 for none.

    Raises
    ------
    TypeError
        If ``tokens`` is one text, or holds something else than texts.

    Examples
    --------
    >>> whole_words(["[CLS]", "em", "##bed", "##ding", "table", "[SEP]"])
    [-1, 0, 0, 0, 1, -1]
    """
    numbers: list[int] = []
    number = -1
    for token in _require_texts(tokens, "tokens"):
        special = token.startswith("[") and token.endswith("]") and len(token) > 2
        number += not special and not token.startswith(inside)
        numbers.append(-1 if special else number)
    return numbers


def _coins(
    ids: Tensor, p: float, generator: torch.Generator | None, allowed: Tensor | None = None
) -> Tensor:
    """Throw a coin for each token that shows heads with probability p."""
    odds = torch.full(ids.shape, p, device=_where(generator))
    if allowed is not None:
        odds = odds * allowed.to(odds.device)
    return torch.bernoulli(odds, generator=generator).bool().to(ids.device)


def _pick(
    ids: Tensor, words: Tensor, p: float, generator: torch.Generator | None
) -> Bool[Tensor, "*batch length"]:
    """Throw a coin for the first token of each word, which counts for all of its tokens."""
    _require_words(ids, words)
    words = words.long()
    before = torch.cat([torch.full_like(words[..., :1], -1), words[..., :-1]], dim=-1)
    first = (words >= 0) & (words != before)
    places = torch.arange(words.shape[-1], device=words.device)
    starts = torch.where(first, places, 0).cummax(dim=-1).values  # of the word of each token
    return _coins(ids, p, generator, first).gather(-1, starts) & (words >= 0)


def _where(generator: torch.Generator | None) -> torch.device:
    """Return where numbers are drawn."""
    return torch.device("cpu") if generator is None else generator.device


def _require_masking(
    ids: Tensor,
    mask_id: int,
    vocab_size: int,
    p: float,
    mask_share: float,
    random_share: float,
    special_ids: Iterable[int],
) -> Bool[Tensor, "*batch length"]:
    """Refuse what cannot be masked; return where special tokens stand."""
    _require_sizes(vocab_size=vocab_size)
    _require_ids("ids", ids, vocab_size)
    _require_int("mask_id", mask_id, least=0, most=vocab_size - 1)
    for name, share in (("p", p), ("mask_share", mask_share), ("random_share", random_share)):
        if not 0 <= _require_number(name, share) <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    if mask_share + random_share > 1 + 1e-9:
        raise ValueError(
            f"mask_share and random_share must be at most 1 together, "
            f"got {mask_share} and {random_share}"
        )
    numbers = [_require_int("each of special_ids", number) for number in special_ids]
    return torch.isin(ids.long(), torch.tensor(numbers, dtype=torch.long, device=ids.device))


def _require_words(ids: Tensor, words: Tensor) -> None:
    _require_whole_numbers(words=words)
    if words.shape != ids.shape:
        raise ValueError(
            f"words must have the shape of ids, {tuple(ids.shape)}, got {tuple(words.shape)}"
        )
