#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: small vocabularies, fragments of text, and hashes of what the Python libraries answer.

  make_tokenizer_golden.py CORPUS SMOLLM2.gguf OUT

CORPUS is a folder of *.heldout.jsonl.zst with a "text" in each line. The strings are put together from fragments.json by a
seeded generator that tests/tokenizer/golden.h repeats, so only 4 bytes a string and vocabulary are kept: FNV-1a over the
ids (with special tokens parsed, then as ordinary text) and, for `tokenizers`, over both decodings. Needs tokenizers,
sentencepiece, gguf, zstd.
"""
import base64
import glob
import io
import json
import os
import random
import struct
import subprocess
import sys

import sentencepiece
from tokenizers import Tokenizer, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

import check_tokenizers as check

STRINGS = 10500
VARIANT_EVERY = 30  # the variants are tried on every 30th string
MASK = (1 << 64) - 1


def real_texts(corpus):
    texts = {}
    for path in sorted(glob.glob(corpus + "/*.heldout.jsonl.zst")):
        lines = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout.splitlines()
        found = [json.loads(line).get("text") for line in lines]
        texts[os.path.basename(path)] = [t for t in found if isinstance(t, str) and t]
    return {name: t for name, t in texts.items() if t}


def adversarial():
    out = [chr(c) for c in range(32, 127)]
    out += [" ", "  ", "   ", "\n", "\n\n", "\t", "\t\t", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u200b", "\x85", "\u2028",
            "\v", "\f", "\u180e", "\ufeff", "\0", "\x01", "\x7f", "\ufffd", " " * 20, "\n" * 5]
    out += ["中文測試", "，。！？「」、", "こんにちは", "カタカナ", "한국어", "각", "\u1100\u1161\u11a8", "привет мир", "Ελλάδα", "שלום", "مرحبا", "नमस्ते", "ไทย"]
    out += ["e\u0301", "\u0301", "\u0308", "a\u0323\u0302", "\u093f", "\u0e33", "ﬁ", "ſ", "\u212a", "ß", "İ", "ı", "\u212b", "\u00c5", "ｱﾞ", "㍿", "①", "\u0958"]
    out += ["😀", "👨\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "👍🏽", "🇩🇪🇫", "❤️", "\u200d", "\ufe0f", "1️⃣", "\U0001fae9"]
    out += ["0", "12", "345", "1234567", "3.14", "1,000", "0x1F", "١٢٣", "五", "½", "²", "Ⅷ", "１２", "\U00010d41"]
    out += ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'Re", "’s", "'ſ", "I'm", "we'Ve", "''", "don't"]
    out += ["def f(x):\n    return x", "#include <a>", "\t\tif (a != b) {", "->", "::", "</div>", "\\n", "$x", "_y_", "http://a.b/c?d=e&f", "`", "…", "—"]
    out += ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "[INST]", "<0x0A>", "<|", "|>", "▁", "▁▁", "Ġ", "Ċ",
            "<left>", "<right>", "<word>", "<Norm é>", "<plain>", "<both>", " <left> ", "x<word>y", "<user>", "<nor", "MALLORY"]
    return out


def fragments(texts):
    rnd = random.Random(5)
    out = adversarial()
    for name in sorted(texts):
        for _ in range(40):
            text = rnd.choice(texts[name])
            at = rnd.randrange(len(text))
            out.append(text[at:at + rnd.choice([10, 30, 80, 200])] or "x")
    return out


class Numbers:
    """splitmix64."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        return (z ^ z >> 31) % n


def make_string(parts, k):
    """String k, as bytes that may not be UTF-8: the fragments first, then mixtures."""
    if k < len(parts):
        return parts[k]
    numbers = Numbers(k)
    out = b""
    for _ in range(1 + numbers.below(8)):
        kind = numbers.below(24)
        if kind == 0:
            code = numbers.below(0x110000 if numbers.below(2) else 0x3000)
            piece = chr(code).encode() if not 0xD800 <= code < 0xE000 else b"\xed\xa0\x80"
        elif kind == 1:
            piece = bytes([128 + numbers.below(128)])
        elif kind < 6:
            piece = b" " * (1 + numbers.below(3))
        else:
            piece = parts[numbers.below(len(parts))]
        out += piece * (1 + numbers.below(4) if numbers.below(6) == 0 else 1)
    return out


def fnv(h, data):
    for byte in data:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def hash_ids(h, ids):
    return fnv(h, struct.pack(f"<{len(ids) + 1}i", len(ids), *ids))


def library_hash(tokenizer, text):
    """`text`: str. What golden.h's answer_hash does with decode."""
    tokenizer.encode_special_tokens = False
    ids = tokenizer.encode(text, add_special_tokens=True).ids
    h = hash_ids(0x811C9DC5, ids)
    for skip in (False, True):
        h = fnv(h, tokenizer.decode(ids, skip_special_tokens=skip).encode())
    tokenizer.encode_special_tokens = True
    return hash_ids(h, tokenizer.encode(text, add_special_tokens=False).ids)


def write_hashes(path, values):
    with open(path, "wb") as f:
        f.write(struct.pack(f"<{len(values)}I", *values))
    print(path, len(values))


def added(first_id, vocab):
    """Added tokens of every kind; those of the vocabulary keep their ids."""
    kinds = [("<unk>", {"special": True}), ("<s>", {"special": True}), ("</s>", {"special": True}),
             ("<|im_end|>", {"special": True}), ("<left>", {"lstrip": True, "special": True}), ("<right>", {"rstrip": True}),
             ("<both>", {"lstrip": True, "rstrip": True, "single_word": True}), ("<word>", {"single_word": True}),
             ("<Norm é>", {"normalized": True}), ("<plain>", {}), ("MALL", {"normalized": True}), ("<|im_start|>", {"special": True})]
    out = []
    for content, flags in kinds:
        entry = {"id": vocab.get(content, first_id), "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": False, **flags}
        first_id += content not in vocab
        out.append(entry)
    return out


def trained(trainer, model, pre_tokenizer, texts):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())


def template(prefix, suffix, ids):
    single = [{"SpecialToken": {"id": t, "type_id": 0}} for t in prefix] + [{"Sequence": {"id": "A", "type_id": 0}}]
    single += [{"SpecialToken": {"id": t, "type_id": 0}} for t in suffix]
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in prefix + suffix}}


def byte_level_json(texts):
    model = models.BPE()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False)
    out = trained(trainer, model, pre.Sequence([check.split(check.tiktoken(r"\p{N}{1,3}")), check.byte_level(False)]), texts)
    out["normalizer"] = {"type": "NFC"}
    out["model"]["ignore_merges"] = True
    out["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    out["added_tokens"] = added(len(out["model"]["vocab"]), {})
    ids = {t["content"]: t["id"] for t in out["added_tokens"]}
    out["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, template(["<s>"], ["</s>"], ids)]}
    return out


def byte_fallback_json(texts):
    """As the fast tokenizer of Llama 2: no pre-tokenizer, spaces replaced by the normalizer, merges as strings."""
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=2200, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, limit_alphabet=300, show_progress=False)
    out = trained(trainer, models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True), pre.Metaspace(), texts)
    vocab = out["model"]["vocab"]
    out["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                             {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    out["pre_tokenizer"] = None
    out["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    out["added_tokens"] = added(len(vocab), vocab)
    out["post_processor"] = template(["<s>"], [], {"<s>": vocab["<s>"]})
    out["model"]["merges"] = [" ".join(m) for m in out["model"]["merges"]]
    return out


def unigram_json(texts):
    trainer = trainers.UnigramTrainer(vocab_size=2000, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False)
    latin = ["".join(c for c in t if ord(c) < 0x250) for t in texts]  # the trainer wants every character in the vocabulary
    out = trained(trainer, models.Unigram(), pre.Metaspace(), latin)
    out["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"},
                                                             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    out["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    out["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    out["added_tokens"] = added(len(out["model"]["vocab"]), {t: i for i, (t, _) in enumerate(out["model"]["vocab"])})
    out["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True, "add_prefix_space": False}
    return out


def wordpiece_json(texts):
    """As BERT's uncased tokenizer."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=2200, special_tokens=special, limit_alphabet=500, show_progress=False)
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainer)
    out = json.loads(tokenizer.to_str())
    vocab = out["model"]["vocab"]
    out["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    out["post_processor"] = template(["[CLS]"], ["[SEP]"], vocab)
    return out


def sentencepiece_model(texts, kind, folder):
    """Small models; unigram with a character map of a few rules, since the usual ones take 240 KB."""
    rules = os.path.join(folder, "rules.tsv")
    with open(rules, "w") as f:
        for source, target in [("ﬁ", "fi"), ("\u212b", "\u00c5"), ("½", "1/2"), ("\u3000", " "), ("\u00a0", " "), ("\t", " "), ("\n", " "), ("e\u0301", "\u00e9"),
                               ("①", "1"), ("１", "1"), ("\u200b", ""), ("…", "...")]:
            f.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
    out = io.BytesIO()
    options = dict(sentence_iterator=iter(texts), model_writer=out, vocab_size=2000, model_type=kind, minloglevel=2, num_threads=1,
                   user_defined_symbols=["<user>", "▁▁", "=>"], character_coverage=0.98)
    if kind == "bpe":
        options |= dict(byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True)
    else:
        options |= dict(normalization_rule_tsv=rules)
    sentencepiece.SentencePieceTrainer.train(**options)
    os.remove(rules)
    return out.getvalue()


def message_fields(data):
    """The length-delimited fields of a protobuf message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            at += 1
            value |= (data[at - 1] & 127) << shift
            shift += 7
            if data[at - 1] < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size
        elif key & 7 == 0:
            varint()
        else:
            at += 4 if key & 7 == 5 else 8


def charsmap(model):
    normalizer = next(data for number, data in message_fields(model) if number == 3)
    return base64.b64encode(next(data for number, data in message_fields(normalizer) if number == 2)).decode()


def variants(base_vocab, precompiled):
    """Top-level sections put in place of those of byte_fallback.json, one construct after the other."""
    out = []

    def normalizer(**section):
        out.append({"normalizer": section})

    def pre_tokenizer(**section):
        out.append({"normalizer": None, "pre_tokenizer": section})

    def decoder(**section):
        out.append({"decoder": section})

    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"):
        normalizer(type=kind)
    normalizer(type="Precompiled", precompiled_charsmap=precompiled)
    for left, right in ((True, True), (True, False), (False, True)):
        normalizer(type="Strip", strip_left=left, strip_right=right)
    normalizer(type="Prepend", prepend="ab")
    normalizer(type="Replace", pattern={"Regex": r"\s+|a(?=b)"}, content="__")
    normalizer(type="Sequence", normalizers=[{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}])
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            pre_tokenizer(type="Split", pattern={"Regex": r"\p{L}+|\d"}, behavior=behavior, invert=invert)
        pre_tokenizer(type="Split", pattern={"String": " "}, behavior=behavior, invert=False)
        pre_tokenizer(type="Punctuation", behavior=behavior)
    pre_tokenizer(type="Split", pattern={"Regex": r"\b|(?i:'s|ſ)|\W\w"}, behavior="Isolated", invert=False)
    pre_tokenizer(type="Split", pattern={"Regex": "^.|[^\\S\\n]$|[\\h_]+\\D"}, behavior="Removed", invert=False)
    pre_tokenizer(type="Split", pattern={"Regex": "(?=(\\d{3})+(?!\\d))"}, behavior="Isolated", invert=False)
    pre_tokenizer(type="Split", pattern={"Regex": r"\s+$"}, behavior="Isolated", invert=False)
    for each in (False, True):
        pre_tokenizer(type="Digits", individual_digits=each)
    for kind in ("WhitespaceSplit", "Whitespace"):
        pre_tokenizer(type=kind)
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            pre_tokenizer(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=cut)
    pre_tokenizer(type="Metaspace", replacement="▁", add_prefix_space=True)
    pre_tokenizer(type="Sequence", pretokenizers=[{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}])
    for prefix in (False, True):
        for regex in (False, True):
            pre_tokenizer(type="ByteLevel", add_prefix_space=prefix, trim_offsets=True, use_regex=regex)
    pre_tokenizer(type="Sequence", pretokenizers=[{"type": "Punctuation", "behavior": "Contiguous"},
                                                  {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                                                  {"type": "Digits", "individual_digits": False}])
    out.append({"decoder": None})
    for kind in ("ByteLevel", "ByteFallback", "Fuse"):
        decoder(**({"type": kind} | ({"add_prefix_space": True, "trim_offsets": True, "use_regex": True} if kind == "ByteLevel" else {})))
    for scheme in ("always", "never"):
        decoder(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=True)
    decoder(type="Replace", pattern={"Regex": "▁+[a-e]"}, content="-")
    out.append({"post_processor": template(["<s>", "</s>"], ["</s>"], base_vocab)})
    out.append({"post_processor": None})
    return out


def main():
    corpus, smollm2, folder = sys.argv[1:]
    texts = real_texts(corpus)
    parts = fragments(texts)
    strings = [make_string([p.encode() for p in parts], k) for k in range(STRINGS)]
    decoded = [s.decode(errors="replace") for s in strings]
    with open(os.path.join(folder, "fragments.json"), "w") as f:
        json.dump(parts, f, ensure_ascii=False)
    training = [t[:3000] for name in sorted(texts) for t in texts[name][:60]]

    def save(name, tokenizer):
        path = os.path.join(folder, name + ".json")
        with open(path, "w") as f:
            json.dump(tokenizer, f, ensure_ascii=False, separators=(",", ":"))
        library = Tokenizer.from_file(path)
        write_hashes(os.path.join(folder, name + ".hashes"), [library_hash(library, s) for s in decoded])

    save("byte_level", byte_level_json(training))
    base = byte_fallback_json(training)
    save("byte_fallback", base)
    save("unigram", unigram_json(training))
    save("wordpiece", wordpiece_json(training))

    lines = [line for t in training for line in t.splitlines() if line.strip()]
    for kind in ("bpe", "unigram"):
        model = sentencepiece_model(lines, kind, folder)
        with open(os.path.join(folder, f"sentencepiece_{kind}.model"), "wb") as f:
            f.write(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        write_hashes(os.path.join(folder, f"sentencepiece_{kind}.hashes"), [hash_ids(0x811C9DC5, processor.encode(s)) for s in decoded])

    cases, hashes = variants(base["model"]["vocab"], charsmap(model)), []
    for patch in cases:
        library = Tokenizer.from_str(json.dumps(base | patch))
        hashes += [library_hash(library, s) for s in decoded[::VARIANT_EVERY]]
    with open(os.path.join(folder, "variants.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
    write_hashes(os.path.join(folder, "variants.hashes"), hashes)

    import gguf
    fields = gguf.GGUFReader(smollm2).fields
    library = check.from_gguf_bpe({k: v.contents() for k, v in fields.items() if k.startswith("tokenizer.ggml")})
    write_hashes(os.path.join(folder, "smollm2.hashes"), [library_hash(library, s) for s in decoded])


if __name__ == "__main__":
    main()
