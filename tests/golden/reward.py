"""A tiny reward model as transformers saves it, and its rewards. After models.py.

    python tests/golden/reward.py

writes tests/golden/reward-model/{config.json, model.safetensors, expected.json}: the trunk of llama-tied with a
random score head.
"""
import json
import shutil

import torch
from transformers import LlamaForSequenceClassification, logging

from models import OUT, batch

logging.disable_progress_bar()
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)


def main():
    folder = OUT.parent / 'reward-model'
    shutil.rmtree(folder, ignore_errors=True)
    model = LlamaForSequenceClassification.from_pretrained(
        OUT / 'llama-tied', num_labels=1, dtype=torch.float32, attn_implementation='eager').eval()
    torch.manual_seed(3)
    with torch.no_grad():
        model.score.weight.copy_(torch.randn(model.score.weight.shape))
        ids, mask = batch()
        rewards = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, 0]
    model.save_pretrained(folder)
    rows = [row[:int(size)].tolist() for row, size in zip(ids, mask.sum(1))]
    (folder / 'expected.json').write_text(json.dumps({'ids': rows, 'rewards': rewards.tolist()}) + '\n')
    print(rewards.tolist())


if __name__ == '__main__':
    main()
