r"""A training run as one JSON file: its data, tokenizer, model and settings.

This file adds: `Recipe` with its sections `DataSettings`, `TokenizerSettings` and `ModelSettings`
(the fourth is `TrainConfig`). Each section refuses what it does not know.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from companion._arguments import _hint, _require_int, _require_number, _require_text
from companion.models import GPT, GPTConfig, Llama, LlamaConfig
from companion.training.config import TrainConfig, _require_one_of

__all__ = [
    "MODELS",
    "SECTIONS",
    "DataSettings",
    "ModelSettings",
    "Recipe",
    "TokenizerSettings",
    "known_sizes",
]

SOURCES = ("tinyworld", "tinyshakespeare", "file")
LANGUAGES = ("en", "zh")
TOKENIZERS = ("characters", "words", "bpe")
MODELS = {"GPT": (GPT, GPTConfig), "Llama": (Llama, LlamaConfig)}
# What follows from the tokenizer, and what no JSON can say.
GIVEN = {"vocab_size", "scaling"}

T = TypeVar("T")


def _require_known(section: str, given: dict[str, Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{section} has no field {name!r}{_hint(name, known)}")


@dataclass(frozen=True)
class DataSettings:
    """Which text a model is trained on, and in which pieces.

    Raises
    ------
    TypeError, ValueError
        If a field cannot be what it is; the message names it.

    Examples
    --------
    >>> DataSettings(source="tinyworld", stories=100).held_out
    0.1
    """

    source: str = "tinyworld"
    """"tinyworld", stories of the book's own language, which are generated; "tinyshakespeare",
    which is downloaded when it is first used; "file", a text file of yours."""
    path: str | None = None
    """Of the text file, in UTF-8."""
    stories: int = 20_000
    """How many stories of Tiny World."""
    language: str = "en"
    """Of these stories: "en" or "zh"."""
    seed: int = 0
    """What stories and windows are drawn with."""
    length: int = 64
    """Tokens a window."""
    batch_size: int = 32
    """Windows a micro-batch, of all processes together."""
    held_out: float = 0.1
    """The part of the text, at its end, on which the model is only evaluated: above 0, below 1."""

    def __post_init__(self) -> None:
        _require_one_of("data.source", self.source, SOURCES)
        _require_one_of("data.language", self.language, LANGUAGES)
        for name in ("stories", "length", "batch_size"):
            _require_int(f"data.{name}", getattr(self, name), least=1)
        _require_int("data.seed", self.seed, least=0)
        if not 0 < _require_number("data.held_out", self.held_out) < 1:
            raise ValueError(f"data.held_out must be above 0 and below 1, got {self.held_out}")
        if self.path is not None:
            _require_text(self.path, "data.path")
        if (self.path is None) == (self.source == "file"):
            raise ValueError(
                f"data.path is for data.source 'file', and needed there, got {self.path!r} "
                f"with data.source {self.source!r}"
            )


@dataclass(frozen=True)
class TokenizerSettings:
    """How text becomes tokens.

    Raises
    ------
    TypeError, ValueError
        If a field cannot be what it is; the message names it.

    Examples
    --------
    >>> TokenizerSettings(kind="bpe", vocab_size=512)
    TokenizerSettings(kind='bpe', vocab_size=512)
    """

    kind: str = "characters"
    """"characters" or "words", all that the text has; or "bpe", byte-level BPE, which is learnt
    from it."""
    vocab_size: int | None = None
    """How many tokens BPE shall have."""

    def __post_init__(self) -> None:
        _require_one_of("tokenizer.kind", self.kind, TOKENIZERS)
        if (self.vocab_size is None) == (self.kind == "bpe"):
            raise ValueError(
                "tokenizer.vocab_size is for tokenizer.kind 'bpe', and needed there, got "
                f"{self.vocab_size!r} with tokenizer.kind {self.kind!r}"
            )
        if self.vocab_size is not None:
            _require_int("tokenizer.vocab_size", self.vocab_size, least=256)


@dataclass(frozen=True)
class ModelSettings:
    """Which model is trained, and its sizes.

    Raises
    ------
    TypeError, ValueError
        If there is no such model, or it has no such size.

    Examples
    --------
    >>> ModelSettings(name="GPT", sizes={"d_model": 64, "n_layers": 2, "n_heads": 2}).name
    'GPT'
    """

    name: str = "GPT"
    """"GPT" or "Llama"."""
    sizes: dict[str, Any] = field(default_factory=dict)
    """Fields of its config, `companion.models.GPTConfig` for instance, without ``vocab_size``,
    which is the tokenizer's. In the file they stand beside the name."""

    def __post_init__(self) -> None:
        _require_one_of("model.name", self.name, tuple(MODELS))
        _require_known("model", self.sizes, known_sizes(self.name))


def known_sizes(name: str) -> list[str]:
    """Return the sizes that a model has in a recipe.

    Parameters
    ----------
    name : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> "d_model" in known_sizes("GPT"), "vocab_size" in known_sizes("GPT")
    (True, False)
    """
    _, config = MODELS[name]
    return [each.name for each in dataclasses.fields(config) if each.name not in GIVEN]


@dataclass(frozen=True)
class Recipe:
    r"""All that ``python -m companion.training`` is told.

    Examples
    --------
    >>> recipe = Recipe.from_json('{"train": {"steps": 10}, "model": {"n_heads": 4}}')
    >>> recipe.model.sizes, recipe.data.length
    ({'n_heads': 4}, 64)
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    >>> Recipe.from_json('{"train": {"step": 10}, "model": {}}')
    Traceback (most recent call last):
    ValueError: train has no field 'step'; did you mean 'steps'?
    """

    train: TrainConfig
    model: ModelSettings
    data: DataSettings = field(default_factory=DataSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)

    def to_json(self) -> str:
        """Return it as JSON, with all fields."""
        sections = {name: dataclasses.asdict(getattr(self, name)) for name in SECTIONS}
        sections["model"] = {"name": self.model.name, **self.model.sizes}
        return json.dumps(sections, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, changes: Iterable[str] = ()) -> "Recipe":
        """Return the recipe that a file holds.

        Parameters
        ----------
        text : str
            A JSON object of sections, each an object of fields. Only ``train``, with ``steps``, and
            ``model`` are needed.
        changes : iterable of str
            Such as ``"train.steps=100"``: fields that are other than in the file.

        Returns
        -------
        Recipe

        Raises
        ------
        ValueError
            If it is no JSON, or a section or field is unknown, missing or out of range.
        TypeError
            If a field is of the wrong type.
        """
        try:
            sections = json.loads(_require_text(text))
        except json.JSONDecodeError as error:
            raise ValueError(f"the recipe must be JSON: {error}") from None
        _require_objects(sections)
        for change in changes:
            _change(sections, change)
        if "model" not in sections:
            raise ValueError('the recipe must say what is trained: "model": {"d_model": 64}')
        model = sections["model"]
        return cls(
            train=_section("train", TrainConfig, sections),
            data=_section("data", DataSettings, sections),
            tokenizer=_section("tokenizer", TokenizerSettings, sections),
            model=ModelSettings(
                model.get("name", "GPT"), {n: x for n, x in model.items() if n != "name"}
            ),
        )


SECTIONS = ("data", "tokenizer", "model", "train")


def _section(name: str, cls: type[T], sections: dict[str, Any]) -> T:
    given, fields = sections.get(name, {}), dataclasses.fields(cls)  # type: ignore[arg-type]
    _require_known(name, given, [each.name for each in fields])
    for each in fields:
        if each.default is dataclasses.MISSING and each.name not in given:
            raise ValueError(f"{name} must have the field {each.name!r}")
    return cls(**given)


def _require_objects(sections: Any) -> None:
    if not isinstance(sections, dict):
        raise ValueError(f"the recipe must be a JSON object, got {type(sections).__name__}")
    for name, section in sections.items():
        if name not in SECTIONS:
            raise ValueError(
                f"the recipe has no section {name!r}, only {', '.join(SECTIONS)}"
                f"{_hint(name, SECTIONS)}"
            )
        if not isinstance(section, dict):
            raise ValueError(f"the section {name!r} must be a JSON object, got {section!r}")


def _change(sections: dict[str, Any], change: str) -> None:
    """Set one field to what stands after the ``=``: JSON, or a text as it is."""
    place, equals, text = change.partition("=")
    section, dot, name = place.strip().partition(".")
    if not (equals and dot and name) or section not in SECTIONS:
        raise ValueError(
            f"a change must be as train.steps=100, in one of the sections {', '.join(SECTIONS)}; "
            f"got {change!r}{_hint(section, SECTIONS)}"
        )
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    sections.setdefault(section, {})[name] = value
