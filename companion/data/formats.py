r"""Reading the text formats that the data sets come in.

A line that is not as it should be never passes silently: it raises, with the file and the line.
Lines end at a line feed and nowhere else; ``str.splitlines`` would also cut at characters such
as U+2028, which occur in real text, and a reader of quotes would swallow lines at a lone one.
"""

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from companion.data.rows import Answer, Question, Tagged

__all__ = ["complaint", "lines", "questions", "read_json", "tab_separated", "tagged", "with_header"]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a text file in UTF-8, with their numbers.

    Parameters
    ----------
    path : Path
        Unpacked on the way if its name ends in ``.gz``.

    Yields
    ------
    tuple of int and str
        Numbers begin at 1; line ends are left out.

    Raises
    ------
    ValueError
        If a line is no UTF-8.
    """
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise complaint(path, number, f"must be UTF-8: {error}") from None
            yield number, text.removesuffix("\n").removesuffix("\r")


def complaint(path: Path, number: int, what: str) -> ValueError:
    r"""Return an error that names the line.

    Parameters
    ----------
    path : Path
    number : int
        Of the line, from 1.
    what : str
        What it must be, and what came.

    Returns
    -------
    ValueError
    """
    return ValueError(f"{path.name}, line {number}: {what}")


def tab_separated(path: Path, columns: int, separator: str = "\t") -> list[tuple[str, ...]]:
    r"""Read a table without quotes and without a header.

    Parameters
    ----------
    path : Path
    columns : int
    separator : str

    Returns
    -------
    list of tuple of str

    Raises
    ------
    ValueError
        If a line has another number of columns.
    """
    rows = []
    for number, line in lines(path):
        row = tuple(line.split(separator))
        if len(row) != columns:
            what = f"must have {columns} columns, got {len(row)}: {line[:60]!r}"
            raise complaint(path, number, what)
        rows.append(row)
    return rows


def with_header(path: Path, header: list[str]) -> list[tuple[str, ...]]:
    r"""Read a table with quotes and a header, as spreadsheets write it.

    Parameters
    ----------
    path : Path
    header : list of str
        What the first line must be.

    Returns
    -------
    list of tuple of str
        Without the header.

    Raises
    ------
    ValueError
        If the header is another one, a row has another number of columns, or a quote is left
        open.
    """
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            found = next(reader, [])
            if found != header:
                raise complaint(path, 1, f"must be {header}, got {found}")
            for row in reader:
                if len(row) != len(header):
                    what = f"must have {len(header)} columns, got {len(row)}: {row}"
                    raise complaint(path, reader.line_num, what)
                rows.append(tuple(row))
        except csv.Error as error:
            raise complaint(path, reader.line_num, f"cannot be read: {error}") from None
    return rows


def tagged(path: Path, token: Callable[[str], str] = str) -> list[Tagged]:
    r"""Read sentences with one token and its tag a line, and an empty line after each.

    A line with nothing but a tab counts as empty: WNUT 2017 has both.

    Parameters
    ----------
    path : Path
    token : function of a str
        What makes the token of the first column.

    Returns
    -------
    list of Tagged

    Raises
    ------
    ValueError
        If a line has no two columns, or its second is no tag.
    """
    sentences: list[Tagged] = []
    pairs: list[tuple[str, str]] = []
    for number, line in lines(path):
        if line not in ("", "\t"):
            pairs.append(_token_and_tag(path, number, line, token))
        elif pairs:
            sentences.append(_sentence(pairs))
            pairs = []
    return [*sentences, _sentence(pairs)] if pairs else sentences


def _token_and_tag(
    path: Path, number: int, line: str, token: Callable[[str], str]
) -> tuple[str, str]:
    found = re.fullmatch(r"([^\t]+)\t(O|[BI]-\S+)", line)
    if found is None:
        what = f"must be a token, a tab and a tag (O, B-... or I-...), got {line[:60]!r}"
        raise complaint(path, number, what)
    try:
        return token(found[1]), found[2]
    except ValueError as error:
        raise complaint(path, number, str(error)) from None


def _sentence(pairs: list[tuple[str, str]]) -> Tagged:
    tokens, tags = zip(*pairs, strict=True)
    return Tagged(tokens, tags)


def read_json(path: Path, keys: set[str]) -> list[dict[str, Any]]:
    r"""Read a list of objects.

    Parameters
    ----------
    path : Path
    keys : set of str
        What each of them must have.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        If it is no list of objects, or one lacks a key.
    """
    entries = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise ValueError(f"{path.name} must hold a list, got {type(entries).__name__}")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not keys <= set(entry):
            raise ValueError(f"{path.name}, entry {number}: must have {sorted(keys)}, got {entry}")
    return entries


def questions(path: Path) -> list[Question]:
    r"""Read questions in the form of SQuAD, and check that each answer stands where it should.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Question

    Raises
    ------
    ValueError
        If an answer is not found at its place, or something is missing.
    """
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        return [
            _question(article["title"], paragraph["context"], asked)
            for article in articles
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} must have the form of SQuAD, lacks {error}") from None


def _question(title: str, context: str, asked: dict[str, Any]) -> Question:
    answers = tuple(Answer(each["text"], each["answer_start"]) for each in asked["answers"])
    for text, start in answers:
        found = context[start : start + len(text)]
        if found != text:
            raise ValueError(
                f"question {asked['id']}: {text!r} must stand at {start}, got {found!r}"
            )
    return Question(asked["id"], title, context, asked["question"], answers)
