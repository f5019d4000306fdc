#!/usr/bin/env python3
"""Compares the C++ tokenizers with the Python libraries on a file of strings, vocabulary by vocabulary.

  check_tokenizers.py PROGRAM STRINGS MODEL...

PROGRAM is a build of bench/tokenizer_bench.cc, STRINGS what it reads. A MODEL is a tokenizer.json (compared with `tokenizers`),
a *.model (compared with `sentencepiece`) or the tokenizer.ggml.* keys of a GGUF file as *.gguf.json, from which the original
tokenizer is put together here. Needs tokenizers and sentencepiece.
"""
import json
import struct
import subprocess
import sys

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"


def tiktoken(digits):
    return CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(regex):
    return pre.Split(Regex(regex), "isolated")


def byte_level(use_regex):
    return pre.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def sequence(*steps):
    return pre.Sequence(list(steps))


HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
LETTERS = (
    "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370"
    "-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-"
    "\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF"
    "\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50"
    "-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC"
    "\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115"
    "\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183"
    "\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F"
    "\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400"
    "-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0"
    "-\U000118DF\U0001E900-\U0001E943]+")
MARKS = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"

# name of tokenizer.ggml.pre -> (normalizer, pre-tokenizer, ignore_merges), as in the models' own files
PRE = {
    "gpt-2": (None, byte_level(True), False),
    "mpt": (normalizers.NFC(), byte_level(True), False),
    "smollm": (None, sequence(pre.Digits(individual_digits=True), byte_level(True)), False),
    "command-r": (normalizers.NFC(), sequence(pre.Digits(individual_digits=True), byte_level(True)), False),
    "llama-bpe": (None, sequence(split(tiktoken(r"\p{N}{1,3}")), byte_level(False)), True),
    "qwen2": (normalizers.NFC(), sequence(split(tiktoken(r"\p{N}")), byte_level(False)), False),
    "qwen35": (normalizers.NFC(), sequence(split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), byte_level(False)), False),
    "deepseek-llm": (None, sequence(split("[\r\n]"), split(LETTERS), split(MARKS), split(r"\s+$"), split(HAN), pre.Digits(individual_digits=True), byte_level(False)), False),
    "deepseek-coder": (None, sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(HAN), pre.Digits(individual_digits=True), byte_level(False)), False),
    "falcon": (None, sequence(pre.Punctuation("contiguous"), byte_level(True), pre.Digits(individual_digits=False), split("[0-9][0-9][0-9]")), False),
}
PRE["starcoder"] = PRE["refact"] = PRE["smollm"]
PRE[""] = PRE["gpt-2"]


def from_gguf_bpe(keys):
    tokens, types = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    merges = []
    for merge in keys["tokenizer.ggml.merges"]:
        left, right = merge.split(" ", 1)
        merges.append((left, right))
    normalizer, pre_tokenizer, ignore_merges = PRE[keys.get("tokenizer.ggml.pre", "")]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    for special in (True, False):
        added = [AddedToken(t, special=special, normalized=False) for t, k in zip(tokens, types) if k == (3 if special else 4)]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    return tokenizer


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def model_proto(keys):
    """The ModelProto that a GGUF file of kind llama or t5 came from."""
    kind = {"llama": 2, "t5": 1}[keys["tokenizer.ggml.model"]]
    tokens, scores, types = (keys["tokenizer.ggml." + k] for k in ("tokens", "scores", "token_type"))
    out, unknown = b"", "<unk>"
    for i, (text, score, piece_type) in enumerate(zip(tokens, scores, types)):
        if piece_type == 2:
            unknown = text
        out += field(1, field(1, text.encode()) + field(2, float(score)) + field(3, piece_type))
    out += field(2, field(3, kind) + field(35, int(6 in types)) + field(45, unknown.encode()))
    out += field(3, field(2, bytes(keys.get("tokenizer.ggml.precompiled_charsmap", []))) +
                 field(3, int(keys.get("tokenizer.ggml.add_space_prefix", True))) +
                 field(4, int(keys.get("tokenizer.ggml.remove_extra_whitespaces", False))) + field(5, 1))
    return out


def oracle(path):
    """encode, decode (or None) and the special spellings that a string must not hold for the comparison to be fair."""
    if path.endswith(".gguf.json"):
        keys = json.load(open(path))
        if keys["tokenizer.ggml.model"] == "gpt2":
            tokenizer = from_gguf_bpe(keys)
        else:
            return sentencepiece_oracle(sentencepiece.SentencePieceProcessor(model_proto=model_proto(keys)))
    elif path.endswith(".model"):
        return sentencepiece_oracle(sentencepiece.SentencePieceProcessor(model_file=path))
    else:
        tokenizer = Tokenizer.from_file(path)
    return (lambda s: tokenizer.encode(s, add_special_tokens=False).ids,
            lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip), [])


def sentencepiece_oracle(processor):
    special = [processor.id_to_piece(i) for i in range(processor.get_piece_size())
               if processor.is_control(i) or processor.is_unknown(i)]
    return processor.encode, None, [s for s in special if s]


def results(program, path, strings):
    data = subprocess.run([program, "ids", path, strings], capture_output=True, check=True).stdout
    at = 0

    def text():
        nonlocal at
        n, = struct.unpack_from("<I", data, at)
        at += 4 + n
        return data[at - n:at]

    while at < len(data):
        n, = struct.unpack_from("<I", data, at)
        ids = list(struct.unpack_from(f"<{n}i", data, at + 4))
        at += 4 + 4 * n
        yield ids, text().decode(), text().decode()


def main():
    program, strings, *paths = sys.argv[1:]
    data = open(strings, "rb").read()
    texts, at = [], 0
    while at < len(data):
        n, = struct.unpack_from("<I", data, at)
        texts.append(data[at + 4:at + 4 + n].decode(errors="replace"))
        at += 4 + n
    failed = False
    for path in paths:
        encode, decode, special = oracle(path)
        checked = wrong = decoded = 0
        for text, (ids, whole, skipped) in zip(texts, results(program, path, strings)):
            if any(s in text for s in special):
                continue
            checked += 1
            expected = encode(text)
            bad = expected != ids
            if not bad and decode:
                decoded += 1
                bad = (decode(ids, False), decode(ids, True)) != (whole, skipped)
            wrong += bad
            if bad and wrong <= 5:
                print(f"  {text!r}\n    expected {expected}\n    got      {ids}\n    decoded {whole!r}")
        print(f"{path}: {checked} strings, {decoded} decoded, {wrong} differ", flush=True)
        failed = failed or wrong > 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
