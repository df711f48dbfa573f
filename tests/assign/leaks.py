"""Looks for what must not be found in files: in whatever wrapping it comes."""

import base64
import binascii
import contextlib
import functools
import gzip
import inspect
import io
import json
import re
import zipfile
import zlib

from assign import sources
from companion.notebook import _assignments

ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
WRITTEN = (("\\n", "\n"), ("\\'", "'"), ('\\"', '"'), ("\\\\", "\\"))  # in Python's strings
HEX = re.compile(r"(?:[0-9a-fA-F]{2}){16,}")
BOUND = re.compile(r"asserterror<[\d.e-]+,\(")
DEPTH = 5


def flat(text):
    """Return the text without any white space."""
    return "".join(text.split())


# -- what must not be found ----------------------------------------------------------------------


def secrets(question):
    """Return the lines and sentences of an exercise that only a grader may see."""
    exercise = question.exercise
    kept = [exercise.solution, *exercise.wrong_answers.values()]
    kept += [inspect.getsource(check.function) for check in exercise.hidden]
    found = {flat(line) for text in kept for line in text.splitlines()}
    found -= {line for line in found if BOUND.fullmatch(line)}  # many checks have the same
    told = exercise.text("explanation"), exercise.text("explanation", question.into)
    found |= {flat(s) for text in told for s in re.split(r"(?<=[.:;?。：；？])", text)}
    found |= {flat(check.what) for check in exercise.hidden} | {flat(m) for m in messages(question)}
    shown = flat(allowed(question))
    return {secret for secret in found if len(secret) >= 10 and secret not in shown} | results(
        question, shown
    )


def messages(question):
    """Return what the hidden checks say to a wrong answer."""
    from assign import localise

    for check in question.exercise.hidden:
        yield from localise.messages(inspect.getsource(check.function))


def results(question, shown):
    """Return the numbers of four digits and more that hidden checks compare with."""
    given = repr([dict(check.given) for check in question.exercise.hidden])
    numbers = {n for n in re.findall(r"\d+(?:\.\d+)?", given) if len(n) >= 4}
    return {n for n in numbers if n not in shown}


def allowed(question):
    """Return what a student is shown of the exercise, and what runs its checks."""
    exercise = question.exercise
    parts = [
        inspect.getsource(_assignments),
        exercise.starter,
        sources.gather([check.function for check in exercise.visible]),
    ]
    for into in (None, question.into):
        parts += [exercise.text(part, into) for part in ("title", "question", "hint")]
    return "\n".join(parts)


# -- looking -------------------------------------------------------------------------------------


def leaks(folder, secrets):
    """Return the secrets that are found in a folder's files."""
    texts = [flat(text) for path in sorted(folder.rglob("*")) for text in of_file(path)]
    return {secret for secret in secrets if any(secret in text for text in texts)}


def of_file(path):
    yield path.name
    if path.is_file():
        yield from readings(path.read_bytes())


def readings(data, depth=0):
    """Yield every text that a file's bytes can be read as."""
    if depth > DEPTH:
        return
    for opened in opening(data):
        yield from readings(opened, depth + 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    yield text
    yield from escaped(text)
    for string in strings(text):
        yield from readings(string.encode(), depth + 1)
    for decoded in decodings("".join(text.split())):
        yield from readings(decoded, depth + 1)


def opening(data):
    """Yield what an archive or a compressed file holds."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (name.encode() for name in archive.namelist())
            yield from (archive.read(name) for name in archive.namelist())
    for decompress in (gzip.decompress, zlib.decompress):
        with contextlib.suppress(OSError, EOFError, zlib.error):
            yield decompress(data)


def strings(text):
    """Yield the strings of JSON, keys included; those of a list also joined."""
    try:
        tree = json.loads(text)
    except ValueError:
        return
    if isinstance(tree, (dict, list)):
        yield from _strings(tree)


def _strings(tree):
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        yield from tree
        for value in tree.values():
            yield from _strings(value)
    elif isinstance(tree, list):
        if all(isinstance(part, str) for part in tree):
            yield "".join(tree)
        for value in tree:
            yield from _strings(value)


def escaped(text):
    """Yield the text with its escapes resolved."""
    yield functools.reduce(lambda t, pair: t.replace(*pair), WRITTEN, text)
    if ESCAPE.search(text):
        yield ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), text)


def decodings(text):
    """Yield what long runs of letters and digits may encode."""
    for run in ENCODED.findall(text):
        padded = run.rstrip("=") + "=" * (-len(run.rstrip("=")) % 4)
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            with contextlib.suppress(binascii.Error, ValueError):
                yield decode(padded)
    for run in HEX.findall(text):
        yield bytes.fromhex(run)
