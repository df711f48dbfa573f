r"""What a model costs: parameters, arithmetic for each token, memory for each token it has written.

This file adds: ``count_parameters``, ``active_parameters``, ``flops_per_token`` and
``kv_cache_bytes``. All of them read the sizes of a model's layers and compute nothing with it, so
they also take a model that was built without memory, on PyTorch's device "meta".

Shape letters: ``T`` tokens, ``H`` heads, ``G`` key-value heads, ``d`` features of one head.
"""

from collections.abc import Iterator

from torch import nn

from companion._arguments import _require_int
from companion.attention import MultiHeadAttention
from companion.layers import Linear
from companion.models.bert import BERT, BertEncoder
from companion.models.cnn import Conv2d
from companion.models.experts import MoE
from companion.models.gpt import GPT
from companion.models.llama import Llama
from companion.models.roberta import RoBERTa
from companion.models.seq2seq import Seq2Seq
from companion.models.t5 import T5
from companion.models.vit import ViT

__all__ = ["count_parameters", "active_parameters", "flops_per_token", "kv_cache_bytes"]

DECODERS, ENCODERS = (GPT, Llama), (BertEncoder, BERT, RoBERTa, ViT)
ENCODER_DECODERS = (T5, Seq2Seq)


def count_parameters(model: nn.Module) -> int:
    r"""Count the numbers that a model has learnt; a table that is used twice counts once.

    Parameters
    ----------
    model : nn.Module
        Any module.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If ``model`` is no module.

    Examples
    --------
    >>> count_parameters(Linear(3, 5))
    20
    """
    _require_module(model)
    return sum(parameter.numel() for parameter in model.parameters())


def active_parameters(model: nn.Module) -> int:
    r"""Count the parameters that take part in the computation of one token.

    Of a mixture of :math:`n` experts :math:`k` are counted, the router is counted, and so is all
    else, tables included. A model without experts has as many active parameters as parameters.

    Parameters
    ----------
    model : nn.Module
        Any module.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If ``model`` is no module.

    Examples
    --------
    >>> moe = MoE(8, 16, n_experts=4, n_active=2)
    >>> count_parameters(moe), active_parameters(moe)
    (1568, 800)
    """
    _require_module(model)
    idle = (count_parameters(expert) for expert in _idle_experts(model))
    return count_parameters(model) - sum(idle)


def flops_per_token(model: nn.Module, length: int) -> int:
    r"""Count the floating-point operations of the forward pass, for one token of a text.

    .. math:: 2\,W + 4\,T \sum_{\text{attention}} H d

    :math:`W` is the number of entries of all matrices that multiply a token's vector: 2 operations
    for each, a multiplication and an addition. The matrix that makes the logits is one of them,
    even where it is the table of tokens once more; looking up a row of a table costs nothing.
    Scores and the sum of values cost :math:`2 T H d` each, in every attention layer. Norms,
    activations, biases, the softmax and what turns queries and keys are left out, as usual.

    All :math:`T` keys are counted, those that a causal mask hides, too. Of a mixture of experts
    :math:`k` of :math:`n` are counted. `BERT` is counted with the head for masked tokens, and
    without the one for sentences, which is computed once for each text. The tokens of a `ViT` are
    its patches and the class token, :math:`T = N + 1`; its head, which is computed once for each
    image, is left out, too. A model with encoder and decoder reads ``length`` tokens and writes as
    many, and its operations are divided by the number of both, since a token passes through one of
    the two stacks.

    Parameters
    ----------
    model : GPT, Llama, Mixtral, BertEncoder, BERT, RoBERTa, ViT, T5 or Seq2Seq
    length : int
        Tokens of the text, :math:`T`.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If ``model`` is of another kind, or ``length`` is no whole number.
    ValueError
        If ``length`` is below 1.

    Examples
    --------
    >>> from companion.models import GPTConfig
    >>> gpt = GPT(GPTConfig(vocab_size=10, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> flops_per_token(gpt, length=4)  # 2 (12 · 8 · 8 + 10 · 8) + 4 · 4 · 8
    1824
    """
    _require_model(model)
    _require_int("length", length, least=1)
    heads = sum(layer.n_heads * layer.d_head for layer in _attention(model))
    flops = 2 * _entries(model) + 4 * length * heads
    return flops // 2 if isinstance(model, ENCODER_DECODERS) else flops


def kv_cache_bytes(model: nn.Module, length: int = 1, bytes_per_number: int = 2) -> int:
    r"""Return the bytes that the keys and values of one text take while a model writes it.

    .. math:: 2\,T\,b \sum_{\text{attention}} G d

    with :math:`b` bytes for each number: 2 in float16 and bfloat16, 4 in float32. Of a model with
    encoder and decoder the self-attention of the decoder is counted: the keys and values that
    attention to the source needs do not grow while it writes, and `KVCache` does not hold them.
    An encoder, of text or of images, writes nothing, so it has no cache: 0.

    Parameters
    ----------
    model : GPT, Llama, Mixtral, BertEncoder, BERT, RoBERTa, ViT, T5 or Seq2Seq
    length : int
        Tokens so far, :math:`T`.
    bytes_per_number : int

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If ``model`` is of another kind, or another argument is no whole number.
    ValueError
        If ``length`` or ``bytes_per_number`` is below 1.

    Examples
    --------
    >>> from companion.models import LlamaConfig
    >>> sizes = dict(vocab_size=10, d_model=8, n_layers=2, n_heads=4, n_kv_heads=2, d_hidden=24)
    >>> kv_cache_bytes(Llama(LlamaConfig(**sizes)), length=5)  # 2 · 5 · 2 · (2 · 2 · 2)
    160
    """
    _require_model(model)
    _require_int("length", length, least=1)
    _require_int("bytes_per_number", bytes_per_number, least=1)
    if isinstance(model, ENCODERS):
        return 0
    numbers = sum(2 * layer.n_kv_heads * layer.d_head for layer in _self_attention(model))
    return numbers * length * bytes_per_number


def _entries(model: nn.Module) -> int:
    """Count the entries of all matrices that multiply the vector of a token."""
    idle = sum(_entries_of_maps(expert) for expert in _idle_experts(model))
    if isinstance(model, BERT):  # these multiply the first token's vector alone
        idle += _entries_of_maps(model.pooler) + _entries_of_maps(model.next)
    if isinstance(model, ViT):  # and so does this one
        idle += _entries_of_maps(model.head)
    return _entries_of_maps(model) + _entries_of_a_table(model) - idle


def _entries_of_maps(module: nn.Module) -> int:
    """Count the entries of linear maps; the convolution of a ViT is one, of each patch."""
    maps = (layer for layer in module.modules() if isinstance(layer, (Linear, Conv2d)))
    return sum(layer.weight.numel() for layer in maps)


def _entries_of_a_table(model: nn.Module) -> int:
    """Count the entries of the table of tokens, if it makes the logits, too."""
    if isinstance(model, (BERT, RoBERTa)):
        return model.encoder.words.weight.numel()
    if isinstance(model, (Llama, T5)) and not model.config.tied:
        return 0
    if isinstance(model, (*DECODERS, *ENCODER_DECODERS)):
        return model.tokens.weight.numel()
    return 0


def _attention(module: nn.Module) -> Iterator[MultiHeadAttention]:
    return (layer for layer in module.modules() if isinstance(layer, MultiHeadAttention))


def _self_attention(model: nn.Module) -> Iterator[MultiHeadAttention]:
    """Yield the layers that look back at what was written."""
    if not isinstance(model, ENCODER_DECODERS):
        yield from _attention(model)
        return
    for block in model.decoder.blocks:
        yield next(_attention(block.attention))  # type: ignore[arg-type]


def _idle_experts(model: nn.Module) -> Iterator[nn.Module]:
    """Yield as many experts of each mixture as a token does not use."""
    for layer in model.modules():
        if isinstance(layer, MoE):
            yield from list(layer.experts)[layer.n_active :]


def _require_module(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a module, got {type(model).__name__}")


def _require_model(model: object) -> None:
    known = (*DECODERS, *ENCODERS, *ENCODER_DECODERS)
    if not isinstance(model, known):
        names = ", ".join(kind.__name__ for kind in known)
        raise TypeError(f"model must be one of {names}, got {type(model).__name__}")
