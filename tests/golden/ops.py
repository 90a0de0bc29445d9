"""Values of single ops by torch, transformers and peft, and a PEFT adapter for the tiny Llama.

    python tests/golden/ops.py      (after models.py)

writes tests/golden/ops.json and tests/golden/models/llama-tied-lora/. README.md lists the cases.
Inputs are fp32 numbers; torch computes in fp64, and results are rounded to fp32 at the end.
"""
import json
import math
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn.utils import clip_grad_norm_
from transformers import (LlamaConfig, get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
                          get_linear_schedule_with_warmup)
from transformers.generation import (RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper,
                                     TopPLogitsWarper)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from models import LINEAR, LLAMA3, OUT, PROMPT, batch, greedy, load, next_token_loss

HERE = Path(__file__).parent
LLAMA31 = {**LLAMA3, 'rope_theta': 500000.0, 'original_max_position_embeddings': 8192}  # as the hub's 8B has it


def random(*shape, scale=1.0):
    """Numbers that fp32 holds exactly, as fp64."""
    return (scale * torch.randn(shape)).double()


def plain(x):
    """JSON of a tensor: its shape and flat data with the 9 digits that tell fp32 numbers apart; null is -inf."""
    data = [None if v == -math.inf else float(f'{v:.9g}') for v in x.float().flatten().tolist()]
    return {'shape': list(x.shape), 'data': data if x.is_floating_point() else x.flatten().long().tolist()}


def case(op, inputs, **options):
    """Output of op, and gradients of sum(output * cotangent) for the floating inputs."""
    leaves = {k: v.clone().requires_grad_() if v.is_floating_point() else v for k, v in inputs.items()}
    out = op(**leaves, **options)
    cotangent = random(*out.shape)
    (out * cotangent).sum().backward()
    return {'inputs': {k: plain(v) for k, v in inputs.items()}, 'options': options, 'output': plain(out.detach()),
            'cotangent': plain(cotangent), 'grads': {k: plain(v.grad) for k, v in leaves.items() if v.requires_grad}}


def rms_norm(x, weight, eps):
    return F.rms_norm(x, weight.shape, weight, eps)


def layer_norm(x, weight, bias, eps):
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def gelu_tanh(x):
    return F.gelu(x, approximate='tanh')


def masked_softmax(x, mask):
    return torch.softmax(x.masked_fill(mask == 0, -math.inf), -1)


def rope(x, positions, theta):
    """x [batch, heads, time, size], positions [batch, time]; the halves of a head are rotated against each other."""
    size = x.shape[-1]
    angles = positions[..., None].double() * theta ** (-torch.arange(0, size, 2).double() / size)
    angles = torch.cat([angles, angles], -1)
    return apply_rotary_pos_emb(x, x, angles.cos(), angles.sin())[0]


def causal_attention(q, k, v, mask):
    """q [batch, heads, time, size], k and v [batch, key-value heads, time, size], mask [batch, time] of real keys."""
    allowed = torch.tril(torch.ones(q.shape[2], q.shape[2], dtype=torch.bool)) & (mask[:, None, None] == 1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, enable_gqa=True)


def cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets, ignore_index=-100)


def lora(x, weight, bias, a, b, rank, alpha):
    return F.linear(x, weight, bias) + alpha / rank * F.linear(F.linear(x, a), b)


def ops():
    edges = torch.tensor([-30, -8, -3, -1, -0.5, 0, 1e-3, 0.5, 1, 3, 8, 30]).double()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 1, 0, 0]])
    rows = random(3, 8)
    rows[1] *= 2 ** -9  # so small that eps counts
    return {
        'rmsNorm': [case(rms_norm, {'x': rows, 'weight': 1 + random(8)}, eps=eps) for eps in (1e-5, 1e-6)],
        'layerNorm': [case(layer_norm, {'x': 2 + rows, 'weight': 1 + random(8), 'bias': random(8)}, eps=1e-5)],
        'geluTanh': [case(gelu_tanh, {'x': x}) for x in (edges, random(2, 5))],
        'silu': [case(F.silu, {'input': x}) for x in (edges, random(2, 5))],
        'softmax': [case(masked_softmax, {'x': random(3, 5, scale=s), 'mask': mask}) for s in (1, 50)],
        'rope': [case(rope, {'x': random(2, 2, 4, 8), 'positions': p}, theta=theta) for theta, p in
                 ((10000.0, torch.arange(4).repeat(2, 1)), (500.0, torch.tensor([[0, 1, 2, 3], [97, 98, 99, 100]])))],
        'causalAttention': [
            case(causal_attention, {'q': random(2, heads, 5, 4), 'k': random(2, kv, 5, 4), 'v': random(2, kv, 5, 4),
                                    'mask': torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])})
            for heads, kv in ((2, 2), (4, 2), (3, 1))],
        'crossEntropy': [case(cross_entropy, {'logits': random(6, 7, scale=s), 'targets': torch.tensor([3, 0, -100, 6, 1, -100])})
                         for s in (2, 500)],
        'lora': [case(lora, {'x': random(3, 6), 'weight': random(5, 6), 'bias': random(5), 'a': random(4, 6),
                             'b': random(5, 4)}, rank=4, alpha=8)],
    }


def rope_frequencies(rope_parameters, **more):
    config = LlamaConfig(hidden_size=256, num_attention_heads=4, rope_parameters=rope_parameters, **more)
    kind = rope_parameters['rope_type']
    if kind == 'default':
        frequencies = 1 / rope_parameters['rope_theta'] ** (torch.arange(0, 64, 2).double() / 64)
    else:
        frequencies, _ = ROPE_INIT_FUNCTIONS[kind](config, 'cpu')
    return {'headDim': 64, 'rope': rope_parameters, 'frequencies': plain(frequencies)}


def adamw(weight_decay, max_norm=None, steps=10, lr=0.01):
    """Two parameters, given gradients of growing and shrinking size; the state is compared after every step."""
    start = [random(5), random(3)]
    params = [p.clone().requires_grad_() for p in start]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=weight_decay, eps=1e-8, betas=(0.9, 0.999))
    out = {'lr': lr, 'betas': [0.9, 0.999], 'eps': 1e-8, 'weightDecay': weight_decay, 'maxGradNorm': max_norm,
           'start': [plain(p) for p in start], 'steps': []}
    for step in range(steps):
        grads = [random(*p.shape, scale=2 * abs(math.sin(step + 1))) for p in params]
        for p, g in zip(params, grads):
            p.grad = g.clone()
        norm = clip_grad_norm_(params, max_norm or math.inf)
        optimizer.step()
        out['steps'].append({'grads': [plain(g) for g in grads], 'gradNorm': plain(norm)['data'][0],
                             'params': [plain(p.detach()) for p in params]})
    return out


def schedule(make, warmup=5, steps=20, **more):
    """values[i] is the factor of the learning rate that step i (from 0) uses; one more than the steps."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimizer, num_warmup_steps=warmup, **more)
    values = []
    for _ in range(steps + 1):
        values.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {'warmupSteps': warmup, 'steps': steps, 'values': values}


def sampled(logits, ids, cases):
    out = []
    for options, processors in cases:
        scores = logits.clone()
        for processor in processors:
            scores = processor(ids, scores)
        out.append({'options': options, 'output': plain(scores)})
    return {'logits': plain(logits), 'ids': plain(ids), 'cases': out}


def sampling():
    chain = [RepetitionPenaltyLogitsProcessor(1.2), TemperatureLogitsWarper(0.7), TopKLogitsWarper(6), TopPLogitsWarper(0.8)]
    cases = [({'temperature': t}, [TemperatureLogitsWarper(t)]) for t in (0.7, 2.0)]
    cases += [({'topK': k}, [TopKLogitsWarper(k)]) for k in (1, 3, 5, 50)]
    cases += [({'topP': p}, [TopPLogitsWarper(p)]) for p in (0.01, 0.5, 0.9, 0.99)]
    cases += [({'repetitionPenalty': r}, [RepetitionPenaltyLogitsProcessor(r)]) for r in (1.3, 0.8)]
    cases += [({'repetitionPenalty': 1.2, 'temperature': 0.7, 'topK': 6, 'topP': 0.8}, chain)]
    ids = torch.tensor([[3, 3, 5, 1], [0, 11, 2, 2]])
    tie = torch.tensor([[1.0, 3.0, 2.0, 2.0, 0.0, 2.0], [4.0, 3.0, 2.0, 1.0, 0.0, -1.0]])  # all that tie are kept
    return [sampled(2 * torch.randn(2, 12), ids, cases), sampled(tie, ids % 6, [({'topK': 2}, [TopKLogitsWarper(2)])])]


def adapter():
    """An adapter by peft with a B that is not zero, and what the adapted model computes."""
    folder = OUT / 'llama-tied-lora'
    shutil.rmtree(folder, ignore_errors=True)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=['q_proj', 'v_proj', 'down_proj'], task_type='CAUSAL_LM')
    model = get_peft_model(load(OUT / 'llama-tied'), config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if 'lora_' in name:
                p.copy_(0.2 * torch.randn(p.shape))
    model.save_pretrained(folder)
    (folder / 'README.md').unlink()
    path = folder / 'adapter_config.json'
    saved = json.loads(path.read_text())
    saved['base_model_name_or_path'] = 'llama-tied'  # instead of this machine's path
    saved['target_modules'].sort()
    path.write_text(json.dumps(saved, indent=2, sort_keys=True) + '\n')

    ids, mask = batch()
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    loss = next_token_loss(logits, ids, mask)
    loss.backward()
    continuation, logprobs, lead = greedy(model, ids[0, :PROMPT])
    grads = {f'grad.{n.replace(".default", "")}': p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert {k.removeprefix('grad.') for k in grads} == set(load_file(folder / 'adapter_model.safetensors'))
    save_file({'input_ids': ids, 'attention_mask': mask, 'logits': logits.detach(), 'loss': loss.detach(),
               'greedy': continuation, 'greedy_logprobs': logprobs, **grads}, folder / 'expected.safetensors')
    print(f'llama-tied-lora loss {loss:.4f}  lead {lead:.3f}  {continuation.tolist()}')
    assert lead > 0.02


def main():
    torch.manual_seed(1)
    out = {
        **ops(),
        'ropeFrequencies': [rope_frequencies({'rope_type': 'default', 'rope_theta': 10000.0}), rope_frequencies(LINEAR),
                            rope_frequencies(LLAMA3),
                            rope_frequencies(LLAMA31, max_position_embeddings=131072)],
        'adamw': [adamw(0.0), adamw(0.1), adamw(0.1, max_norm=1.0)],
        'schedules': {'constant': schedule(get_constant_schedule_with_warmup),
                      'linear': schedule(get_linear_schedule_with_warmup, num_training_steps=20),
                      'cosine': schedule(get_cosine_schedule_with_warmup, num_training_steps=20)},
        'sampling': sampling(),
    }
    (HERE / 'ops.json').write_text(json.dumps(out, separators=(',', ':')) + '\n')
    adapter()


if __name__ == '__main__':
    main()
