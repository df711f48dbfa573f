r"""What is to be written, and how far it has come: the bookkeeping of `generate` and `stream`.

All arguments are checked here before a model runs.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from companion._arguments import _require_flag, _require_int, _require_ordered
from companion._tensors import _wide
from companion.generation.draws import Draw, Generators, _uniform_draw
from companion.generation.functions import _Asked, _checked_draw, _Function
from companion.generation.readers import (
    Model,
    _Causal,
    _EncoderDecoder,
    _has_encoder,
    _most_positions,
    _padded_left,
    _Reader,
    _unwrapped,
    _vocab_size,
)
from companion.generation.samplers import Sampler, _require_samplers, _sampled
from companion.generation.stops import Stops, _Ends
from companion.models import Pretrained
from companion.tokenizers import Tokenizer
from companion.training.evaluation import _device_of

__all__ = ["Prompts"]

#: The ids of each text, in lists or tensors, or all of them in one tensor.
Prompts = Iterable[Sequence[int] | Tensor] | Tensor


class _Job:
    """Texts that are being written, row by row.

    ``names`` are what the caller calls the model and prompt number {}, for messages.
    """

    def __init__(
        self,
        model: Model,
        prompts: Prompts,
        samplers: Iterable[Sampler],
        max_new_tokens: int,
        *,
        stop: Stops = (),
        tokenizer: Tokenizer | None = None,
        generator: Generators = None,
        draw: Draw | None = None,
        start_id: int | None = None,
        cache: bool = True,
        window: int | None = None,
        names: tuple[str, str] = ("model", "prompts[{}]"),
    ) -> None:
        self.model, self.names = _require_model(model, names[0]), names
        vocab_size = _vocab_size(self.model)
        self.given = _require_prompts(prompts, vocab_size, names[1])
        self.rows = _beginnings(self.model, self.given, start_id, vocab_size)
        self.limits = _limits(self.model, self.rows, max_new_tokens, names)
        by_chance = generator is not None or draw is not None
        room = min(limit for limit, _ in self.limits)
        listed = _require_samplers(samplers, vocab_size, by_chance, room)
        self.samplers = [_Asked(sampler) for sampler in listed]
        self.ends = _Ends(stop, tokenizer, listed, vocab_size)
        self.cache, self.window = cache, _require_window(self.model, cache, window)
        self.choose = _chooser(generator, draw, len(self.rows), max_new_tokens)
        n = len(self.rows)
        self.written: list[list[int]] = [[] for _ in range(n)]
        self.log_probs: list[list[float]] = [[] for _ in range(n)]
        self.reasons = [""] * n  # of rows that go on
        self.texts = self.ends.texts(n)
        self.cache_bytes = 0

    def first(self) -> Tensor:
        """Return what is read first, (B, T)."""
        return _padded_left(self.rows, _device_of(self.model))

    def reader(self) -> _Reader:
        """Return the model with empty caches; one with an encoder has read the sources."""
        longest = max(map(len, self.rows)) + max(limit for limit, _ in self.limits)
        if _vocab_size(self.model) is None:
            return _Function(self.model, self.rows, self.names[0], self._check)
        return _reader(self.model, self.given, self.rows, longest, self.cache, self.window)

    def _check(self, vocab_size: int) -> None:
        """Refuse stop tokens and samplers that do not fit the vocabulary of a function."""
        self.ends.check(vocab_size)
        for asked in self.samplers:
            if hasattr(asked.sampler, "check"):
                asked.sampler.check(vocab_size)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to write."""
        return all(self.reasons)

    def sampled(self, logits: Tensor) -> Tensor:
        """Return logits (B, V) as the samplers change them, for the rows that go on."""
        if not self.samplers:
            _require_finite(logits, self.reasons, "the model's logits")
            return logits
        found = _sampled(self.samplers, logits, self.rows, self.written)
        if any(self.reasons):  # nothing is asked of the others, and a draw may need probabilities
            over = torch.tensor([bool(reason) for reason in self.reasons], device=logits.device)
            found = torch.where(over[:, None], logits.to(found.dtype), found)
        _require_finite(found, self.reasons, "what the samplers leave")
        return found

    def add(self, chosen: Tensor, logits: Tensor) -> None:
        """Add a token (B,) to each row that goes on; ``logits`` are those of the model."""
        logits = _wide(logits)
        log_p = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(dim=-1)
        for i, (token, value) in enumerate(zip(chosen.tolist(), log_p.tolist(), strict=True)):
            if not self.reasons[i]:
                if math.isnan(value):
                    raise ValueError(f"the model's logits must be numbers, but hold NaN in row {i}")
                self.written[i].append(token)
                self.log_probs[i].append(value)
                self.reasons[i] = self._reason(i)

    def _reason(self, i: int) -> str:
        """Return why a row ends with its last token; nothing if it goes on."""
        text = None if self.texts is None else self.texts[i]
        reason = self.ends.reason(self.written[i], text)
        limit, why = self.limits[i]
        return reason or (why if len(self.written[i]) >= limit else "")


def _reader(
    model: Any,
    given: list[list[int]],
    rows: list[list[int]],
    longest: int,
    cache: bool = True,
    window: int | None = None,
) -> _Reader:
    """Return what reads with a model of the book."""
    if _has_encoder(model):
        return _EncoderDecoder(model, given, longest, cache)
    return _Causal(model, rows, longest, cache, window)


def _chooser(
    generator: Generators, draw: Draw | None, n_rows: int, n_steps: int
) -> Callable[[Tensor], Tensor]:
    """Return what chooses a token for each row, from logits (B, V) to ids (B,)."""
    if draw is None and generator is None:
        return lambda logits: logits.argmax(dim=-1)
    if draw is None:
        draw = _uniform_draw(generator, n_rows, n_steps)
    elif generator is not None:
        raise ValueError("generator and draw must not both be given: only one of them can draw")
    elif not callable(draw):
        raise TypeError(f"draw must be a function of probabilities, got {draw!r}")
    else:
        draw = _checked_draw(draw)
    drawn = draw
    return lambda logits: drawn(_wide(logits).softmax(dim=-1))


# -- checks --------------------------------------------------------------------------------------


def _require_model(model: Any, name: str) -> Any:
    """Return a model that writes, as it was before it was compiled."""
    model = _unwrapped(model)
    if _vocab_size(model) is None and (isinstance(model, Pretrained) or not callable(model)):
        raise TypeError(
            f"{name} must be one that writes, such as GPT, Llama, T5 or Seq2Seq, or a function "
            f"from ids to logits; got {type(model).__name__}"
        )
    return model


def _require_prompts(prompts: Prompts, vocab_size: int | None, name: str) -> list[list[int]]:
    """Return the ids of each prompt as a list."""
    rows = [
        _require_prompt(name.format(i), row, vocab_size) for i, row in enumerate(_listed(prompts))
    ]
    if not rows:
        raise ValueError("prompts must hold at least one prompt, got none")
    return rows


def _listed(prompts: Prompts) -> Iterable[Any]:
    if isinstance(prompts, str):
        raise TypeError("prompts must be ids, got a text; encode it with a tokenizer first")
    return prompts.tolist() if isinstance(prompts, Tensor) else _require_ordered(prompts, "prompts")


def _require_prompt(name: str, row: Any, vocab_size: int | None) -> list[int]:
    if isinstance(row, (int, str)):
        several = "; one prompt alone is [[1, 2, 3]]" if "[" in name else ""
        raise TypeError(f"{name} must be a list of ids, got {row!r}{several}")
    row = row.tolist() if hasattr(row, "tolist") else list(_require_ordered(row, name))
    if not row:
        raise ValueError(f"{name} must hold at least one token to begin with, got none")
    most = None if vocab_size is None else vocab_size - 1
    return [_require_int(f"each id of {name}", token, least=0, most=most) for token in row]


def _beginnings(
    model: Any, given: list[list[int]], start_id: int | None, vocab_size: int | None
) -> list[list[int]]:
    """Return what each row begins with: its prompt, or the token that begins every target."""
    if not _has_encoder(model):
        if start_id is not None:
            raise ValueError("start_id is for models with an encoder; this one goes on its prompts")
        return given
    if start_id is None:
        raise ValueError("start_id must be given: the token that every target of the model begins")
    assert vocab_size is not None
    start_id = _require_int("start_id", start_id, least=0, most=vocab_size - 1)
    return [[start_id] for _ in given]


def _limits(
    model: Any, rows: list[list[int]], max_new_tokens: int, names: tuple[str, str]
) -> list[tuple[int, str]]:
    """Return how many tokens each row can get, and what stands in the way of more."""
    _require_int("max_new_tokens", max_new_tokens, least=1)
    positions, limits = _most_positions(model), []
    for i, row in enumerate(rows):
        # The last token that is written is not read any more, so it needs no position.
        room = max_new_tokens if positions is None else positions - len(row) + 1
        if room < 1:
            raise ValueError(
                f"{names[1].format(i)} must have at most {positions} tokens, the positions that "
                f"the {names[0]} has learnt; got {len(row)}"
            )
        few = room < max_new_tokens
        limits.append((room, "positions") if few else (max_new_tokens, "max_new_tokens"))
    return limits


def _require_window(model: Any, cache: bool, window: int | None) -> int | None:
    """Refuse a window where there is no cache, or none that could have one."""
    _require_flag("cache", cache)
    if window is None:
        return None
    if not cache or _has_encoder(model) or not isinstance(model, nn.Module):
        raise ValueError("window is for the caches of GPT, Llama and Mixtral; there are none here")
    return _require_int("window", window, least=1)


def _require_finite(logits: Tensor, reasons: Sequence[str], what: str) -> None:
    """Refuse logits of a row that goes on if there is no largest one among them."""
    for i, largest in enumerate(logits.amax(dim=-1).tolist()):
        if not math.isfinite(largest) and not reasons[i]:
            if largest == -math.inf:
                raise ValueError(f"{what} must allow some token, but allow none in row {i}")
            raise ValueError(f"{what} must be finite, but hold {largest} in row {i}")
