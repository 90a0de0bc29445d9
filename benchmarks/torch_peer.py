"""The peer of the engine bench: torch and transformers behind JSON lines. It times itself, so that what the pipe costs
is nobody's."""
from line_server import peak_bytes, serve

import gc
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
state = {}


def hello(threads):
    torch.set_num_threads(threads)
    return {'torch': f'torch {torch.__version__.split("+")[0]}', 'transformers': f'transformers {transformers.__version__}'}


def load(folder):
    state['model'] = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return {}


def loss_and_backward(model, ids):
    # labels = ids: transformers shifts them, the loss is the mean over all positions that have a next token
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    return loss.item()


def forward_backward(ids, attention):
    model = state['model'].train()
    model.set_attn_implementation(attention)
    model.zero_grad(set_to_none=True)
    ids = torch.tensor(ids)
    begun = time.perf_counter()
    loss = loss_and_backward(model, ids)
    return {'seconds': time.perf_counter() - begun, 'loss': loss}


def drop_gradients():
    """Their norm is the last that is asked of them."""
    norm = norm_of_gradients(state['model'])
    state['model'].zero_grad(set_to_none=True)
    gc.collect()
    return {'gradient_norm': norm}


def norm_of_gradients(model):
    return sum(p.grad.double().square().sum().item() for p in model.parameters()) ** 0.5


def create_adamw(name, fused):
    """An optimizer over a copy of the weights, with the gradients that the bench gives to both sides."""
    weights = {key: p.detach().clone().requires_grad_() for key, p in state['model'].named_parameters()}
    for weight in weights.values():
        weight.grad = ((torch.arange(weight.numel()) % 251 - 125).float() * 1e-5).reshape(weight.shape)
    state[name] = (torch.optim.AdamW(weights.values(), lr=1e-5, fused=True if fused else None), weights)
    return {}


def adamw_step(name):
    optimizer, _ = state[name]
    begun = time.perf_counter()
    optimizer.step()
    return {'seconds': time.perf_counter() - begun}


def adamw_weights(name, weight, count):
    """Takes the optimizer away; the first values of one weight show that both sides computed the same."""
    _, weights = state.pop(name)
    values = weights[weight].detach().flatten()[:count].tolist()
    del weights
    gc.collect()
    return {'values': values}


@torch.inference_mode()
def generate(ids, new_tokens):
    model = state['model'].eval()
    model.set_attn_implementation('sdpa')
    model.generation_config.eos_token_id = None  # nothing ends early, on both sides
    ids = torch.tensor(ids)
    begun = time.perf_counter()
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0,
                         max_new_tokens=new_tokens, min_new_tokens=new_tokens)
    return {'seconds': time.perf_counter() - begun, 'tokens': out[:, ids.shape[1]:].tolist()}


def training_memory(folder, ids, steps):
    """Peak memory of a whole process that trains; call it in a fresh one."""
    load(folder)
    model = state['model'].train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    first_norm = None
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss_and_backward(model, torch.tensor(ids))
        first_norm = first_norm or norm_of_gradients(model)
        optimizer.step()
    return {'peak_bytes': peak_bytes(), 'gradient_norm': first_norm}


serve(hello, load, forward_backward, drop_gradients, create_adamw, adamw_step, adamw_weights, generate, training_memory)
