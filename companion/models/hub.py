r"""Checkpoints in the format of Hugging Face: read into this package's models, and written.

A checkpoint is a folder with ``config.json``, the sizes, and ``model.safetensors``, the tensors by
name (large ones in several files, with an index). Each kind of model has its own names for both.

This file adds: ``Stored``, where one tensor lies in a checkpoint; ``Layout``, all that is to be
known of one kind of checkpoint; ``to_ours`` and ``to_theirs``, which rename tensors; and
``Pretrained``, from which models have ``from_hf`` and ``save_hf``; ``require``, with which a layout
refuses configurations that are out of its reach.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from companion.models.undrawn import undrawn

__all__ = ["Stored", "Layout", "to_ours", "to_theirs", "require", "named_by", "Pretrained"]

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
NUMBER = r"(\d+)"
Model = TypeVar("Model", bound="Pretrained")


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies in a checkpoint.

    Parameters
    ----------
    name : str
        The tensor there, or what its name begins with.
    turned : bool
        Whether matrices are stored as (in, out), and not as (out, in).
    part, of : int
        Which of how many equal parts, along the dimension of outputs, the tensor is.
    """

    name: str
    turned: bool = False
    part: int = 0
    of: int = 1


@dataclass(frozen=True)
class Layout:
    """A kind of checkpoint: what its configuration and its tensors are called."""

    architecture: str
    """The class of ``transformers`` that opens it."""
    model_type: str
    prefix: str
    """What all tensors but those of a head begin with; checkpoints without heads leave it out."""
    read: Callable[[Mapping[str, Any]], dict[str, Any]]
    """Makes from a ``config.json`` the fields of this package's configuration."""
    write: Callable[[Any], dict[str, Any]]
    """Makes from a configuration what is written into ``config.json``."""
    tensors: Mapping[str, str | Stored]
    """For each of this package's parameters or modules, where it lies; ``{}`` is any number."""
    ignored: tuple[str, ...] = ()
    """Patterns of tensors that the model has no use for, such as those that are not learnt."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Patterns in names that some checkpoints have, and what stands there in all others."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """Tensors that some checkpoints hold twice, and which of their tensors each one repeats."""
    heads: tuple[str, ...] = ()
    """What the names of a head begin with, which have no prefix."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Layers that hold no tensors of their own, such as whole blocks: the name of each there."""

    def layers(self, known: Collection[str]) -> dict[str, str]:
        """Return what this package's layers are called in a model of ``transformers``.

        ``known`` are the names there: a model without a head has none with the prefix.
        """
        places = {
            key: stored.name
            for key, at in self.tensors.items()
            if (stored := Stored(at) if isinstance(at, str) else at).of == 1
        }
        inner = self.prefix.rstrip(".")
        prefix = self.prefix if inner in known else ""
        heads = self.heads or ("\n",)
        return {
            key: at if at.startswith(heads) else prefix + at
            for key, at in {**places, **self.modules}.items()
        }

    def place(self, name: str) -> Stored:
        """Return where the parameter with this name lies.

        >>> from companion.models.layouts import GPT2
        >>> GPT2.place("blocks.7.attention.layer.w_k.bias")
        Stored(name='transformer.h.7.attn.c_attn.bias', turned=True, part=1, of=3)

        Raises
        ------
        KeyError
            If the layout has no place for it.
        """
        module, _, last = name.rpartition(".")
        for key, end in ((name, ""), (module, f".{last}")):
            numbers = re.findall(NUMBER, key)
            stored = self.tensors.get(re.sub(NUMBER, "{}", key))
            if stored is not None:
                stored = Stored(stored) if isinstance(stored, str) else stored
                theirs = stored.name.format(*numbers) + end
                prefix = "" if theirs.startswith(self.heads or ("\n",)) else self.prefix
                return Stored(prefix + theirs, stored.turned, stored.part, stored.of)
        raise KeyError(f"{self.architecture} has no place for {name!r}")


def named_by(name: str, names: Mapping[str, str]) -> str | None:
    """Return what a layer is called elsewhere, by a table in which ``{}`` is any number.

    Parameters
    ----------
    name : str
    names : dict of str
        Names here and there.

    Returns
    -------
    str or None
        None if the table has no such name.

    Examples
    --------
    >>> named_by("blocks.7.norm", {"blocks.{}.norm": "h.{}.ln_1"})
    'h.7.ln_1'
    """
    theirs = names.get(re.sub(NUMBER, "{}", name))
    return None if theirs is None else theirs.format(*re.findall(NUMBER, name))


# -- tensors -------------------------------------------------------------------------------------


def to_ours(
    state: Mapping[str, Tensor], layout: Layout, shapes: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    r"""Rename the tensors of a checkpoint to those of a model of this package.

    Parameters
    ----------
    state : dict of Tensor
        The tensors of the checkpoint. Those of a model without its head may lack the prefix.
    layout : Layout
    shapes : dict of Tensor
        What the model is to be filled with, such as its ``state_dict()``; only shapes are read.

    Returns
    -------
    dict of Tensor
        For the model's ``load_state_dict``.

    Raises
    ------
    ValueError
        If tensors are missing, are not known, or have another shape. The message names them.
    """
    state = _named_in_full(state, layout)
    places = {name: layout.place(name) for name in shapes}
    wanted = {place.name for place in places.values()}
    _require_names(wanted, set(state), layout)
    _require_tied(state, layout, wanted)
    ours = {name: _taken(state[place.name], place) for name, place in places.items()}
    wrong = [
        f"{places[name].name} {tuple(state[places[name].name].shape)}, which should give {name} "
        f"{tuple(shapes[name].shape)}"
        for name, tensor in ours.items()
        if tensor is None or tensor.shape != shapes[name].shape
    ]
    if wrong:
        raise ValueError(f"tensors of the wrong shape ({len(wrong)}): {_some(wrong)}")
    return {name: tensor for name, tensor in ours.items() if tensor is not None}


def to_theirs(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    r"""Rename the tensors of a model of this package to those of a checkpoint.

    Parameters
    ----------
    state : dict of Tensor
        ``state_dict()`` of a model.
    layout : Layout

    Returns
    -------
    dict of Tensor
        As a checkpoint of this kind holds them; contiguous, and no two share memory.

    Raises
    ------
    KeyError
        If the layout has no place for a tensor.
    """
    parts: dict[str, dict[int, Tensor]] = {}
    turned = set()
    for name, tensor in state.items():
        place = layout.place(name)
        parts.setdefault(place.name, {})[place.part] = tensor
        if place.turned:
            turned.add(place.name)
    joined = {name: torch.cat([x[i] for i in sorted(x)]) for name, x in parts.items()}
    return {
        name: (x.T if name in turned and x.ndim == 2 else x).contiguous().clone()
        for name, x in joined.items()
    }


def _taken(tensor: Tensor, place: Stored) -> Tensor | None:
    """Return our part of a tensor, as we have it; None if it cannot be divided so."""
    tensor = tensor.T if place.turned and tensor.ndim == 2 else tensor
    if tensor.ndim == 0 or len(tensor) % place.of:
        return None
    rows = len(tensor) // place.of
    return tensor[place.part * rows :][:rows].contiguous()


def _named_in_full(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Add the prefix where a checkpoint has none, and leave out what is not learnt."""
    kept = {
        name: tensor
        for name, tensor in _renamed(state, layout).items()
        if not any(re.search(pattern, name) for pattern in layout.ignored)
    }
    if not layout.prefix or any(name.startswith(layout.prefix) for name in kept):
        return kept
    heads = layout.heads or ("\n",)
    return {n if n.startswith(heads) else layout.prefix + n: tensor for n, tensor in kept.items()}


def _renamed(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Give tensors that have another name in some checkpoints the usual one."""
    names = {name: name for name in state}
    for pattern, usual in layout.renamed.items():
        names = {name: re.sub(pattern, usual, now) for name, now in names.items()}
    return {names[name]: tensor for name, tensor in state.items()}


def _require_names(wanted: set[str], found: set[str], layout: Layout) -> None:
    """Refuse a checkpoint in which names are missing, or that has more."""
    missing, extra = sorted(wanted - found), sorted(found - wanted - set(layout.tied))
    wrong = [
        f"{what} tensors ({len(names)}): {_some(names)}"
        for what, names in (("missing", missing), ("unexpected", extra))
        if names
    ]
    if wrong:
        raise ValueError(f"not a checkpoint of {layout.architecture}: {'; '.join(wrong)}")


def _require_tied(state: Mapping[str, Tensor], layout: Layout, wanted: set[str]) -> None:
    """Refuse a tensor that should repeat another one and does not."""
    for copy, original in layout.tied.items():
        repeats = copy in wanted or copy not in state or torch.equal(state[copy], state[original])
        if not repeats:
            raise ValueError(
                f"{copy} should be {original} once more, as config.json says, and holds other "
                "numbers"
            )


def _some(names: Iterable[str], most: int = 3) -> str:
    """Name the first few."""
    names = list(names)
    return "; ".join(names[:most]) + ("; …" if len(names) > most else "")


# -- folders -------------------------------------------------------------------------------------


class Pretrained(nn.Module):
    """A model that can be read from a checkpoint of Hugging Face, and written as one."""

    layout: ClassVar[Layout]
    Config: ClassVar[type]
    config: Any

    @classmethod
    def from_hf(
        cls: type[Model], path: str | Path, *, dtype: torch.dtype = torch.float32, **changes: Any
    ) -> Model:
        r"""Read a checkpoint that ``transformers`` wrote, or `save_hf`.

        Parameters
        ----------
        path : str or Path
            A folder, or the name of a model on the Hugging Face hub, such as ``"gpt2"``, which is
            then downloaded (``$HF_ENDPOINT`` names a mirror).
        dtype : torch.dtype
            Format of the weights.
        **changes
            Fields of the configuration that are to be others, such as ``dropout``.

        Returns
        -------
        Pretrained
            In evaluation mode, on the CPU.

        Raises
        ------
        FileNotFoundError
            If the folder, or a file of it, is missing.
        ValueError
            If it holds another kind of model, or one that this class cannot be; if tensors are
            missing, not known, or misshapen; if a file is damaged.
        """
        folder = _folder(path)
        sizes = _sizes(folder, cls.layout)
        config = cls.Config(**{**sizes, **changes})
        with undrawn():
            model = cls(config)
        state = to_ours(_read_tensors(folder), cls.layout, model.state_dict())
        # Copies, because parts of one tensor share its memory.
        state = {name: tensor.to(dtype, copy=True) for name, tensor in state.items()}
        model.load_state_dict(state, assign=True)
        return model.eval()

    def save_hf(self, path: str | Path) -> None:
        r"""Write a checkpoint that ``transformers`` opens: ``AutoModel.from_pretrained(path)``.

        Parameters
        ----------
        path : str or Path
            A folder, which is made if it is missing. Files of the same names are replaced, each
            only after the new one has been written in full.

        Raises
        ------
        ValueError
            If the model has what a checkpoint of its kind cannot hold, or weights of several
            formats; if the folder holds a checkpoint in several files.
        """
        sizes = self.layout.write(self.config)
        tensors = to_theirs(self.state_dict(), self.layout)
        dtype = _only_format(tensors)
        config = {
            "architectures": [self.layout.architecture],
            "model_type": self.layout.model_type,
            **sizes,
            "torch_dtype": str(dtype).removeprefix("torch."),
        }
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / INDEX).exists():
            raise ValueError(
                f"{folder} holds a checkpoint in several files, which would stay beside the new "
                "one; name another folder"
            )
        with _replacing(folder / WEIGHTS) as beside:
            save_file(tensors, beside, metadata={"format": "pt"})
        with _replacing(folder / CONFIG) as beside:
            beside.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _only_format(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """Return the format of all tensors."""
    first, *others = sorted({tensor.dtype for tensor in tensors.values()}, key=str)
    if others:
        raise ValueError(f"a model must be saved in one format, has {first} and {others[0]}")
    return first


def require(config: Mapping[str, Any], **expected: Any) -> None:
    """Refuse a configuration that asks for what a model of this package cannot do.

    Parameters
    ----------
    config : dict
        As ``config.json`` has it.
    **expected
        The one value that a field may have; a field that is missing has it. Of a tuple, any.

    Raises
    ------
    ValueError
        If a field has another value.
    """
    for name, value in expected.items():
        values = value if isinstance(value, tuple) else (value,)
        if config.get(name, values[0]) not in values:
            known = " or ".join(map(repr, values))
            raise ValueError(
                f"config.json has {name} = {config[name]!r}, and here it must be {known}"
            )


def _folder(path: str | Path) -> Path:
    """Return the folder of a checkpoint; what is no folder may be a name on the hub."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if not isinstance(path, str) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        raise FileNotFoundError(f"there is no folder {folder}")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise FileNotFoundError(
            f"there is no folder {folder}, and to look for {path!r} on the Hugging Face hub needs "
            "'pip install huggingface_hub'"
        ) from error
    try:
        return Path(snapshot_download(path, allow_patterns=[CONFIG, WEIGHTS, INDEX, "model-*"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"there is no folder {folder}, and {path!r} could not be had from the Hugging Face hub "
            f"({type(error).__name__}: {error})"
        ) from error


def _sizes(folder: Path, layout: Layout) -> dict[str, Any]:
    """Return the fields of our configuration from ``config.json``, of this kind of model."""
    config = _read_json(folder / CONFIG)
    if config.get("model_type") != layout.model_type:
        raise ValueError(
            f"{folder / CONFIG} describes a model of type {config.get('model_type')!r}, "
            f"and this class reads {layout.model_type!r}"
        )
    try:
        return layout.read(config)
    except KeyError as error:
        raise ValueError(f"{folder / CONFIG} lacks {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no {path.name}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold an object of JSON, got {type(found).__name__}")
    return found


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint, from one file or from those that its index names."""
    if (folder / INDEX).is_file():
        return _read_shards(folder, _read_json(folder / INDEX).get("weight_map"))
    if (folder / WEIGHTS).is_file():
        return _read_file(folder / WEIGHTS)
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    hint = f"; {pickled[0]} may run code when it is opened, so it is not read" if pickled else ""
    raise FileNotFoundError(f"{folder} holds neither {WEIGHTS} nor {INDEX}{hint}")


def _read_shards(folder: Path, places: Any) -> dict[str, Tensor]:
    """Return the tensors of several files, each from the file that the index names."""
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise ValueError(f"{folder / INDEX} must say in weight_map which file holds each tensor")
    files = sorted(set(places.values()))
    outside = [file for file in files if Path(file).name != file]
    if outside:
        raise ValueError(f"{folder / INDEX} names {outside[0]!r}, which is outside of the folder")
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {_some(missing)}, which its index names")
    state: dict[str, Tensor] = {}
    for file in files:
        state |= _read_file(folder / file)
    odd = sorted(set(places) ^ set(state))
    if odd:
        raise ValueError(f"{folder / INDEX} and the files that it names differ: {_some(odd)}")
    return state


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or was not downloaded in full: {error}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a file beside this one to write into; it takes this one's place once it is whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
