r"""Writing: a model's tokens, one after the other, each chosen from what the model expects.

This file adds: ``generate``, for every model of this package that writes, and ``Generated``, what
comes of it; ``stream``, which hands over the text while it is being written. The loop itself is
`_write`: read, change the logits, choose a token, and again.

Shape letters: ``B`` rows, ``T`` tokens of the longest prompt, ``V`` vocabulary.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.generation.draws import Draw, Generators
from companion.generation.jobs import Prompts, _Job
from companion.generation.pieces import _held_back
from companion.generation.readers import Model
from companion.generation.samplers import Sampler
from companion.generation.stops import Stops
from companion.tokenizers import Tokenizer
from companion.training.evaluation import _evaluating

__all__ = ["Generated", "generate", "stream"]


@dataclass(frozen=True)
class Generated:
    """What a model has written: one entry of each list for each prompt."""

    ids: list[list[int]]
    """The tokens, without the prompt and without padding; a stop token is the last of its row."""
    log_probs: list[list[float]]
    """The model's own log-probability of each token, before samplers changed anything."""
    reasons: list[str]
    """Why each row ended: ``"stop_id"``, ``"stop_string"``, ``"condition"``, ``"complete"`` (a
    constraint), ``"max_new_tokens"`` or ``"positions"`` (the model has learnt no later one)."""
    texts: list[str] | None
    """If there was a tokenizer: what the tokens say, without what has stopped them."""
    cache_bytes: int
    """What the caches held at the end, in bytes."""


def generate(
    model: Model,
    prompts: Prompts,
    samplers: Iterable[Sampler] = (),
    *,
    max_new_tokens: int,
    stop: Stops = (),
    tokenizer: Tokenizer | None = None,
    generator: Generators = None,
    draw: Draw | None = None,
    start_id: int | None = None,
    cache: bool = True,
    window: int | None = None,
) -> Generated:
    r"""Let a model continue texts.

    Without a generator the likeliest token is taken each time (greedy decoding); with one, tokens
    are drawn from the probabilities that the samplers leave.

    A row does not depend on the others: alone and among longer ones it becomes the same, and it is
    drawn by numbers of its own.

    Parameters
    ----------
    model : GPT, Llama, Mixtral, T5, Seq2Seq or function
        Or any function of ids (1, T) to logits (1, T, V), which is called with the whole text for
        each token. Dropout is off; afterwards each part is in the mode that it was in.
    prompts : list of lists of int
        The ids of each text, of any lengths. For a model with an encoder these are the sources.
    samplers : list of Sampler
        Applied in order, such as ``[Temperature(0.8), TopP(0.9)]``.
    max_new_tokens : int
        How many tokens each row gets at most.
    stop : int, str, function, or list of them
        What a row ends with: a token; a text, which needs a tokenizer; a function that tells by
        the ids written so far whether it is over.
    tokenizer : Tokenizer, optional
        With it ``texts`` are returned, too.
    generator : torch.Generator, or a list of them, optional
        What draws. One for each row; a single one seeds one for each row, in order.
    draw : function, optional
        Draws in another way: from probabilities (B, V) to tokens (B,), such as
        ``lambda p: torch.multinomial(p, 1)[:, 0]``, which is what ``transformers`` does. A token
        of probability 0 is refused. It also
        draws for rows that have ended, so rows may then depend on one another.
    start_id : int, optional
        The token that every target begins with; for a model with an encoder alone, which needs it.
    cache : bool
        Whether keys and values are kept. Without, everything is computed again for each token.
    window : int, optional
        Keep only so many of the last positions, and look at no others.

    Returns
    -------
    Generated

    Raises
    ------
    ValueError
        Before anything runs: if there is no prompt, one is empty or longer than the model's
        positions, an id is not in the vocabulary, a sampler cannot work, or arguments contradict
        one another. While it runs: if logits are not numbers, or samplers leave no token; if what
        a function returns, as ``model``, in ``samplers`` or as ``draw``, has another shape than it
        must have; if a token in ``stop`` is not in the vocabulary of a function.
    TypeError
        If an argument, or what a function returns, is of another kind.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> gpt = GPT(GPTConfig(vocab_size=10, max_length=8, d_model=8, n_layers=2, n_heads=2))
    >>> done = generate(gpt, [[1, 2, 3], [4]], max_new_tokens=7)
    >>> [len(ids) for ids in done.ids], done.reasons
    ([6, 7], ['positions', 'max_new_tokens'])
    """
    job = _Job(
        model,
        prompts,
        samplers,
        max_new_tokens,
        stop=stop,
        tokenizer=tokenizer,
        generator=generator,
        draw=draw,
        start_id=start_id,
        cache=cache,
        window=window,
    )
    with _evaluating(job.model):
        for _ in _write(job):
            pass
    return _result(job)


@torch.inference_mode()
def _write(job: _Job) -> Iterator[None]:
    """Choose a token for each row, again and again, until all rows have ended."""
    reader = job.reader()
    logits = reader.read(job.first())[:, -1]  # (B, V)
    while True:
        chosen = job.choose(job.sampled(logits))  # (B,)
        job.add(chosen, logits)
        job.cache_bytes = reader.nbytes
        yield
        if job.ended:
            return
        logits = reader.read(chosen[:, None])[:, -1]


def _result(job: _Job) -> Generated:
    texts = None if job.texts is None else [str(text) for text in job.texts]
    return Generated(job.written, job.log_probs, job.reasons, texts, job.cache_bytes)


def stream(
    model: Model,
    prompt: Sequence[int] | Tensor,
    samplers: Iterable[Sampler] = (),
    *,
    tokenizer: Tokenizer,
    max_new_tokens: int,
    stop: Stops = (),
    generator: torch.Generator | None = None,
    start_id: int | None = None,
    window: int | None = None,
) -> Generator[str, None, Generated]:
    r"""Let a model continue a text, and hand over what it says while it writes.

    Each piece is of whole characters: what ends in the middle of one waits for the rest. What may
    be the beginning of a stop string waits, too, and a stop string itself is not handed over. All
    pieces together are the text that `generate` returns.

    Parameters
    ----------
    model, samplers, max_new_tokens, stop, start_id, window
        As for `generate`.
    prompt : list of int
    tokenizer : Tokenizer
    generator : torch.Generator, optional
        What draws; by default the likeliest token is taken each time.

    Returns
    -------
    iterator of str
        Its return value is the `Generated` of the one row. What is wrong with the arguments is
        said at once, not with the first piece.

    Raises
    ------
    ValueError
        As for `generate`.
    TypeError
        As for `generate`.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> from companion.tokenizers import Characters
    >>> tokenizer = Characters("abcdefghij")
    >>> gpt = GPT(GPTConfig(vocab_size=10, max_length=8, d_model=8, n_layers=2, n_heads=2))
    >>> pieces = stream(gpt, tokenizer.encode("bad"), tokenizer=tokenizer, max_new_tokens=4)
    >>> len("".join(pieces))
    4
    """
    job = _Job(
        model,
        [prompt],
        samplers,
        max_new_tokens,
        stop=stop,
        tokenizer=tokenizer,
        generator=generator,
        start_id=start_id,
        window=window,
        names=("model", "prompt"),
    )
    if job.texts is None:
        raise TypeError("tokenizer must be one of companion.tokenizers, got None")
    return _pieces(job)


def _pieces(job: _Job) -> Generator[str, None, Generated]:
    """Yield the text of the one row, as far as no later token can change it."""
    steps, given = _write(job), 0
    assert job.texts is not None
    while not job.ended:
        with _evaluating(job.model):  # not while somebody else works with the model
            next(steps)
        text = str(job.texts[0])
        ready = len(text) if job.ended else len(text) - _held_back(text, job.ends.strings)
        if ready > given:
            yield text[given:ready]
            given = ready
    return _result(job)
