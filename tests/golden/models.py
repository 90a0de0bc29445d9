"""Tiny random models as Hugging Face folders, and what transformers computes with them.

    python tests/golden/models.py

writes tests/golden/models/<name>/{config.json, model.safetensors, expected.safetensors}. README.md lists the tensors.
All numbers are fp32 with eager attention, computed from the weights as they were stored.
"""
import itertools
import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
                          Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, logging)

logging.disable_progress_bar()
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)  # the order of a sum must not depend on the machine's cores

OUT = Path(__file__).parent / 'models'
ROWS, TIME, REAL = 2, 12, 8  # row 1 has TIME real tokens, row 2 has REAL and then padding on the right
PROMPT, NEW = 6, 16
VOCAB = 96

SMALL = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
# With heads of 8 and theta 500 the wavelengths are 6, 30, 140 and 664: one kept, one blended, two divided.
LLAMA3 = dict(rope_type='llama3', factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32, rope_theta=500.0)
LINEAR = dict(rope_type='linear', factor=4.0, rope_theta=5000.0)
THETA = dict(rope_type='default', rope_theta=1000.0)  # not the default, so that a reader must find it


def llama(**more):
    return LlamaForCausalLM, LlamaConfig(**{**SMALL, 'rms_norm_eps': 1e-5, 'tie_word_embeddings': True, **more})


def qwen2(**more):
    return Qwen2ForCausalLM, Qwen2Config(**{**SMALL, 'rms_norm_eps': 1e-6, 'tie_word_embeddings': True, **more})


def qwen3(**more):
    return Qwen3ForCausalLM, Qwen3Config(**{**SMALL, 'rms_norm_eps': 1e-6, 'tie_word_embeddings': True, **more})


def gpt2(**more):
    return GPT2LMHeadModel, GPT2Config(vocab_size=VOCAB, n_embd=32, n_head=4, n_layer=2, n_inner=48, n_positions=128,
                                       bos_token_id=1, eos_token_id=2, embd_pdrop=0, attn_pdrop=0, resid_pdrop=0,
                                       **more)


VARIANTS = {
    'llama-tied': llama(),
    'llama-untied': llama(tie_word_embeddings=False, rope_parameters=THETA),
    'llama-mha': llama(num_key_value_heads=4),
    'llama-rope-llama3': llama(max_position_embeddings=256, rope_parameters=LLAMA3),
    'llama-rope-linear': llama(max_position_embeddings=512, rope_parameters=LINEAR),
    'llama-bias': llama(attention_bias=True, mlp_bias=True),
    'llama-head-dim': llama(head_dim=12),
    'qwen2': qwen2(rope_parameters=THETA),
    'qwen2-untied': qwen2(tie_word_embeddings=False),
    'qwen3': qwen3(head_dim=12, rope_parameters=THETA),
    'gpt2': gpt2(),
}
# Most folders on the hub have the config keys that transformers 4 wrote; version 5 writes others. Both must be read.
CONFIG_OF_TRANSFORMERS_4 = ['llama-untied', 'llama-rope-llama3', 'qwen2']


def lively(model, seed):
    """Weights far from the initial ones: no norm is 1, no bias is 0, and the logits tell tokens apart."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape)
            if 'norm' in name or '.ln_' in name:
                p.copy_(0.2 * noise if name.endswith('bias') else 1 + 0.3 * noise)
            elif name.endswith('bias'):
                p.copy_(0.3 * noise)
            else:
                p.copy_((0.3 if 'embed' in name or 'lm_head' in name or '.wte' in name else 0.2) * noise)
    return model


def write(model, folder, config_of_4=False, **how):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **how)
    (folder / 'generation_config.json').unlink(missing_ok=True)
    if config_of_4:
        path = folder / 'config.json'
        config = json.loads(path.read_text())
        rope = config.pop('rope_parameters')
        config['rope_theta'] = rope.pop('rope_theta')
        config['rope_scaling'] = rope if rope['rope_type'] != 'default' else None
        config['torch_dtype'] = config.pop('dtype')
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + '\n')


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()


def batch(seed=7):
    torch.manual_seed(seed)
    ids = torch.randint(3, VOCAB, (ROWS, TIME))
    mask = torch.ones(ROWS, TIME, dtype=torch.int64)
    ids[1, REAL:] = 0
    mask[1, REAL:] = 0
    return ids, mask


def next_logprobs(logits, ids, mask):
    """[batch, time - 1]: log-probability of token t + 1 given those up to t; 0 where that token is padding."""
    each = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
    return each * mask[:, 1:]


def next_token_loss(logits, ids, mask):
    """Mean cross entropy over the next tokens that are not padding."""
    targets = ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=-100)


def greedy(model, prompt, new=NEW):
    """The likeliest continuation, the whole sequence computed again for every token, and its smallest lead."""
    ids, logprobs, lead = prompt, [], float('inf')
    with torch.no_grad():
        for _ in range(new):
            best = torch.log_softmax(model(input_ids=ids[None], use_cache=False).logits[0, -1], -1).topk(2)
            ids = torch.cat([ids, best.indices[:1]])
            logprobs.append(best.values[0])
            lead = min(lead, float(best.values[0] - best.values[1]))
    return ids[len(prompt):], torch.stack(logprobs), lead


def hidden_states(model, ids, mask):
    """What enters the first block and what leaves each one (transformers' own last one is after the final norm)."""
    blocks = model.model.layers if hasattr(model, 'model') else model.transformer.h
    seen = []
    hooks = [blocks[0].register_forward_pre_hook(lambda _block, args: seen.append(args[0]))]
    hooks += [block.register_forward_hook(lambda _block, _args, out: seen.append(out)) for block in blocks]
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, output_attentions=True, use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen, out.attentions


def expected(folder, gradients=True):
    model = load(folder)
    ids, mask = batch()
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    loss = next_token_loss(logits, ids, mask)
    logprobs = next_logprobs(logits.detach(), ids, mask)
    continuation, continuation_logprobs, lead = greedy(model, ids[0, :PROMPT])
    out = {'input_ids': ids, 'attention_mask': mask, 'logits': logits.detach(), 'loss': loss.detach(),
           'logprobs': logprobs, 'sequence_logprob': logprobs.sum(-1),
           'greedy': continuation, 'greedy_logprobs': continuation_logprobs}
    if gradients:
        loss.backward()
        out |= {f'grad.{name}': p.grad for name, p in model.named_parameters()}
        hidden, attentions = hidden_states(model, ids, mask)
        out |= {f'hidden.{i}': h for i, h in enumerate(hidden)}
        out['pattern.0'] = attentions[0][0]
    save_file({k: v.contiguous() for k, v in out.items()}, folder / 'expected.safetensors')
    print(f'{folder.name:18} loss {loss:.4f}  logits std {logits.std():.2f}  lead {lead:.3f}  {continuation.tolist()}')
    # Else rounding could turn the continuation, or a wrong position would not show in it.
    return lead > 0.02 and len(set(continuation.tolist())) >= 5


def as_on_the_hub(source, folder):
    """gpt2 of the hub: names without `transformer.`, and the causal mask of every block among the weights."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    weights = {k.removeprefix('transformer.'): v for k, v in load_file(source / 'model.safetensors').items()}
    for i in range(2):
        weights[f'h.{i}.attn.bias'] = torch.tril(torch.ones(1, 1, 16, 16))
    save_file(weights, folder / 'model.safetensors', metadata={'format': 'pt'})


def main():
    for name, (kind, config) in VARIANTS.items():
        for seed in itertools.count():
            write(lively(kind(config), seed), OUT / name, config_of_4=name in CONFIG_OF_TRANSFORMERS_4)
            if expected(OUT / name):
                break

    # The same weights stored in other ways. Gradients would repeat those above.
    write(load(OUT / 'llama-tied').to(torch.bfloat16), OUT / 'llama-bf16')
    write(load(OUT / 'llama-tied').to(torch.float16), OUT / 'llama-f16')
    write(load(OUT / 'llama-untied'), OUT / 'llama-sharded', max_shard_size='60KB')
    as_on_the_hub(OUT / 'gpt2', OUT / 'gpt2-hub')
    for name in ['llama-bf16', 'llama-f16', 'llama-sharded', 'gpt2-hub']:
        assert expected(OUT / name, gradients=False)


if __name__ == '__main__':
    main()
