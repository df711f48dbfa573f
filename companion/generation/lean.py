r"""A model's blocks as plain functions of tensors, for one token after the other.

A module of this package looks at what it is given in every call. Where a call has one token in a
row, that and the calls themselves take longer than the arithmetic. So while a model writes, the
matrices of its blocks are used directly: the same products, nothing else. Where many tokens are to
be written, maps of one and the same vector become one product, and matrices are laid out in memory
so that their rows are long: with copies, which are made once.

Whatever is not known here is called as the module that it is: another kind of layer, a layer with
hooks, weights of 16 bits.

Shape letters: ``B`` rows, ``H`` query heads, ``G`` key-value heads, ``T`` positions so far, ``d``
width of one head, ``D`` model width.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.attention import KVCache, MultiHeadAttention
from companion.layers import Dropout, FeedForward, LayerNorm, Linear, RMSNorm, Rotary, SwiGLU
from companion.layers.positions import _angles
from companion.models import GPT, Llama
from companion.transformer import Block, DecoderBlock, PostNorm, PreNorm

Layer = Callable[..., Tensor]

#: A copy takes as long as it saves in some tokens, or in dozens where a matrix is large: recorded
#: by ``benchmarks/generation_speed.py``.
TOKENS_THAT_PAY = 32
#: Of a model with more numbers, a gigabyte of 32 bits each, there shall be no second one in memory.
MOST_COPIED = 2**28
#: Of a matrix with fewer numbers the call takes longer than the reading, in whatever order.
LEAST_TURNED = 2**15


def _is_plain(block: nn.Module, kind: type[nn.Module], *parts: str) -> bool:
    """Tell whether a block is of a kind whose arithmetic is known, and does nothing besides."""
    known = type(block) is kind and all(_is_known(getattr(block, name)) for name in parts)
    return known and _only_computes(block)


def _only_computes(*modules: nn.Module) -> bool:
    """Tell whether modules have no hooks, and numbers of 32 bits or more, which nobody recasts."""
    parts = [part for module in modules for part in module.modules()]
    if any(part._forward_hooks or part._forward_pre_hooks for part in parts):
        return False
    weight = next(modules[0].parameters())
    return weight.dtype in (torch.float32, torch.float64) and not _autocasts(weight.device.type)


def _autocasts(device_type: str) -> bool:
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before PyTorch 2.4 each kind of device had a function of its own
        cpu = device_type == "cpu"
        return torch.is_autocast_cpu_enabled() if cpu else torch.is_autocast_enabled()


def _is_known(around: nn.Module) -> bool:
    """Tell whether this is attention with a residual connection of a known kind around it."""
    return type(around) in (PreNorm, PostNorm) and type(around.layer) is MultiHeadAttention


def _copies_pay(model: nn.Module, n_tokens: int) -> bool:
    """Tell whether matrices shall be laid out anew for so many tokens."""
    return n_tokens >= TOKENS_THAT_PAY and sum(w.numel() for w in model.parameters()) < MOST_COPIED


def _lean(module: nn.Module, copies: bool = False) -> Layer:
    """Return what a layer computes in evaluation, with copies of its matrices or without."""
    return LEAN.get(type(module), lambda layer, copies: layer)(module, copies)


def _linear(layer: Linear, copies: bool) -> Layer:
    weight = _in_long_rows(layer.weight) if copies else layer.weight
    return partial(F.linear, weight=weight, bias=layer.bias)


def _in_long_rows(weight: Tensor) -> Tensor:
    """Return the same matrix (out, in), in memory as (in, out) if those rows are longer.

    With one token a product takes as long as reading the matrix does, and a processor reads a few
    long rows sooner than many short ones.
    """
    d_out, d_in = weight.shape
    turned = d_out > d_in and weight.numel() >= LEAST_TURNED and weight.device.type == "cpu"
    return weight.T.contiguous().T if turned else weight


def _side_by_side(
    layers: Sequence[nn.Module], copies: bool
) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return what several maps make of one vector; with copies it is one product."""
    linear = [layer for layer in layers if type(layer) is Linear]
    biases: list[Tensor] = [layer.bias for layer in linear if layer.bias is not None]
    alike = len(linear) == len(layers) and len(biases) in (0, len(layers))
    if not (copies and alike):
        each = [_lean(layer, copies) for layer in layers]
        return lambda x: [layer(x) for layer in each]
    weight = _in_long_rows(torch.cat([layer.weight for layer in linear]))
    bias = torch.cat(biases) if biases else None
    sizes = [len(layer.weight) for layer in linear]
    return lambda x: F.linear(x, weight, bias).split(sizes, dim=-1)


def _layer_norm(layer: LayerNorm, copies: bool) -> Layer:
    shape, weight, bias, eps = layer.weight.shape, layer.weight, layer.bias, layer.eps
    return lambda x: F.layer_norm(x, shape, weight, bias, eps)


def _rms_norm(layer: RMSNorm, copies: bool) -> Layer:
    weight, eps = layer.weight, layer.eps
    return lambda x: x / torch.sqrt((x * x).mean(dim=-1, keepdim=True) + eps) * weight


def _feed_forward(layer: FeedForward, copies: bool) -> Layer:
    expand, contract = _lean(layer.expand, copies), _lean(layer.contract, copies)
    activation = layer.activation
    return lambda x: contract(activation(expand(x)))


def _swiglu(layer: SwiGLU, copies: bool) -> Layer:
    both, down = _side_by_side((layer.w_gate, layer.w_up), copies), _lean(layer.w_down, copies)

    def feed(x: Tensor) -> Tensor:
        gate, up = both(x)
        return down(F.silu(gate) * up)

    return feed


def _nothing(layer: nn.Module, copies: bool) -> Layer:
    return lambda x: x


LEAN: dict[type[nn.Module], Callable[[Any, bool], Layer]] = {
    Linear: _linear,
    LayerNorm: _layer_norm,
    RMSNorm: _rms_norm,
    FeedForward: _feed_forward,
    SwiGLU: _swiglu,
    Dropout: _nothing,
    nn.Identity: _nothing,
}


# -- attention -----------------------------------------------------------------------------------


class _Turns:
    """What `Rotary` does, with the sines and cosines of all positions computed ahead."""

    def __init__(self, rotary: Rotary, d: int, longest: int, like: Tensor) -> None:
        positions = torch.arange(longest, device=like.device)
        angles = _angles(positions, d, rotary.base, rotary.scaling)  # (T, d/2)
        cos, sin = angles.cos(), angles.sin()
        halves = rotary.pairs == "halves"
        join = partial(torch.cat, dim=-1) if halves else _interleaved
        self.cos, self.sin = join((cos, cos)).to(like.dtype), join((-sin, sin)).to(like.dtype)
        places = torch.arange(d, device=like.device)
        self.partner = places.roll(d // 2) if halves else places ^ 1

    def __call__(self, x: Tensor, position: int) -> Tensor:
        """Turn queries or keys (B, heads, 1, d) that stand at one position."""
        return x * self.cos[position] + x[..., self.partner] * self.sin[position]


def _interleaved(pair: tuple[Tensor, Tensor]) -> Tensor:
    return torch.stack(pair, dim=-1).flatten(-2)


def _turns(blocks: Iterable[nn.Module], longest: int) -> dict[Any, _Turns]:
    """Return one table for all layers that turn alike."""
    found: dict[Any, _Turns] = {}
    for block in blocks:
        for layer in block.modules():
            if isinstance(layer, MultiHeadAttention) and layer.rotary is not None:
                key = (layer.rotary, layer.d_head)
                if key not in found:
                    found[key] = _Turns(*key, longest, next(block.parameters()))
    return found


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Let one token look at T positions: q (B, H, 1, d), k and v (B, G, T, d) to (B, 1, H·d).

    The query heads that share keys stand in the place of several queries, so that no key has to be
    copied for them.
    """
    shared = q.unflatten(1, (k.shape[1], -1)).squeeze(3)  # (B, G, H/G, d)
    if mask is not None and mask.shape[1] > 1:  # a bias of each head
        mask = mask.unflatten(1, (k.shape[1], -1)).squeeze(3)
    heads = F.scaled_dot_product_attention(shared, k, v, attn_mask=mask, scale=scale)
    return heads.reshape(len(q), 1, -1)


def _self_attention(
    layer: MultiHeadAttention, turns: dict[Any, _Turns], copies: bool = False
) -> Layer:
    w_qkv = _side_by_side((layer.w_q, layer.w_k, layer.w_v), copies)
    w_o = _lean(layer.w_o, copies)
    q_norm, k_norm = _lean(layer.q_norm), _lean(layer.k_norm)
    turn = turns.get((layer.rotary, layer.d_head))

    def attend(x: Tensor, mask: Tensor | None, cache: KVCache) -> Tensor:
        q, k, v = (_heads(y, layer.d_head) for y in w_qkv(x))
        q, k = q_norm(q), k_norm(k)
        if turn is not None:
            q, k = turn(q, cache.seen), turn(k, cache.seen)
        k, v = cache.append(k, v)
        if cache.window is not None:  # it returns one position more than the newest may see
            k, v = k[..., -cache.window :, :], v[..., -cache.window :, :]
            mask = None if mask is None else mask[..., -cache.window :]
        return w_o(_attend(q, k, v, mask, layer.scale))

    return attend


def _cross_attention(layer: MultiHeadAttention, memory: Tensor) -> Layer:
    """Look at a memory, whose keys and values are computed once and not for each token."""
    w_q, w_o, q_norm = _lean(layer.w_q), _lean(layer.w_o), _lean(layer.q_norm)
    k = _lean(layer.k_norm)(_heads(_lean(layer.w_k)(memory), layer.d_head))
    v = _heads(_lean(layer.w_v)(memory), layer.d_head)

    def attend(x: Tensor, mask: Tensor | None) -> Tensor:
        q = q_norm(_heads(w_q(x), layer.d_head))
        return w_o(_attend(q, k, v, mask, layer.scale))

    return attend


def _heads(x: Tensor, d_head: int) -> Tensor:
    """(B, T, heads·d) -> (B, heads, T, d)."""
    return x.unflatten(-1, (-1, d_head)).transpose(1, 2)


# -- blocks --------------------------------------------------------------------------------------


def _lean_causal(model: GPT | Llama, longest: int, n_tokens: int) -> tuple[list[Layer], Layer]:
    """Return the blocks of a model and what predicts, for so many tokens that are to come."""
    turns, copies = _turns(model.blocks, longest), _copies_pay(model, n_tokens)
    blocks = [_lean_block(block, turns, copies) for block in model.blocks]
    return blocks, _lean_predict(model, copies)


def _residual(around: PreNorm | PostNorm, layer: Layer) -> Layer:
    norm = _lean(around.norm)
    if type(around) is PreNorm:
        return lambda x, *rest: x + layer(norm(x), *rest)
    return lambda x, *rest: norm(x + layer(x, *rest))


def _lean_block(block: Any, turns: dict[Any, _Turns], copies: bool) -> Layer:
    """Return a function of (x, mask, cache) for one token of a block of GPT or Llama."""
    if not _is_plain(block, Block, "attention"):
        return lambda x, mask, cache: block(x, mask=mask, is_causal=True, cache=cache)
    attention = _residual(block.attention, _self_attention(block.attention.layer, turns, copies))
    feed_forward = _residual(block.feed_forward, _lean(block.feed_forward.layer, copies))
    return lambda x, mask, cache: feed_forward(attention(x, mask, cache))


def _lean_decoder_block(
    block: Any, turns: dict[Any, _Turns], memory: Tensor, memory_mask: Tensor | None
) -> Layer:
    """Return a function of (x, mask, cache) for one token of a decoder's block."""
    if not _is_plain(block, DecoderBlock, "attention", "cross_attention"):
        return lambda x, mask, cache: block(
            x, memory, mask=mask, memory_mask=memory_mask, cache=cache
        )
    attention = _residual(block.attention, _self_attention(block.attention.layer, turns))
    looks = _cross_attention(block.cross_attention.layer, memory)
    cross = _residual(block.cross_attention, looks)
    feed_forward = _residual(block.feed_forward, _lean(block.feed_forward.layer))
    sees = None if memory_mask is None else memory_mask[:, None]  # (B, 1, 1, S)
    return lambda x, mask, cache: feed_forward(cross(attention(x, mask, cache), sees))


def _lean_predict(model: Any, copies: bool) -> Layer:
    """Return a function from one vector a row, (B, 1, D), to the logits of a GPT or Llama."""
    if type(model).predict not in (GPT.predict, Llama.predict):
        return model.predict
    head = getattr(model, "head", None)  # none where the table of tokens is the output, too
    if not _only_computes(model.tokens, model.norm, *([] if head is None else [head])):
        return model.predict
    norm, table = _lean(model.norm), model.tokens.weight
    if head is not None:
        project = _lean(head, copies)
    else:
        project = partial(F.linear, weight=_in_long_rows(table) if copies else table)
    return lambda x: project(norm(x))
