"""Readers, on small files written here in each set's format, and on the real ones if at hand."""

import csv
import gzip
import json
import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from companion import data
from companion.data import binary_formats, formats, loading
from tests.verification import same


def write(folder, **files):
    """Write files (text, bytes, or what becomes JSON); return them as `fetch` does."""
    paths = {}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content, ensure_ascii=False)
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        paths[name] = path
    return paths


def read(folder, name, **files):
    return loading.read(name, write(folder, **files))


def read_by_hand(folder, name, expected, **files):
    same(f"loading.read {name}", "by hand", read(folder, name, **files), expected)


SENTENCES = {"train.tsv": "good\t1\nbad\t0\n", "dev.tsv": "so so\t0", "test.tsv": "fine\t1\n"}


# -- classification ------------------------------------------------------------------------------


def test_sst2(tmp_path):
    expected = {
        "train": [data.Example("good", 1), data.Example("bad", 0)],
        "dev": [("so so", 0)],
        "test": [("fine", 1)],
    }
    read_by_hand(tmp_path, "sst2", expected, **SENTENCES)


def test_chnsenticorp(tmp_path):
    text = 'label,review\n1,"很好,""推荐""。\n再来"\n0,\n'
    expected = {"train": [('很好,"推荐"。\n再来', 1), ("", 0)]}
    read_by_hand(tmp_path, "chnsenticorp", expected, **{"ChnSentiCorp_htl_all.csv": text})


def test_sms_spam_keeps_lone_quotes(tmp_path):
    text = 'ham\tHe said "no.\nspam\tWIN "now\u2028later\n'
    expected = {"train": [('He said "no.', 0), ('WIN "now\u2028later', 1)]}
    read_by_hand(tmp_path, "sms_spam", expected, **{"sms.tsv": text})


# -- pairs ---------------------------------------------------------------------------------------


def test_multi30k(tmp_path):
    parts = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    files = {}
    for part in parts.values():
        files |= {f"{part}.en.gz": f"A dog, {part}.\nTwo.\n", f"{part}.de.gz": "Ein Hund.\nZwei.\n"}
    expected = {
        split: [(f"A dog, {part}.", "Ein Hund."), ("Two.", "Zwei.")]
        for split, part in parts.items()
    }
    read_by_hand(tmp_path, "multi30k", expected, **files)


def test_sides_of_different_length(tmp_path):
    files = {"a.en.gz": "one\ntwo\n", "a.de.gz": "eins\n"}
    with pytest.raises(ValueError, match=r"same number of lines, got 2 and 1"):
        loading._parallel(write(tmp_path, **files), "a")


def test_tatoeba(tmp_path):
    expected = {"train": [("Hi.", "嗨。", "CC-BY by A & B")]}
    read_by_hand(tmp_path, "tatoeba_en_zh", expected, **{"cmn.txt": "Hi.\t嗨。\tCC-BY by A & B\n"})


# -- tags ----------------------------------------------------------------------------------------

NEWS = "Ada\tB-person\nL.\tI-person\nran\tO\n\t\n\nHi\tO\n"


def test_wnut17(tmp_path):
    names = {
        "train": "wnut17train.conll",
        "dev": "emerging.dev.conll",
        "test": "emerging.test.annotated",
    }
    sentences = [(("Ada", "L.", "ran"), ("B-person", "I-person", "O")), (("Hi",), ("O",))]
    files = dict.fromkeys(names.values(), NEWS)
    read_by_hand(tmp_path, "wnut17", dict.fromkeys(names, sentences), **files)


def test_weibo_ner(tmp_path):
    text = "北0\tB-GPE.NAM\n京1\tI-GPE.NAM\n10\tO\n212\tO\n\ufffd\ufffd0\tO\n\n"
    splits = ("train", "dev", "test")
    sentence = (("北", "京", "1", "2", "\ufffd\ufffd"), ("B-GPE.NAM", "I-GPE.NAM", "O", "O", "O"))
    files = {f"weiboNER_2nd_conll.{split}": text for split in splits}
    read_by_hand(tmp_path, "weibo_ner", {split: [sentence] for split in splits}, **files)


# -- questions -----------------------------------------------------------------------------------


def asked(start=4, text="cat", **more):
    question = {"id": "q1", "question": "Who?", "answers": [{"text": text, "answer_start": start}]}
    paragraph = {"context": "The cat sat.", "qas": [question]}
    return {"data": [{"title": "Cats", "paragraphs": [paragraph]}], **more}


def test_squad(tmp_path):
    expected = {"dev": [("q1", "Cats", "The cat sat.", "Who?", (("cat", 4),))]}
    read_by_hand(tmp_path, "squad", expected, **{"dev-v1.1.json": asked(version="1.1")})


def test_xquad(tmp_path):
    files = {"xquad.en.json": asked(), "xquad.zh.json": asked()}
    row = ("q1", "Cats", "The cat sat.", "Who?", (("cat", 4),))
    read_by_hand(tmp_path, "xquad", {"en": [row], "zh": [row]}, **files)


def test_xquad_in_another_order(tmp_path):
    other = asked()
    other["data"][0]["paragraphs"][0]["qas"][0]["id"] = "q2"
    with pytest.raises(ValueError, match="must have the same questions"):
        read(tmp_path, "xquad", **{"xquad.en.json": asked(), "xquad.zh.json": other})


@pytest.mark.parametrize("start", [3, 5, 100])
def test_an_answer_at_another_place(tmp_path, start):
    with pytest.raises(ValueError, match=rf"question q1: 'cat' must stand at {start}, got "):
        read(tmp_path, "squad", **{"dev-v1.1.json": asked(start)})


# -- images and sounds ---------------------------------------------------------------------------


def packed(array):
    """Write an array as the makers of MNIST did."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def test_mnist(tmp_path):
    rng = np.random.default_rng(0)
    files, expected = {}, {}
    for split, part, n in (("train", "train", 5), ("test", "t10k", 3)):
        images = rng.integers(256, size=(n, 4, 6), dtype=np.uint8)
        labels = rng.integers(10, size=n, dtype=np.uint8)
        files |= {f"{part}-images-idx3-ubyte.gz": packed(images)}
        files |= {f"{part}-labels-idx1-ubyte.gz": packed(labels)}
        expected[split] = (images.tolist(), labels.tolist())
    found = read(tmp_path, "mnist", **files)
    as_lists = {k: (v.images.tolist(), v.labels.tolist()) for k, v in found.items()}
    same("loading.read mnist", "struct", as_lists, expected)
    assert found["train"].images.dtype == np.uint8
    assert found["train"].labels.dtype == np.int64
    found["train"].images[0] = 0  # a copy of its own, that may be written to


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "must begin with 00 00 08, got $"),
        (b"\0\0\x0d\x01\0\0\0\0", "must begin with 00 00 08, got 00 00 0d"),
        (b"\0\0\x08\x03\0\0\0\1", "ends within its head of 16 bytes"),
        (b"\0\0\x08\x01\0\0\0\3ab", r"must hold 3 bytes for the shape \(3,\), got 2"),
        (b"\0\0\x08\x01\0\0\0\3abcd", r"must hold 3 bytes for the shape \(3,\), got 4"),
    ],
)
def test_an_array_that_is_cut(tmp_path, content, why):
    (path,) = write(tmp_path, **{"x.gz": content}).values()
    with pytest.raises(ValueError, match=why):
        binary_formats.idx(path)


def test_idx(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (path,) = write(tmp_path, **{"x.gz": packed(array)}).values()
    same("idx", "struct", binary_formats.idx(path), array)


def test_more_images_than_labels(tmp_path):
    parts = {"a-images-idx3-ubyte.gz": packed(np.zeros((2, 1, 1), np.uint8))}
    parts |= {"a-labels-idx1-ubyte.gz": packed(np.zeros(1, np.uint8))}
    with pytest.raises(ValueError, match="got 2 images and 1 labels"):
        loading._labelled(write(tmp_path, **parts), "a")


def test_digits():
    from sklearn.datasets import load_digits

    found, theirs = data.load("digits"), load_digits()
    both = [np.concatenate(parts) for parts in zip(found["train"], found["test"], strict=True)]
    same("load digits", "scikit-learn", both[0], theirs.images.astype(int))
    same("load digits", "scikit-learn", both[1], theirs.target)
    assert data.fetch("digits") == {}


def sound(path, samples, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, 8000, 0, "NONE", "not compressed"))
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return path


def test_fsdd(tmp_path):
    files = {
        name: sound(tmp_path / f"{name}.wav", [1, -2, 300]) for name in ("7_jackson_4", "0_theo_5")
    }
    found = loading.read("fsdd", files)
    rows = {split: [(r[0].tolist(), *r[1:]) for r in rows] for split, rows in found.items()}
    expected = {
        "train": [([1, -2, 300], 8000, 0, "theo", 5)],
        "test": [([1, -2, 300], 8000, 7, "jackson", 4)],
    }
    same("loading.read fsdd", "by hand", rows, expected)
    recording = binary_formats.recording(files["0_theo_5"])
    same("recording", "by hand", recording.samples, [1, -2, 300])


def test_recordings_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="must be named digit_speaker_take"):
        binary_formats.recording(sound(tmp_path / "noise.wav", [1]))
    with pytest.raises(ValueError, match="one channel of 16 bits"):
        binary_formats.recording(sound(tmp_path / "1_a_1.wav", [1, 2], channels=2))
    path = sound(tmp_path / "1_a_2.wav", [1, 2, 3, 4])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="must hold 4 samples, got 2"):
        binary_formats.recording(path)


# -- text ----------------------------------------------------------------------------------------


def test_tinyshakespeare(tmp_path):
    read_by_hand(
        tmp_path, "tinyshakespeare", {"train": "To be,\nor"}, **{"input.txt": "To be,\nor"}
    )


def test_tang_poems(tmp_path):
    def poem(n):
        return [{"author": "王維", "title": f"詩{n}", "paragraphs": ["空山"], "id": "x"}]

    files = {"tang300.json": poem(0), "poet.tang.0.json": poem(1), "poet.tang.1000.json": poem(2)}
    expected = {
        "tang300": [("王維", "詩0", ("空山",))],
        "complete": [("王維", "詩1", ("空山",)), ("王維", "詩2", ("空山",))],
    }
    read_by_hand(tmp_path, "tang_poems", expected, **files)


@pytest.mark.parametrize("name", ["instruction_en", "instruction_en_alpaca", "instruction_zh"])
def test_instructions(tmp_path, name):
    entry = {"output": "4", "input": "2 + 2", "instruction": "Add."}
    read_by_hand(tmp_path, name, {"train": [("Add.", "2 + 2", "4")]}, **{"x.json": [entry]})


def test_preference_en(tmp_path):
    entry = {"instruction": "Add.", "input": "", "output": "4", "chosen": "4", "rejected": "5"}
    other = {**entry, "input": "2 + 2"}
    expected = [
        ((("human", "Add."),), "4", "5"),
        ((("human", "Add.\n\n2 + 2"),), "4", "5"),
    ]
    read_by_hand(tmp_path, "preference_en", {"train": expected}, **{"x.json": [entry, other]})


def test_preference_zh(tmp_path):
    turns = [{"from": "human", "value": "你好"}]
    replies = {part: {"from": "gpt", "value": part} for part in ("chosen", "rejected")}
    expected = {"train": [((("human", "你好"),), "chosen", "rejected")]}
    entry = {"conversations": turns, **replies}
    read_by_hand(tmp_path, "preference_zh", expected, **{"x.json": [entry]})


def test_filmtrust(tmp_path):
    files = {"ratings_0.txt": "1 2 3.5\r\n10 20 0.5\r\n", "ratings_1.txt": "3 4 4\r\n"}
    expected = {"train": [(1, 2, 3.5), (10, 20, 0.5), (3, 4, 4.0)]}
    read_by_hand(tmp_path, "filmtrust", expected, **files)


def test_gpt2_bpe_is_where_its_files_are(tmp_path):
    files = write(tmp_path, **{"encoder.json": {}, "vocab.bpe": ""})
    assert loading.read("gpt2_bpe", files) == files


# -- nothing passes silently ---------------------------------------------------------------------

WRONG = {
    "no tab": ("sst2", {"train.tsv": "good 1\n"}, r"train.tsv, line 1: must have 2 columns, got 1"),
    "two tabs": ("sst2", {"train.tsv": "a\t1\nb\tc\t1\n"}, r"line 2: must have 2 columns, got 3"),
    "an empty line": ("sst2", {"train.tsv": "a\t1\n\nb\t1\n"}, r"line 2: must have 2 columns"),
    "no label": ("sst2", {"train.tsv": "a\t2\n"}, r"label must be one of 0, 1, got '2'"),
    "latin-1": ("sst2", {"train.tsv": "é\t1\n".encode("latin-1")}, r"line 1: must be UTF-8"),
    "no header": (
        "chnsenticorp",
        {"ChnSentiCorp_htl_all.csv": "1,good\n"},
        r"line 1: must be \['label', 'review'\], got \['1', 'good'\]",
    ),
    "a quote left open": (
        "chnsenticorp",
        {"ChnSentiCorp_htl_all.csv": 'label,review\n1,"good\n'},
        r"line 2: cannot be read",
    ),
    "a column too many": (
        "chnsenticorp",
        {"ChnSentiCorp_htl_all.csv": "label,review\n1,good,very\n"},
        r"line 2: must have 2 columns, got 3",
    ),
    "no spam, no ham": ("sms_spam", {"sms.tsv": "eggs\tHi\n"}, "must be one of ham, spam"),
    "no attribution": ("tatoeba_en_zh", {"cmn.txt": "Hi.\t嗨。\n"}, "must have 3 columns, got 2"),
    "no tag": (
        "wnut17",
        {"wnut17train.conll": "Ada\tX-person\n"},
        "must be a token, a tab and a tag",
    ),
    "no place": (
        "weibo_ner",
        {"weiboNER_2nd_conll.train": "北\tO\n"},
        "must be a character and a number, got '北'",
    ),
    "no list": ("instruction_en", {"x.json": {"a": 1}}, "must hold a list, got dict"),
    "no output": (
        "instruction_en",
        {"x.json": [{"instruction": "a", "input": "b"}]},
        r"entry 1: must have \['input', 'instruction', 'output'\]",
    ),
    "no SQuAD": ("squad", {"dev-v1.1.json": {"data": [{}]}}, "must have the form of SQuAD, lacks"),
    "no rating": ("filmtrust", {"a.txt": "1 2 4.7\r\n"}, "line 1: must be a user, an item and a"),
    "no user": ("filmtrust", {"a.txt": "1 2 4\r\nx 2 4\r\n"}, "line 2: must be a user"),
}


@pytest.mark.verifies("complaint", "each error names the file and the line")
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused(tmp_path, what):
    name, files, why = WRONG[what]
    with pytest.raises(ValueError, match=why):
        read(tmp_path, name, **files)


# -- formats against other readers ---------------------------------------------------------------


def test_tables_against_the_csv_module(tmp_path):
    rows = [["a", 'b "c'], ["", "ü\u2029x"], ["d,e", "f"]]
    tabs = "".join("\t".join(row) + "\n" for row in rows)
    (path,) = write(tmp_path, **{"x.tsv": tabs}).values()
    with path.open(encoding="utf-8", newline="\n") as file:
        theirs = [tuple(r) for r in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    same("tab_separated", "csv", formats.tab_separated(path, 2), theirs)
    path = tmp_path / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["one", "two"], *rows])
    same("with_header", "csv", formats.with_header(path, ["one", "two"]), [tuple(r) for r in rows])


def test_lines(tmp_path):
    (path,) = write(tmp_path, x="a\r\nb\u2028c\x0bd\n\ne").values()
    expected = [(1, "a"), (2, "b\u2028c\x0bd"), (3, ""), (4, "e")]
    same("lines", "by hand", list(formats.lines(path)), expected)


def test_tagged(tmp_path):
    (path,) = write(tmp_path, x="\n\nA\tO\n\n\nB\tB-x").values()
    expected = [(("A",), ("O",)), (("B",), ("B-x",))]
    same("tagged", "by hand", formats.tagged(path), expected)


def test_read_json(tmp_path):
    (path,) = write(tmp_path, **{"x.json": [{"a": 1, "b": "二"}]}).values()
    same("read_json", "json", formats.read_json(path, {"a"}), [{"a": 1, "b": "二"}])


def test_questions(tmp_path):
    (path,) = write(tmp_path, **{"x.json": asked()}).values()
    same("questions", "by hand", formats.questions(path)[0].answers, (("cat", 4),))


ROWS = {
    "Example": ("text", "label"),
    "Pair": ("source", "target"),
    "AttributedPair": ("source", "target", "attribution"),
    "Tagged": ("tokens", "tags"),
    "Answer": ("text", "start"),
    "Question": ("id", "title", "context", "question", "answers"),
    "Images": ("images", "labels"),
    "Poem": ("author", "title", "lines"),
    "Instruction": ("instruction", "input", "output"),
    "Turn": ("speaker", "text"),
    "Preference": ("turns", "chosen", "rejected"),
    "Rating": ("user", "item", "rating"),
    "Recording": ("samples", "rate", "digit", "speaker", "take"),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_columns_of_rows(name):
    same(f"rows.{name}", "the chapters' use", getattr(data, name)._fields, ROWS[name])


# -- the real files, where they are at hand ------------------------------------------------------


def real():
    """Return the sets of which all files lie in the folder of the environment."""
    folder = os.environ.get("COMPANION_DATA", "")
    sets = [data.source(name) for name in data.names()]
    return [
        each.name
        for each in sets
        if each.files and all((Path(folder) / each.name / f.name).is_file() for f in each.files)
    ]


def test_real_files_have_as_many_rows_as_the_registry_says():
    for name in real():
        found = data.load(name)
        counts = {split: count(rows) for split, rows in found.items()}
        assert counts == dict(data.source(name).rows), name


def count(rows):
    if isinstance(rows, data.Images):
        assert len(rows.images) == len(rows.labels)
        return len(rows.labels)
    if isinstance(rows, str):
        return rows.count("\n")
    if isinstance(rows, Path):
        text = rows.read_text(encoding="utf-8")
        return len(json.loads(text)) if rows.suffix == ".json" else text.count("\n") - 1
    return len(rows)
