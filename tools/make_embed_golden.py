#!/usr/bin/env python3
"""Makes tests/golden/embed with sentence-transformers, an independent implementation.

  make_embed_golden.py MINILM [TRUE_SIZE]

MINILM is the directory of all-MiniLM-L6-v2 (longspan fetch minilm). Written are tiny random models in the shapes of BGE
(CLS), MiniLM (mean) and Qwen3-Embedding (last token), the first also as GGUF with the names and keys of llama.cpp's
converter, and cases.json: texts, instructions and vectors of these models and of MINILM. With TRUE_SIZE, a folder, a
random BERT-base is written there with cases.json of its own, for `make_embed_golden.py --compare TRUE_SIZE PROGRAM`.
Needs torch, transformers, sentence-transformers, numpy, gguf.
"""
import json
import pathlib
import shutil
import subprocess
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "embed"
WORDS = "the a of and in to is for what who where how window long text cat dog king capital answer query document search model token".split()
TEXTS = ["What is the capital of France?", "The cat sat on the mat.", "", "Ä naïve café, ﬁrst Ünïcode!", "日本語のテキスト and 한국어",
         "[SEP] and [CLS] are special, [unknown] is not", "😀 emoji\u200d and\tcontrol\x07 characters\n", "a" * 101 + " " + "b" * 100,
         "long " * 400, "1,234.5 <tags/> & 'quotes' -- dashes—here…", "Привет, мир! مرحبا بالعالم", "the window of a long text is the window"]
SHORT = [t if len(t) < 120 else t[:120] for t in TEXTS]


def vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    marks = [chr(c) for c in range(33, 127) if not chr(c).isalnum()] + ["…", "—", "日", "本", "語", "п", "р", "м", "и"]
    pieces = ["##" + c for c in letters] + ["##ing", "##ed", "##s", "##и", "##р"]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters + marks + pieces + WORDS


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sentence_files(folder, pooling, dimension, most, prompts=None):
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])
    modes = {f"pooling_mode_{m}": m == pooling for m in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": dimension, **modes})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": most, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts or {}, "default_prompt_name": None, "similarity_fn_name": "cosine"})


def randomise(model, seed, scale):
    import torch
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                p.copy_(1.0 + 0.2 * torch.randn_like(p))
            else:
                p.copy_(scale * torch.randn_like(p))
    return model.eval()


def bert(folder, seed, words, scale=0.3, **shape):
    """A random BERT with its tokenizer."""
    from transformers import BertConfig, BertModel, BertTokenizerFast
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = BertConfig(vocab_size=len(words), **shape)
    model = randomise(BertModel(config), seed, scale)
    model.save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True, model_max_length=config.max_position_embeddings)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return model


def bert_gguf(path, model, words, pooling):
    """As llama.cpp's converter writes it: word starts marked by U+2581, no ##."""
    import gguf
    import numpy as np
    c = model.config
    w = gguf.GGUFWriter(path, "bert")
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_head_count(c.num_attention_heads)
    w.add_layer_norm_eps(c.layer_norm_eps)
    w.add_causal_attention(False)
    w.add_pooling_type({"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS}[pooling])
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    w.add_tokenizer_model("bert")
    w.add_token_list([t if t in special else t[2:] if t.startswith("##") else "\u2581" + t for t in words])
    w.add_token_types([3 if t in special else 1 for t in words])
    w.add_token_type_count(c.type_vocab_size)
    for name, token in (("pad", "[PAD]"), ("unk", "[UNK]"), ("bos", "[CLS]"), ("sep", "[SEP]"), ("mask", "[MASK]")):
        getattr(w, f"add_{name}_token_id")(words.index(token))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, c.num_hidden_layers)
    for key, p in model.state_dict().items():
        if key.startswith("pooler.") or key.endswith("position_ids"):
            continue
        mapped = names.get_name("bert." + key, try_suffixes=(".weight", ".bias")) or names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert mapped, key
        w.add_tensor(mapped, np.ascontiguousarray(p.numpy()))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def qwen3(folder, seed):
    """A random decoder with a byte-level tokenizer that ends each text, and its tensors named without a head."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)} | {"<|endoftext|>": 256}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 256)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>", eos_token="<|endoftext|>", padding_side="left",
                                   model_max_length=600)
    fast.save_pretrained(folder)
    config = Qwen3Config(vocab_size=257, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=16, max_position_embeddings=1024, rms_norm_eps=1e-6, rope_theta=1000000.0,
                         tie_word_embeddings=True, bos_token_id=None, eos_token_id=256)
    model = randomise(Qwen3Model(config).to(torch.float32), seed, 0.2)
    model.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    saved["architectures"] = ["Qwen3ForCausalLM"]
    write_json(folder / "config.json", saved)


def case(folder, texts, prompt=""):
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(texts, prompt=prompt, batch_size=4, normalize_embeddings=True)
    return {"texts": texts, "vectors": [[float(f"{x:.7g}") for x in v] for v in vectors.astype(float)]}


def instructions():
    """The pairs as the authors' code has them (FlagEmbedding, research/llm_embedder)."""
    return {"qa": ("Represent this query for retrieving relevant documents: ", "Represent this document for retrieval: "),
            "tool": ("Transform this user request for fetching helpful tool descriptions: ", "Transform this tool description for retrieval: "),
            "bge": ("Represent this sentence for searching relevant passages: ", "")}


def compare(folder, program):
    worst = 0.0
    for entry in json.loads((folder / "cases.json").read_text()):
        out = subprocess.run([program, "embed", str(folder), *entry["texts"], "--side", entry["side"], "--task", entry["task"], "--json", "-q"],
                             check=True, capture_output=True, text=True).stdout
        for line, want in zip(out.splitlines(), entry["vectors"]):
            worst = max(worst, max(abs(a - b) for a, b in zip(json.loads(line)["embedding"], want)))
    print(f"largest difference {worst:.2e}")
    return 0 if worst < 1e-5 else 1


def main():
    if sys.argv[1] == "--compare":
        return compare(pathlib.Path(sys.argv[2]), sys.argv[3])
    minilm = pathlib.Path(sys.argv[1])
    words = vocabulary()
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=300)
    cases = []

    def add(model, texts, task="", side="key", prompt="", folder=None):
        cases.append({"model": model, "task": task, "side": side, **case(folder or GOLDEN / model, texts, prompt)})

    cls = bert(GOLDEN / "bge", 1, words, **shape)
    sentence_files(GOLDEN / "bge", "cls_token", 32, 300)
    bert_gguf(GOLDEN / "bge.gguf", cls, words, "cls")
    bert(GOLDEN / "mean", 2, words, **shape)
    sentence_files(GOLDEN / "mean", "mean_tokens", 32, 64)
    qwen3(GOLDEN / "qwen3", 3)
    sentence_files(GOLDEN / "qwen3", "lasttoken", 32, 600, {"query": "Instruct: find it\nQuery:", "document": ""})
    add("bge", TEXTS)
    for task, (query, key) in instructions().items():
        add("bge", SHORT, task, "query", query)
        add("bge", SHORT[:4], task, "key", key)
    add("mean", TEXTS)
    add("qwen3", TEXTS, side="query", prompt="Instruct: find it\nQuery:")
    add("qwen3", TEXTS)
    add("minilm", TEXTS, folder=minilm)
    (GOLDEN / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
    if len(sys.argv) > 2:
        folder = pathlib.Path(sys.argv[2])
        real = (minilm / "vocab.txt").read_text().split("\n")[:30522]
        bert(folder, 7, real, scale=0.05, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, max_position_embeddings=512)
        sentence_files(folder, "cls_token", 768, 512)
        rows = [{"task": task, "side": side, **case(folder, SHORT[:2] + SHORT[3:], prompt)}
                for task, (query, key) in instructions().items() for side, prompt in (("query", query), ("key", key))]
        write_json(folder / "cases.json", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
