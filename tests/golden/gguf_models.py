"""Tiny GGUF models of every architecture that we read, and the Hugging Face tensors transformers makes of them.

    pip install gguf==0.19.0 numpy==2.4.6 torch==2.15.0 transformers==5.23.0
    python tests/golden/gguf_models.py

Writes tests/golden/gguf-models/<name>.gguf and expected.json: config values, and of every tensor the shape and the
SHA-256 of its float32 bytes. Rows are reordered as llama.cpp's convert_hf_to_gguf.py does.
"""

import hashlib
import json
import math
import pathlib
import sys
from importlib.metadata import version

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers import AutoModelForCausalLM, GPT2Config

HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 32, 64, 2, 4, 2, 40, 64
HEAD_DIM = HIDDEN // HEADS
FOLDER = pathlib.Path(__file__).parent / "gguf-models"
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
rng = np.random.default_rng(7)


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def rope_divisors(theta: float, dim: int) -> np.ndarray:
    """generate_extra_tensors of convert_hf_to_gguf.py."""
    low_wavelen = LLAMA3["original_max_position_embeddings"] / LLAMA3["low_freq_factor"]
    high_wavelen = LLAMA3["original_max_position_embeddings"] / LLAMA3["high_freq_factor"]
    divisors = []
    for freq in 1.0 / theta ** (np.arange(0, dim, 2, dtype=np.float32) / dim):
        wavelen = 2 * math.pi / freq
        if wavelen < high_wavelen:
            divisors.append(1)
        elif wavelen > low_wavelen:
            divisors.append(LLAMA3["factor"])
        else:
            smooth = LLAMA3["original_max_position_embeddings"] / wavelen - LLAMA3["low_freq_factor"]
            smooth /= LLAMA3["high_freq_factor"] - LLAMA3["low_freq_factor"]
            divisors.append(1 / ((1 - smooth) / LLAMA3["factor"] + smooth))
    return np.array(divisors, np.float32)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def add(writer: gguf.GGUFWriter, name: str, values: np.ndarray, kind: Type = Type.F32) -> None:
    if kind == Type.F32:
        writer.add_tensor(name, values)
    elif kind == Type.F16:
        writer.add_tensor(name, values.astype(np.float16))
    else:
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)


def write_llama_like(name: str, arch: str, *, tied: bool, kind: Type, head_dim: int = HEAD_DIM, theta: float = 10000.0, scaled: bool = False) -> None:
    writer = gguf.GGUFWriter(FOLDER / f"{name}.gguf", arch)
    start(writer)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(theta)
    writer.add_vocab_size(VOCAB)
    if arch == "llama":
        writer.add_rope_dimension_count(head_dim)
    if arch == "qwen3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if scaled:
        add(writer, "rope_freqs.weight", rope_divisors(theta, head_dim))
    add(writer, "token_embd.weight", normal(VOCAB, HIDDEN), Type.Q8_0)
    for i in range(LAYERS):
        block = f"blk.{i}."
        q, k = normal(HEADS * head_dim, HIDDEN), normal(KV_HEADS * head_dim, HIDDEN)
        if arch == "llama":
            q, k = permute(q, HEADS), permute(k, KV_HEADS)
        add(writer, block + "attn_norm.weight", normal(HIDDEN))
        add(writer, block + "attn_q.weight", q, kind)
        add(writer, block + "attn_k.weight", k, kind)
        add(writer, block + "attn_v.weight", normal(KV_HEADS * head_dim, HIDDEN), kind)
        add(writer, block + "attn_output.weight", normal(HIDDEN, HEADS * head_dim), kind)
        if arch == "qwen2":
            add(writer, block + "attn_q.bias", normal(HEADS * head_dim))
            add(writer, block + "attn_k.bias", normal(KV_HEADS * head_dim))
            add(writer, block + "attn_v.bias", normal(KV_HEADS * head_dim))
        if arch == "qwen3":
            add(writer, block + "attn_q_norm.weight", normal(head_dim))
            add(writer, block + "attn_k_norm.weight", normal(head_dim))
        add(writer, block + "ffn_norm.weight", normal(HIDDEN))
        add(writer, block + "ffn_gate.weight", normal(FFN, HIDDEN), kind)
        add(writer, block + "ffn_up.weight", normal(FFN, HIDDEN), kind)
        add(writer, block + "ffn_down.weight", normal(HIDDEN, FFN), kind)
    add(writer, "output_norm.weight", normal(HIDDEN))
    if not tied:
        add(writer, "output.weight", normal(VOCAB, HIDDEN), Type.F16)
    finish(writer)


def write_gpt2() -> None:
    writer = gguf.GGUFWriter(FOLDER / "gpt2.gguf", "gpt2")
    start(writer)
    writer.add_feed_forward_length(4 * HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-5)
    add(writer, "token_embd.weight", normal(VOCAB, HIDDEN))
    add(writer, "position_embd.weight", normal(CONTEXT, HIDDEN))
    for i in range(LAYERS):
        block = f"blk.{i}."
        for norm in ["attn_norm", "ffn_norm"]:
            add(writer, f"{block}{norm}.weight", normal(HIDDEN))
            add(writer, f"{block}{norm}.bias", normal(HIDDEN))
        for part, out_size, in_size in [
            ("attn_qkv", 3 * HIDDEN, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
            ("ffn_up", 4 * HIDDEN, HIDDEN), ("ffn_down", HIDDEN, 4 * HIDDEN),
        ]:
            # The converter turned Conv1D's [in, out] round.
            add(writer, f"{block}{part}.weight", normal(out_size, in_size), Type.Q8_0)
            add(writer, f"{block}{part}.bias", normal(out_size))
    add(writer, "output_norm.weight", normal(HIDDEN))
    add(writer, "output_norm.bias", normal(HIDDEN))
    finish(writer)


def start(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(VOCAB)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


CONFIG_KEYS = [
    "architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "tie_word_embeddings",
    "bos_token_id", "eos_token_id", "n_embd", "n_layer", "n_head", "activation_function",
]


def digests(tensors: dict[str, torch.Tensor]) -> dict[str, object]:
    return {
        name: {"shape": list(values.shape), "sha256": hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()}
        for name, values in tensors.items()
    }


def expect(name: str, config: GPT2Config | None = None, **known: object) -> dict[str, object]:
    """What transformers reads; `known` is what it drops from the file."""
    model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=f"{name}.gguf", dtype=torch.float32, config=config)
    tensors = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    values = {key: value for key, value in model.config.to_dict().items() if key in CONFIG_KEYS}
    values["architectures"] = [type(model).__name__]
    return {"config": {**values, **known}, "tensors": digests(tensors)}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    write_llama_like("llama", "llama", tied=True, kind=Type.F16)
    write_llama_like("llama3", "llama", tied=False, kind=Type.Q4_1, theta=500000.0, scaled=True)
    write_llama_like("qwen2", "qwen2", tied=True, kind=Type.F16, theta=1e6)
    write_llama_like("qwen3", "qwen3", tied=False, kind=Type.Q8_0, head_dim=16, theta=1e6)
    write_gpt2()
    epsilon = {"rms_norm_eps": 1e-5}
    expected = {
        "llama": expect("llama", head_dim=8, rope_theta=10000, attention_bias=False, **epsilon),
        "llama3": expect("llama3", head_dim=8, rope_theta=500000, rope_scaling={"rope_type": "llama3", **LLAMA3}, **epsilon),
        "qwen2": expect("qwen2", head_dim=8, rope_theta=1000000, **epsilon),
        # transformers 5.23 takes no head_dim from a Qwen3 GGUF, so its tensors are read without a model.
        "qwen3": expect_qwen3(),
        # transformers 5.23 takes neither n_positions nor n_inner from a GPT-2 GGUF.
        "gpt2": expect("gpt2", gpt2_config(), n_positions=CONTEXT, n_inner=4 * HIDDEN, layer_norm_epsilon=1e-5),
    }
    versions = {name: version(name) for name in ["gguf", "numpy", "torch", "transformers", "safetensors"]}
    made_by = {"command": "python tests/golden/gguf_models.py", "versions": {**versions, "python": sys.version.split()[0]}}
    (FOLDER / "expected.json").write_text(json.dumps({"made_by": made_by, "models": expected}, indent=1) + "\n")


def expect_qwen3() -> dict[str, object]:
    """Names by gguf-py's own table, values by gguf.quants; Qwen3 changes no layout."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, LAYERS)
    hf = ["model.embed_tokens", "model.norm", "lm_head"]
    parts = ["input_layernorm", "post_attention_layernorm", *[f"self_attn.{p}" for p in ["q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"]], *[f"mlp.{p}_proj" for p in ["gate", "up", "down"]]]
    hf += [f"model.layers.{i}.{part}" for i in range(LAYERS) for part in parts]
    to_hf = {names.get_name(name) + ".weight": name + ".weight" for name in hf}
    tensors = {}
    for tensor in gguf.GGUFReader(FOLDER / "qwen3.gguf").tensors:
        tensors[to_hf[tensor.name]] = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type)))
    config = {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "head_dim": 16,
        "num_key_value_heads": KV_HEADS, "max_position_embeddings": CONTEXT, "tie_word_embeddings": False,
        "rope_theta": 1000000, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "attention_bias": False,
    }
    return {"config": config, "tensors": digests(tensors)}


def gpt2_config() -> GPT2Config:
    return GPT2Config(vocab_size=VOCAB, n_positions=CONTEXT, n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, bos_token_id=1, eos_token_id=2)


if __name__ == "__main__":
    main()
