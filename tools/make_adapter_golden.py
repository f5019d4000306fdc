"""Makes tests/golden/adapter with PEFT: small adapters of the models in tests/golden/model, and what they compute.

NAME/adapter_config.json, NAME/adapter_model.safetensors; cases.json: adapter, model, ids and the log-probabilities of
ids[1:], as PEFT gives them after it has loaded the adapter again from its files. Everything is seeded; run it as:
python tools/make_adapter_golden.py
Needs torch, transformers, peft, safetensors.
"""

import json
import pathlib
import shutil
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
cases = []


def base(name):
    directory = GOLDEN / "model" / name
    config = json.loads((directory / "config.json").read_text())
    rope = config.pop("rope_parameters", {})
    model = LlamaForCausalLM.from_pretrained(
        directory, config=LlamaConfig(**config, rope_theta=rope.get("rope_theta", 10000.0)), torch_dtype=torch.float32,
        attn_implementation="eager")
    return model.eval()


def log_probs(model, ids):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    return torch.log_softmax(logits, -1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def add(name, model, change=None, **options):
    torch.manual_seed(len(cases))
    config = LoraConfig(**{**dict(task_type="CAUSAL_LM", r=4, lora_alpha=6, target_modules=ALL), **options})
    peft = get_peft_model(base(model), config)
    with torch.no_grad():
        for parameter_name, p in peft.named_parameters():
            if "lora_magnitude_vector" in parameter_name:
                p.mul_(1 + 0.3 * torch.randn_like(p))
            elif "lora_" in parameter_name:
                p.copy_(0.3 * torch.randn_like(p))
            elif p.requires_grad:
                p.add_(0.3 * torch.randn_like(p))
    directory = GOLDEN / "adapter" / name
    shutil.rmtree(directory, ignore_errors=True)
    peft.save_pretrained(directory)
    (directory / "README.md").unlink()
    file = directory / "adapter_config.json"
    values = json.loads(file.read_text())
    values.update(base_model_name_or_path=f"tests/golden/model/{model}", **(change or {}))
    file.write_text(json.dumps(values, indent=2) + "\n")
    ids = torch.randint(0, 64, (24,)).tolist()
    loaded = PeftModel.from_pretrained(base(model), directory).eval()
    cases.append(dict(adapter=name, model=model, ids=ids, log_probs=log_probs(loaded, ids),
                      base=log_probs(base(model), ids)))
    print(name, sum((directory / f).stat().st_size for f in ["adapter_model.safetensors", "adapter_config.json"]), "bytes,",
          "mean", sum(cases[-1]["log_probs"]) / 23, "base", sum(cases[-1]["base"]) / 23)


add("plain", "gqa", r=2)
add("patterns", "gqa", r=2, rank_pattern={"q_proj": 3, r"layers\.1\.mlp\.down_proj": 5}, target_modules=ALL,
    alpha_pattern={"self_attn.v_proj": 9, r"model\.layers\.0\.mlp\.(gate|up)_proj": 1})
add("rslora_patterns", "gqa", use_rslora=True, rank_pattern={"o_proj": 2}, alpha_pattern={"o_proj": 8},
    target_modules=["o_proj", "up_proj"])
add("layers", "gqa", target_modules=["q_proj", "up_proj"], layers_to_transform=[1])
add("regex", "gqa", target_modules=r".*\.layers\.0\.(self_attn\.(q|v)|mlp\.down)_proj", r=2)
add("dora", "biased", use_dora=True, r=2)
add("dora_rslora", "gqa", use_dora=True, use_rslora=True, target_modules=["q_proj", "down_proj"],
    rank_pattern={"q_proj": 2})
add("bias", "biased", bias="all", target_modules=["q_proj", "o_proj"])
add("head_and_embedding", "gqa", target_modules=["q_proj", "embed_tokens", "lm_head"])
add("saved", "gqa", target_modules=["v_proj"], modules_to_save=["lm_head", "embed_tokens", "input_layernorm", "norm"])
add("tied_saved_embedding", "tied", target_modules=["v_proj"], modules_to_save=["embed_tokens"])
add("tied_saved_both", "tied", target_modules=["v_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)
add("tied_embedding", "tied", target_modules=["v_proj", "embed_tokens"])
add("tied_embedding_both", "tied", target_modules=["v_proj", "embed_tokens"], ensure_weight_tying=True)
add("tied_head", "tied", target_modules=["v_proj", "lm_head"])
add("gaussian", "gqa", init_lora_weights="gaussian", target_modules=["k_proj"], r=2)
add("fan_in_fan_out", "gqa", target_modules=["k_proj"], r=2, change={"fan_in_fan_out": True})
add("dora_embedding", "gqa", use_dora=True, target_modules=["q_proj", "embed_tokens"])
add("pissa", "gqa", init_lora_weights="pissa", rank_pattern={"q_proj": 3})
add("pissa_dora_head", "gqa", init_lora_weights="pissa", use_rslora=True, use_dora=True, r=3,
    target_modules=["o_proj", "lm_head", "embed_tokens"])
add("olora", "biased", init_lora_weights="olora", r=3)
with (GOLDEN / "adapter" / "cases.json").open("w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
