r"""Conversations as text: who says what, between special tokens.

This file adds: ``ChatBPE``, a BPE tokenizer whose model was trained on turns in the form that is
called ChatML. A turn begins with the special token ``<|im_start|>`` and the name of the speaker, a
line break follows, then what is said, and the special token ``<|im_end|>`` ends it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from companion._arguments import _require_flag, _require_ordered, _require_text
from companion.tokenizers.bpe import BPE, GPT2_PATTERN
from companion.tokenizers.merges import Pair
from companion.tokenizers.protocol import SpecialTokens

__all__ = ["ChatBPE"]

BEGIN, END = "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")


class ChatBPE(BPE):
    r"""A byte-level BPE tokenizer that writes conversations, too.

    Parameters
    ----------
    merges, special_tokens, ids, pattern
        As for `BPE`. ``<|im_start|>`` and ``<|im_end|>`` must be among the special tokens.
    system : str
        What a conversation begins with that brings no system message of its own.

    Raises
    ------
    ValueError
        If one of the two special tokens is missing, or `BPE` refuses the rest.
    TypeError
        If ``system`` is no text, or `BPE` refuses the rest.

    Examples
    --------
    >>> tokenizer = ChatBPE([], ["<|im_start|>", "<|im_end|>"], system="Be brief.")
    >>> print(tokenizer.decode(tokenizer.chat_prompt([{"role": "user", "content": "Hi!"}])))
    <|im_start|>system
    Be brief.<|im_end|>
    <|im_start|>user
    Hi!<|im_end|>
    <|im_start|>assistant
    <BLANKLINE>
    """

    MORE = ("system",)

    def __init__(
        self,
        merges: Iterable[Pair],
        special_tokens: SpecialTokens = (BEGIN, END),
        ids: dict[bytes, int] | None = None,
        pattern: str = GPT2_PATTERN,
        system: str = "",
    ) -> None:
        super().__init__(merges, special_tokens, ids, pattern)
        self.system = _require_text(system, "system")
        if missing := [name for name in (BEGIN, END) if name not in self.special_ids]:
            raise ValueError(f"special_tokens must hold {missing[0]!r}, got {[*self.special_ids]}")

    def chat_prompt(
        self, messages: Iterable[Mapping[str, str]], *, begin_answer: bool = True
    ) -> list[int]:
        r"""Return the ids of a conversation, up to where the model is to go on.

        What is said stays text: a special token's name in it does not become the token, so that
        nobody can end their own turn and speak for somebody else.

        Parameters
        ----------
        messages : iterable of dict
            Each has a ``"role"``, which is ``"system"``, ``"user"`` or ``"assistant"``, and a
            ``"content"``.
        begin_answer : bool
            Whether the beginning of the assistant's next turn comes last.

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If there is no message, or one has another role or other parts.
        TypeError
            If a message is no dict, or what it says no text.
        """
        turns = [_turn(message) for message in _require_ordered(messages, "messages")]
        if not turns:
            raise ValueError("messages must hold at least one message, got none")
        if turns[0][0] != "system":
            turns.insert(0, ("system", self.system))
        begin, end = self.special_ids[BEGIN], self.special_ids[END]
        ids: list[int] = []
        for role, content in turns:
            ids += [begin, *self.encode(f"{role}\n{content}"), end, *self.encode("\n")]
        if _require_flag("begin_answer", begin_answer):
            ids += [begin, *self.encode("assistant\n")]
        return ids


def _turn(message: Any) -> tuple[str, str]:
    """Return who speaks, and what is said."""
    if not isinstance(message, Mapping):
        raise TypeError(f"each of messages must be a dict, got {message!r}")
    if set(message) != {"role", "content"}:
        raise ValueError(f"each of messages must have 'role' and 'content', got {sorted(message)}")
    if message["role"] not in ROLES:
        raise ValueError(f"each role must be one of {ROLES}, got {message['role']!r}")
    return message["role"], _require_text(message["content"], "each content")
