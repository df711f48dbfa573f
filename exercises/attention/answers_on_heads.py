"""Answers to *Cut and join*, right and wrong: heads beside the positions, and in front of all."""

from __future__ import annotations

FORMULA = """

def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
    return join_heads(attention.scaled_dot_product_attention(q, k, v)) @ w_o
"""
SOLUTION = (
    """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)

def join_heads(x):
    return x.transpose(-3, -2).flatten(-2)
""",
    """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).movedim(-2, 0)

def join_heads(x):
    return x.movedim(0, -2).flatten(-2)
""",
)
WRONG_ANSWERS = {
    "reshaped without transposing": (
        """
def split_heads(x, n_heads):
    *lead, T, D = x.shape
    return x.reshape(*lead, n_heads, T, D // n_heads)

def join_heads(x):
    *lead, H, T, d = x.shape
    return x.reshape(*lead, T, H * d)
""",
        """
def split_heads(x, n_heads):
    *lead, T, D = x.shape
    return x.reshape(n_heads, *lead, T, D // n_heads)

def join_heads(x):
    H, *lead, T, d = x.shape
    return x.reshape(*lead, T, H * d)
""",
    ),
    "features dealt out in turn": (
        """
def split_heads(x, n_heads):
    return x.unflatten(-1, (-1, n_heads)).movedim(-1, -3)

def join_heads(x):
    return x.movedim(-3, -1).flatten(-2)
""",
        """
def split_heads(x, n_heads):
    return x.unflatten(-1, (-1, n_heads)).movedim(-1, 0)

def join_heads(x):
    return x.movedim(0, -1).flatten(-2)
""",
    ),
    "exactly one leading dimension": (
        """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)

def join_heads(x):
    return x.transpose(1, 2).flatten(2)
""",
        """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).permute(2, 0, 1, 3)

def join_heads(x):
    return x.permute(1, 2, 0, 3).flatten(2)
""",
    ),
    "joined without transposing back": (
        """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)

def join_heads(x):
    return x.reshape(*x.shape[:-3], x.shape[-2], -1)
""",
        """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).movedim(-2, 0)

def join_heads(x):
    return x.reshape(*x.shape[1:-1], -1)
""",
    ),
}
