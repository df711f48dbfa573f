r"""Templates: conversations as token ids, and which of the ids are an answer.

A language model continues one row of tokens. A template says how a conversation becomes such a
row: what stands before each message, and which token ends it. A model that was trained with one
template understands no other one well.

This file adds: ``Rendered``, ids and for each of them whether it belongs to an answer;
``Template``, what the templates share; ``ChatML``, with which SmolLM2 was trained; ``Alpaca``, made
of headings in plain text (Taori et al. 2023); and ``Plain``, two special tokens, for small
vocabularies.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from companion._arguments import _require_ordered, _require_text
from companion.tokenizers import Tokenizer
from companion.tokenizers.chat import _turn

__all__ = ["Rendered", "Template", "ChatML", "Alpaca", "Plain"]

Messages = Iterable[Mapping[str, str]]
#: A text, or the id of a special token.
Part = str | int


class Rendered(NamedTuple):
    """A conversation as ids, and for each id whether it belongs to an answer."""

    ids: list[int]
    answer: list[bool]


class Template:
    r"""How a conversation is written, in the order of its messages.

    A message is a dict of ``"role"`` (``"system"``, ``"user"`` or ``"assistant"``) and
    ``"content"``. What is said stays text: the name of a special token in it does not become the
    token. An answer is what the assistant says and the token that ends it, since a model that
    never learns to end goes on writing. Classes made from this one say what stands before a
    message (`opening`) and after it (`closing`). Texts that follow one another are encoded as one
    text, except where an answer begins or ends: in the prompt, the answer is not there yet.

    Parameters
    ----------
    tokenizer : Tokenizer
        Of the model that is to read the conversation.

    Raises
    ------
    ValueError
        If the tokenizer lacks a special token that the template writes.
    TypeError
        If it is no tokenizer.
    """

    #: What stands between an instruction and what it is to be done on.
    between = "\n\n"
    #: The special tokens that are written, the one that ends an answer first.
    special: tuple[str, ...] = ()

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not isinstance(tokenizer, Tokenizer):
            raise TypeError(f"tokenizer must be a Tokenizer, got {type(tokenizer).__name__}")
        for name in self.special:
            if name not in tokenizer.special_ids:
                raise ValueError(
                    f"tokenizer must have the special token {name!r}, which {type(self).__name__} "
                    f"writes; it has {[*tokenizer.special_ids]}. Take the template that the "
                    "model was trained with"
                )
        self.tokenizer = tokenizer

    def __repr__(self) -> str:
        return f"{type(self).__name__}(special={list(self.special)})"

    @property
    def end_id(self) -> int:
        """The token that ends an answer: where writing stops."""
        return self.tokenizer.special_ids[self.special[0]]

    def opening(self, role: str) -> list[Part]:
        """Return what stands before what somebody says: texts, and ids of special tokens."""
        raise NotImplementedError

    def closing(self, role: str) -> list[Part]:
        """Return what stands after what somebody says; of an answer its end is the first."""
        raise NotImplementedError

    def begun(self, turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the turns with what a conversation of this template always begins with."""
        return turns

    def render(self, messages: Messages) -> Rendered:
        r"""Return the ids of a whole conversation, and which of them are answers.

        Parameters
        ----------
        messages : iterable of dict
            At least one of them is the assistant's.

        Returns
        -------
        Rendered

        Raises
        ------
        ValueError
            If there is no answer, or a message has another role or other parts.
        TypeError
            If a message is no dict, or what it says no text.
        """
        turns = _turns(messages)
        if all(role != "assistant" for role, _ in turns):
            raise ValueError("messages must hold an answer, a message of the role 'assistant'")
        return self._encoded(self._parts(turns))

    def prompt(self, messages: Messages) -> list[int]:
        r"""Return the ids of a conversation up to where the model is to answer.

        `render` of the same messages and an answer begins with these ids.

        Parameters
        ----------
        messages : iterable of dict
            The last one is not the assistant's.

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If the last message is an answer already, or as for `render`.
        TypeError
            As for `render`.
        """
        turns = _turns(messages)
        if turns[-1][0] == "assistant":
            raise ValueError("messages must end before the answer, got an answer as the last one")
        beginning = [(part, False) for part in self.opening("assistant")]
        return self._encoded(self._parts(turns) + beginning).ids

    def messages(self, task: Any) -> list[dict[str, str]]:
        r"""Return a task with its answer as messages.

        Parameters
        ----------
        task : tuple or dict
            With ``instruction``, ``input`` (may be empty) and ``output``, such as
            `companion.data.load` gives for sets of instructions, or Tiny World.

        Returns
        -------
        list of dict
            What the user says, and the answer.

        Raises
        ------
        ValueError
            If a part is missing.
        TypeError
            If a part is no text.
        """
        asked, given, answer = _parts(task)
        content = f"{asked}{self.between}{given}" if given else asked
        return [
            {"role": "user", "content": content},
            {"role": "assistant", "content": answer},
        ]

    def _parts(self, turns: list[tuple[str, str]]) -> list[tuple[Part, bool]]:
        """Return texts and special tokens, and of each whether it belongs to an answer."""
        parts: list[tuple[Part, bool]] = []
        for role, content in self.begun(turns):
            own = role == "assistant"
            end, *rest = self.closing(role) or [""]
            parts += [(part, False) for part in self.opening(role)]
            parts += [(content, own), (end, own), *((part, False) for part in rest)]
        return parts

    def _encoded(self, parts: list[tuple[Part, bool]]) -> Rendered:
        """Return the ids of parts: texts that follow one another are encoded together."""
        ids: list[int] = []
        answer: list[bool] = []
        for (kind, own), group in groupby(parts, key=lambda part: (type(part[0]), part[1])):
            found = [part for part, _ in group]
            text = "".join(map(str, found))
            new = self.tokenizer.encode(text) if kind is str else [int(part) for part in found]
            ids += new
            answer += [own] * len(new)
        return Rendered(ids, answer)


class ChatML(Template):
    r"""Turns between ``<|im_start|>`` and ``<|im_end|>``, as SmolLM2 was trained with.

    The ids are those of `companion.tokenizers.ChatBPE.chat_prompt`, except where an answer begins
    with a line break: there the tokenizer could join it with the one before, which the model has
    been given in the prompt. The line break after ``<|im_end|>`` is no part of the answer.

    Parameters
    ----------
    tokenizer : Tokenizer
    system : str, optional
        What a conversation begins with that has no system message; by default what the tokenizer
        says, if it says something (a `ChatBPE` does), or else nothing.

    Examples
    --------
    >>> from companion.tokenizers import ChatBPE
    >>> template = ChatML(ChatBPE([], system="Be brief."))
    >>> task = {"instruction": "Say yes.", "input": "", "output": "Yes."}
    >>> ids, answer = template.render(template.messages(task))
    >>> template.tokenizer.decode([i for i, own in zip(ids, answer) if own])
    'Yes.<|im_end|>'
    """

    special = ("<|im_end|>", "<|im_start|>")

    def __init__(self, tokenizer: Tokenizer, system: str | None = None) -> None:
        super().__init__(tokenizer)
        default = getattr(tokenizer, "system", None)
        self.system = default if system is None else _require_text(system, "system")

    def begun(self, turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the turns after a system message."""
        if self.system is None or turns[0][0] == "system":
            return turns
        return [("system", self.system), *turns]

    def opening(self, role: str) -> list[Part]:
        """Return ``<|im_start|>``, the role and a line break."""
        return [self.tokenizer.special_ids["<|im_start|>"], f"{role}\n"]

    def closing(self, role: str) -> list[Part]:
        """Return ``<|im_end|>`` and a line break."""
        return [self.end_id, "\n"]


class Alpaca(Template):
    r"""Headings in plain text, as Stanford Alpaca has them (Taori et al. 2023).

    Any tokenizer of texts can write it; only the end of an answer is a special token. Whoever
    writes ``### Response:`` into an instruction speaks for the model, which the special tokens of
    `ChatML` prevent.

    Parameters
    ----------
    tokenizer : Tokenizer
    end : str
        The special token that ends an answer.

    Raises
    ------
    ValueError, TypeError
        As for `Template`.

    Examples
    --------
    >>> from companion.tokenizers import BPE
    >>> template = Alpaca(BPE([], ["<|endoftext|>"]))
    >>> task = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    >>> text = template.tokenizer.decode(template.render(template.messages(task)).ids)
    >>> print(text[text.index("###") :])
    ### Instruction:
    Add.
    <BLANKLINE>
    ### Input:
    1 and 2
    <BLANKLINE>
    ### Response:
    3<|endoftext|>
    """

    between = "\n\n### Input:\n"
    plain = "Below is an instruction that describes a task. "
    with_input = (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. "
    )
    wanted = "Write a response that appropriately completes the request."

    def __init__(self, tokenizer: Tokenizer, end: str = "<|endoftext|>") -> None:
        self.special = (_require_text(end, "end"),)
        super().__init__(tokenizer)

    def begun(self, turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the turns after the sentence that says what is to come."""
        if turns[0][0] == "system":
            return turns
        has_input = self.between in turns[0][1]
        return [("system", (self.with_input if has_input else self.plain) + self.wanted), *turns]

    def opening(self, role: str) -> list[Part]:
        """Return the heading of who speaks."""
        headings = {"user": "### Instruction:\n", "assistant": "### Response:\n", "system": ""}
        return [headings[role]]

    def closing(self, role: str) -> list[Part]:
        """Return an empty line, or the end of an answer."""
        return [self.end_id] if role == "assistant" else ["\n\n"]


class Plain(Template):
    r"""A special token before the answer and one after it, and nothing else.

    For tokenizers that know the words of a small language alone, such as `Words`, and models that
    are trained from scratch.

    Parameters
    ----------
    tokenizer : Tokenizer
    answer, end : str
        The special tokens before the answer and after it.

    Raises
    ------
    ValueError, TypeError
        As for `Template`.

    Examples
    --------
    >>> from companion.tokenizers import Words
    >>> words = Words(["Who", " ran", "?", "Ben"], ["<|answer|>", "<|end|>"])
    >>> template = Plain(words)
    >>> template.render([
    ...     {"role": "user", "content": "Who ran?"}, {"role": "assistant", "content": "Ben"}
    ... ])
    Rendered(ids=[0, 1, 2, 4, 3, 5], answer=[False, False, False, False, True, True])
    """

    between = " "

    def __init__(
        self, tokenizer: Tokenizer, answer: str = "<|answer|>", end: str = "<|end|>"
    ) -> None:
        self.special = (_require_text(end, "end"), _require_text(answer, "answer"))
        super().__init__(tokenizer)

    def opening(self, role: str) -> list[Part]:
        """Return the token before an answer, or nothing."""
        return [self.tokenizer.special_ids[self.special[1]]] if role == "assistant" else []

    def closing(self, role: str) -> list[Part]:
        """Return the token after an answer, or nothing."""
        return [self.end_id] if role == "assistant" else []


def _turns(messages: Messages) -> list[tuple[str, str]]:
    turns = [_turn(message) for message in _require_ordered(messages, "messages")]
    if not turns:
        raise ValueError("messages must hold at least one message, got none")
    return turns


def _parts(task: Any) -> tuple[str, str, str]:
    """Return instruction, input and output of a task."""
    parts = task._asdict() if hasattr(task, "_asdict") else task
    names = ("instruction", "input", "output")
    if not isinstance(parts, Mapping) or not set(names) <= set(parts):
        raise ValueError(f"task must have {', '.join(names)}, got {task!r}")
    asked, given, answer = (_require_text(parts[name], f"the {name} of task") for name in names)
    return asked, given, answer
