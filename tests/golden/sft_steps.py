"""Golden numbers of ten steps of supervised fine-tuning, from torch and transformers.

    python tests/golden/sft_steps.py    (versions of requirements.txt; needs models/llama-tied; writes sft_steps.json)

The loss is over completions alone, a mean over the tokens of the batch. AdamW decays what transformers' Trainer lets
decay; the learning rate is linear with a warm-up; the gradient's norm is clipped to 1 and noted before that.
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, Trainer

HERE = Path(__file__).parent
STEPS, BATCHES, ROWS, VOCAB, WARMUP, RATE, DECAY = 10, 3, 4, 96, 3, 1e-3, 0.01

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
generator = torch.Generator().manual_seed(5)


def tokens(low, high):
    length = int(torch.randint(low, high, (), generator=generator))
    return torch.randint(3, VOCAB, (length,), generator=generator).tolist()


batches = [[{"promptIds": [1, *tokens(0, 6)], "completionIds": tokens(1, 14)} for _ in range(ROWS)] for _ in range(BATCHES)]


def padded(batch):
    """Right-padded ids, attention mask, and labels that leave out prompts and padding."""
    time = max(len(row["promptIds"]) + len(row["completionIds"]) for row in batch)
    fill = lambda row, pad: row + [pad] * (time - len(row))
    ids = [row["promptIds"] + row["completionIds"] for row in batch]
    labels = [[-100] * len(row["promptIds"]) + row["completionIds"] for row in batch]
    return {
        "input_ids": torch.tensor([fill(row, 0) for row in ids]),
        "attention_mask": torch.tensor([fill([1] * len(row), 0) for row in ids]),
        "labels": torch.tensor([fill(row, -100) for row in labels]),
    }


model = AutoModelForCausalLM.from_pretrained(HERE / "models/llama-tied", dtype=torch.float32, attn_implementation="eager")
decaying = set(Trainer.get_decay_parameter_names(None, model))
groups = [
    {"params": [p for name, p in model.named_parameters() if name in decaying], "weight_decay": DECAY},
    {"params": [p for name, p in model.named_parameters() if name not in decaying], "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
scheduler = transformers.get_linear_schedule_with_warmup(optimizer, WARMUP, STEPS)
steps = []
for step in range(STEPS):
    loss = model(**padded(batches[step % BATCHES])).loss  # each batch again and again, so that what was learnt shows
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    steps.append({"loss": loss.item(), "gradNorm": norm.item(), "learningRate": scheduler.get_last_lr()[0]})
    optimizer.step()
    scheduler.step()

with torch.no_grad():
    row = batches[0][0]
    logits = model(input_ids=torch.tensor([row["promptIds"] + row["completionIds"]])).logits[0]

golden = {
    "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
    "command": "python tests/golden/sft_steps.py",
    "options": {"learningRate": RATE, "warmupSteps": WARMUP, "totalSteps": STEPS, "weightDecay": DECAY, "maxGradNorm": 1.0},
    "batches": batches,
    "steps": steps,
    "finalLogits": [[float(f"{x:.9g}") for x in line] for line in logits.tolist()],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, allow_nan=False) + "\n")
