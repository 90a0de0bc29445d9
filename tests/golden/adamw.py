"""Golden numbers of the optimizer: AdamW, clipping, schedules and which weights decay, from torch and transformers.

    python tests/golden/adamw.py        (versions of requirements.txt; writes adamw.json beside itself)
"""

import json
import math
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen3Config, Trainer

STEPS = 10
SHAPES = {"layers.0.mlp.weight": (5, 3), "layers.0.mlp.bias": (5,), "layers.0.input_layernorm.weight": (3,), "late.weight": (2, 2)}
LATE_FROM = 3  # "late.weight" has no gradient before this step


def flat(tensor):
    return tensor.detach().flatten().tolist()


def adamw(weight_decay, betas, eps, max_norm):
    """Ten steps with another learning rate each; the gradients are clipped as a trainer does it."""
    generator = torch.Generator().manual_seed(7)
    parameters = {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in SHAPES.items()}
    start = {name: flat(parameter) for name, parameter in parameters.items()}
    groups = [
        {"params": [parameters[name] for name in SHAPES if len(SHAPES[name]) > 1], "weight_decay": weight_decay},
        {"params": [parameters[name] for name in SHAPES if len(SHAPES[name]) == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=betas, eps=eps)
    steps = []
    for step in range(STEPS):
        gradients = {}
        for name, parameter in parameters.items():
            parameter.grad = None
            if name == "late.weight" and step < LATE_FROM:
                continue
            # magnitudes from 1e-6 to 10, so that epsilon and clipping both matter
            scale = 10 ** torch.empty(parameter.shape).uniform_(-6, 1, generator=generator)
            parameter.grad = torch.randn(parameter.shape, generator=generator) * scale
            gradients[name] = flat(parameter.grad)
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm).item()
        learning_rate = 0.01 * (step + 1) / STEPS
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        values = {name: flat(parameter) for name, parameter in parameters.items()}
        steps.append({"learningRate": learning_rate, "gradients": gradients, "norm": norm, "values": values})
    state = {name: optimizer.state[parameter] for name, parameter in parameters.items()}
    return {
        "options": {"b1": betas[0], "b2": betas[1], "epsilon": eps, "weightDecay": weight_decay},
        "maxNorm": None if math.isinf(max_norm) else max_norm,
        "start": start,
        "steps": steps,
        "firstMoments": {name: flat(entry["exp_avg"]) for name, entry in state.items()},
        "secondMoments": {name: flat(entry["exp_avg_sq"]) for name, entry in state.items()},
    }


def schedule(kind, warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    if kind == "constant":
        scheduler = transformers.get_constant_schedule_with_warmup(optimizer, warmup)
    elif kind == "linear":
        scheduler = transformers.get_linear_schedule_with_warmup(optimizer, warmup, total)
    else:
        scheduler = transformers.get_cosine_schedule_with_warmup(optimizer, warmup, total)
    rates = []
    for _ in range(total + 3):  # past the end too
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {"kind": kind, "warmupSteps": warmup, "totalSteps": total, "rates": rates}


def decays():
    """Every parameter of a tiny model of each family, and whether transformers' Trainer lets it decay."""
    small = {"vocab_size": 11, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4}
    configs = [
        LlamaConfig(**small, attention_bias=True, mlp_bias=True),
        Qwen3Config(**small),
        GPT2Config(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=16),
    ]
    rows = []
    for config in configs:
        model = AutoModelForCausalLM.from_config(config)
        decaying = set(Trainer.get_decay_parameter_names(None, model))
        for name, parameter in model.named_parameters():
            rows.append({"model": config.model_type, "name": name, "shape": list(parameter.shape), "decays": name in decaying})
    return rows


golden = {
    "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
    "adamw": [
        adamw(0.0, (0.9, 0.999), 1e-8, math.inf),
        adamw(0.1, (0.9, 0.999), 1e-8, math.inf),
        adamw(0.1, (0.8, 0.95), 1e-6, 1.0),
    ],
    "schedules": [
        schedule(kind, warmup, total)
        for kind in ("constant", "linear", "cosine")
        for warmup, total in ((0, 7), (3, 10), (1, 1), (10, 10), (20, 10))
    ],
    "decays": decays(),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, allow_nan=False) + "\n")
