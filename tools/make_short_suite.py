#!/usr/bin/env python3
"""Makes the data of the suite `short` from the held-out part of the long-document corpus:

    make_short_suite.py CORPUS_FOLDER OUTPUT_FOLDER

Reads CORPUS_FOLDER/*.heldout.jsonl.zst, writes documents, continuation and questions (.jsonl.zst). Only sources
that may be passed on: public domain, CC-BY, CC-BY-SA, MIT, PSF; resources/short/LICENSE.md lists them. The same
corpus gives the same files. Needs the program zstd.
"""
import json
import random
import re
import subprocess
import sys
from pathlib import Path

ENDING_WORDS = 25
ENDING_CHARACTERS = 40  # of scripts without blanks
BLANKLESS = ("zh", "ja")
# The end of a word before it tells a sentence's end from an abbreviation's point.
SENTENCE = re.compile(r"(?<=[^\W\d_]{4}[.!?])[\"'”’»)]*\s+(?=[“\"'«¿¡—(]*[A-ZА-ЯÁÉÍÓÚÀÂÇÈÊÎÔ])")
SENTENCE_BLANKLESS = re.compile(r"(?<=[。！？])[」』]*")
HEADING = re.compile(r"^([IVXLC]+\W*|\d+\W*|\W*|(CHAPTER|BOOK|VOLUME|PART|CHAPITRE|CAP[IÍ]TULO|ГЛАВА|Chapter|Глава)\b.{,60}|第.{1,4}[回章].{,30})$")


def read(corpus, name):
    text = subprocess.run(["zstd", "-dcq", corpus / f"{name}.heldout.jsonl.zst"], check=True, capture_output=True).stdout
    return [json.loads(line) for line in text.decode().splitlines()]


def write(folder, name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = folder / f"{name}.jsonl.zst"
    subprocess.run(["zstd", "-19", "-qf", "-o", path], check=True, input=text.encode())
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")


def pick(records, prefix):
    return [r for r in records if r["id"].startswith(prefix)]


def about(record):
    return {k: record[k] for k in ("source", "license", "lang") if k in record}


def interleave(lists):
    """Beginnings of the result hold something of each list."""
    return [item for i in range(max(map(len, lists))) for l in lists if i < len(l) for item in [l[i]]]


# ---- documents

def excerpts(record, count, characters, boundary):
    """`count` pieces from places all over the text; they begin behind a boundary and end at a line's end."""
    text = record["text"]
    found = []
    for k in range(count):
        at = int(len(text) * (k + 0.7) / (count + 0.4))
        begin = text.find(boundary, at) + len(boundary)
        end = text.find("\n", begin + characters)
        if end < 0 or end > begin + 1.3 * characters:  # a long paragraph
            end = begin + characters
        found.append({"text": text[begin:end].strip(), **about(record), "title": record["title"]})
    return found


def instructions(records, count, characters):
    """Questions and answers, one behind the other."""
    found, parts, size = [], [], 0
    for r in records:
        part = f"Question: {r['instruction']}\n" + (f"{r['input']}\n" if r["input"] else "") + f"Answer: {r['output']}"
        if len(part) > characters:
            continue
        parts.append(part)
        size += len(part)
        if size >= characters:
            found.append({"text": "\n\n".join(parts)[:characters], **about(records[0]), "title": records[0]["dataset"]})
            parts, size = [], 0
        if len(found) == count:
            break
    return found


def documents(corpus):
    books, encyclopedia, technical = read(corpus, "books_en"), read(corpus, "encyclopedia"), read(corpus, "technical")
    other, instruct = read(corpus, "other_langs"), read(corpus, "instruct")
    covid = [r for r in read(corpus, "qa_long") if r["dataset"] == "covidqa"]
    code = read(corpus, "code")
    per_language = {"ru": 1600, "es": 3000, "fr": 3000, "ja": 700}
    by_class = {
        "novel": [excerpts(r, 3, 3500, "\n\n") for r in books],
        "encyclopedia": [excerpts(r, n, 3500, "\n\n") for r, n in
                         ((pick(encyclopedia, "eb1911:")[0], 9), (pick(encyclopedia, "wiki:")[0], 3))],
        "technical": [excerpts(pick(technical, "tech:uscode")[0], 8, 3500, "\n\n"),
                      [excerpts(r, 1, 3500, "\n")[0] for r in covid[:4]]],
        "code": [excerpts(r, 6, 3000, "\n\n\n" if r["lang"] == "python" else "\n\n") for r in code],
        "chinese": [excerpts(read(corpus, "zh")[0], 8, 700, "\n"),
                    excerpts(pick(technical, "tech:zh-law")[0], 4, 700, "\n")],
        "other_languages": [excerpts(r, 3, per_language[r["lang"]], "\n") for r in other if "Zhukova" not in r["id"]],
        "instructions": [instructions([r for r in instruct if r["dataset"] == d], 6, 3500)
                         for d in ("gsm8k", "medquad")],
    }
    return [{"id": f"{c}/{i}", "class": c, **d}
            for c, lists in by_class.items() for i, d in enumerate(interleave(lists)[:12])]


# ---- continuation

def sentences(record):
    """[[begin, end]] of sentences in the returned running text, headings left out."""
    blankless = record["lang"] in BLANKLESS
    lines = [re.sub(r"\s+", " ", p).strip() for p in record["text"].split("\n")]
    lines = [p for p in lines if p and not HEADING.match(p) and not p.isupper()]
    text = ("" if blankless else " ").join(lines)
    ends = [m.end() for m in (SENTENCE_BLANKLESS if blankless else SENTENCE).finditer(text)]
    return text, list(zip([0] + ends, ends + [len(text)]))


def size_of(text, blankless):
    return len(text) if blankless else len(text.split())


def ending(text, begin, blankless):
    if blankless:
        return text[begin:begin + ENDING_CHARACTERS]
    return " " + " ".join(text[begin:begin + 40 * ENDING_WORDS].split(" ")[:ENDING_WORDS])


def continuations(record, count, rng):
    """Which of four passages goes on? The others stand a little further in the same document, so that
    style and matter are the same and only the thread is not."""
    blankless = record["lang"] in BLANKLESS
    text, spans = sentences(record)
    least, most = (200, 320) if blankless else (100, 160)
    near, far = (12, 100) if blankless else (30, 220)  # sentences
    found = []
    for k in range(count):
        at = int(len(spans) * (k + 0.5) / (count + 1)) + rng.randrange(5)
        last = at
        while last < len(spans) and size_of(text[spans[at][0]:spans[last][1]], blankless) < least:
            last += 1
        if last + far >= len(spans):
            break
        context = text[spans[at][0]:spans[last][1]].strip()
        # A sentence that would end before the passage does lets it run on into the next one.
        starts = [spans[last + 1][0]] + [spans[last + d][0] for d in rng.sample(range(near, far), 3)]
        passages = [ending(text, s, blankless) for s in starts]
        if size_of(context, blankless) > most or len(set(passages)) < 4:
            continue
        order = list(range(4))
        rng.shuffle(order)
        found.append({"context": context, "choices": [passages[i] for i in order], "answer": order.index(0),
                      **about(record)})
    return found


def continuation(corpus):
    rng = random.Random(6)
    other = read(corpus, "other_langs")
    encyclopedia = read(corpus, "encyclopedia")
    by_class = {
        "novel": [continuations(r, 22, rng) for r in read(corpus, "books_en")],
        "encyclopedia": [continuations(pick(encyclopedia, p)[0], n, rng) for p, n in (("eb1911:", 60), ("wiki:", 8))],
        "chinese": [continuations(read(corpus, "zh")[0], 40, rng)],
        "other_languages": [continuations(r, 14, rng) for r in other if "Zhukova" not in r["id"]],
    }
    most = {"novel": 80, "encyclopedia": 50, "chinese": 30, "other_languages": 40}
    return interleave([[{"id": f"{c}/{i}", "class": c, **d} for i, d in enumerate(interleave(lists)[:most[c]])]
                       for c, lists in by_class.items()])


# ---- questions

def plain(answer):
    return re.sub(r"\W+", " ", answer.lower()).strip()


def with_distractors(question, answers, others, rng, record):
    """None when fewer than three different wrong answers are there."""
    accepted, wrong = {plain(a) for a in answers}, {}
    for other in others:
        clear = not any(plain(other) in a or a in plain(other) for a in accepted | set(wrong))
        if plain(other) and clear:
            wrong[plain(other)] = other
    if len(wrong) < 3:
        return None
    choices = [answers[0]] + rng.sample(list(wrong.values()), 3)
    right = choices[0]
    rng.shuffle(choices)
    return {"question": question, "choices": choices, "answer": choices.index(right), **about(record)}


def trivia(records):
    """OpenTriviaQA brings its own wrong answers."""
    found = []
    for r in records:
        options = [line[3:] for line in r["input"].split("\n")]
        clean = all(len(o) < 60 and not re.search("[ÂÃÄ]|of th[eo]se|above", o) for o in options + [r["instruction"][:59]])
        if len(options) == 4 and len(set(options)) == 4 and r["output"] in options and clean \
                and r["instruction"].isascii() and len(r["instruction"]) < 200:
            found.append({"question": r["instruction"], "choices": options, "answer": options.index(r["output"]),
                          **about(r)})
    return found


def facts(records, rng):
    """Questions of Natural Questions; the wrong answers answer others that open with the same word."""
    kinds = {}
    for r in records:
        word = re.match(r"(who|when|where|how many)\b", r["instruction"])
        if word and len(r["answers"]) == 1 and len(r["answers"][0]) < 40 and r["answers"][0].isascii():
            kinds.setdefault(word[0], []).append(r)
    found = []
    for same in kinds.values():
        pool = [r["answers"][0] for r in same]
        found.append([with_distractors(r["instruction"], r["answers"], pool, rng, r) for r in same])
    return [q for q in interleave(found) if q]


def reading(records, characters, rng, per_text):
    """A text or table and a question on it; the wrong answers answer other questions on the same."""
    found = []
    for r in records:
        if len(r["text"]) > characters:
            continue
        asked = 0
        for q in r["qas"]:
            others = [o["answers"][0] for o in r["qas"] if o is not q and o["answers"]]
            item = with_distractors(q["question"], q["answers"], others, rng, r) if q["answers"] else None
            if item and asked < per_text and all(len(c) < 60 for c in item["choices"]):
                found.append({"context": r["text"], **item})
                asked += 1
    return found


def questions(corpus):
    rng = random.Random(66)
    instruct, short = read(corpus, "instruct"), read(corpus, "qa_short")
    of = lambda records, *names: [r for r in records if r["dataset"] in names]
    nq = of(instruct, "nq-open-closed") + [
        {**r, "instruction": q["question"] + "?", "answers": q["answers"]}
        for r in of(short, "nq-open") for q in r["qas"]]
    by_class = {
        "trivia": trivia(of(instruct, "opentriviaqa"))[:100],
        "facts": facts(nq, rng)[:100],
        "table": reading(of(short, "wikitablequestions"), 2000, rng, 2)[:50],
        "reading_zh": reading(of(short, "drcd", "cmrc2018"), 700, rng, 2)[:50],
    }
    return [{"id": f"{c}/{i}", "class": c, **q} for c, list_ in by_class.items() for i, q in enumerate(list_)]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    corpus, output = Path(sys.argv[1]), Path(sys.argv[2])
    write(output, "documents", documents(corpus))
    write(output, "continuation", continuation(corpus))
    write(output, "questions", questions(corpus))


if __name__ == "__main__":
    main()
