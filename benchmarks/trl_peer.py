"""The peer of the trainers bench: a trainer of TRL that waits between its steps. `train` answers after the first one,
`steps` after so many more. It times itself, from the request to the end of the last step."""
from line_server import answer, next_request, peak_bytes, serve

import os
import sys
import tempfile
import time
import warnings

warnings.filterwarnings('ignore', category=FutureWarning)
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['TRL_EXPERIMENTAL_SILENCE'] = '1'

import torch
import transformers
import trl
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def hello(threads):
    torch.set_num_threads(threads)
    return {'torch': f'torch {torch.__version__.split("+")[0]}',
            'transformers': f'transformers {transformers.__version__}', 'trl': f'TRL {trl.__version__}'}


class Turns(TrainerCallback):
    """Answers at the end of each turn and waits for the next."""

    def __init__(self):
        self.left, self.begun, self.tokens, self.measured = 1, time.perf_counter(), 0, {}

    def on_log(self, args, state, control, logs=None, **kwargs):
        # A variance of one value is NaN, which JSON does not have.
        self.measured = {name: value for name, value in (logs or {}).items() if value == value}

    def on_step_end(self, args, state, control, **kwargs):
        self.left -= 1
        if self.left > 0:
            return
        answer({'seconds': time.perf_counter() - self.begun, 'tokens': self.tokens, 'peak_bytes': peak_bytes(),
                'metrics': self.measured})
        request = next_request()
        if request is None:
            sys.exit()
        self.left, self.tokens, self.begun = request['count'], 0, time.perf_counter()


def settings(bf16, **own):
    """What someone who knows TRL sets on a CPU; the rest are its defaults, the fused AdamW among them."""
    # PPO's accelerator reads the precision from here alone
    os.environ['ACCELERATE_MIXED_PRECISION'] = 'bf16' if bf16 else 'no'
    return dict(output_dir=tempfile.gettempdir(), use_cpu=True, bf16=bf16, gradient_checkpointing=False,
                dataloader_pin_memory=False, learning_rate=1e-5, lr_scheduler_type='constant', seed=42, report_to=[],
                save_strategy='no', disable_tqdm=True, **own)


def causal(folder, attention):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)


def scorer(folder, attention):
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32,
                                                              attn_implementation=attention)


def count_and_watch(trainer, turns):
    """Real tokens and the loss of each step, without TRL's own logging."""
    step = trainer.training_step

    def watched(model, inputs, *rest):
        turns.tokens += int(inputs['attention_mask'].sum())
        loss = step(model, inputs, *rest)
        turns.measured = {'loss': loss.item()}
        return loss

    trainer.training_step = watched


def train_supervised(trainer_class, config_class, model, rows, batch_size, max_length, bf16, folder, **own):
    turns = Turns()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # TRL reads a reward at the last token that is not padding; the end of a turn must not be it
    tokenizer.pad_token = '<|endoftext|>'
    args = config_class(per_device_train_batch_size=batch_size, max_length=max_length, max_steps=100_000,
                        train_sampling_strategy='sequential', logging_strategy='no', **settings(bf16), **own)
    trainer = trainer_class(model, args=args, train_dataset=Dataset.from_list(rows), callbacks=[turns],
                            processing_class=tokenizer)
    count_and_watch(trainer, turns)
    trainer.train()


def train_sft(folder, rows, batch_size, max_length, bf16, attention='sdpa'):
    """rows: input_ids and labels."""
    train_supervised(trl.SFTTrainer, trl.SFTConfig, causal(folder, attention), rows, batch_size, max_length, bf16, folder)


def train_reward(folder, rows, batch_size, max_length, bf16, attention='sdpa'):
    """rows: chosen_ids and rejected_ids; folder: a model with a score head."""
    train_supervised(trl.RewardTrainer, trl.RewardConfig, scorer(folder, attention), rows, batch_size, max_length, bf16,
                     folder)


def train_ppo(folder, reward_folder, prompts, answers, epochs, temperature, bf16, attention='sdpa'):
    """All prompts in each iteration, whole in one batch. The first one learns from the given answers, so that both sides
    can be compared; the others sample their own, which no token ends."""
    from trl.experimental import ppo
    from trl.experimental.ppo import ppo_trainer
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side='left')
    # TRL hides whatever equals the padding from the model; the end of a turn must not
    tokenizer.pad_token = '<|endoftext|>'
    episodes = len(prompts)
    args = ppo.PPOConfig(per_device_train_batch_size=episodes, num_ppo_epochs=epochs, num_mini_batches=1,
                         total_episodes=episodes * 10_000, response_length=len(answers[0]), temperature=temperature,
                         local_rollout_forward_batch_size=episodes, num_sample_generations=0, **settings(bf16))
    reward_model, value_model = scorer(reward_folder, attention), scorer(reward_folder, attention)
    for model in (reward_model, value_model):
        model.config.pad_token_id = tokenizer.pad_token_id
    rows = Dataset.from_list([{'input_ids': ids} for ids in prompts])
    turns = Turns()
    trainer = ppo.PPOTrainer(args=args, processing_class=tokenizer, model=causal(folder, attention),
                             ref_model=causal(folder, attention), reward_model=reward_model, value_model=value_model,
                             train_dataset=rows, eval_dataset=rows, callbacks=[turns])
    sample = ppo_trainer.batch_generation

    def given(model, queries, _batch_size, pad_token_id, _config):
        ppo_trainer.batch_generation = sample
        known = {tuple(prompt): answer for prompt, answer in zip(prompts, answers)}
        responses = [known[tuple(t for t in query if t != pad_token_id)] for query in queries.tolist()]
        both = torch.cat((queries, torch.tensor(responses)), 1)
        logits = ppo_trainer.forward(model, both, pad_token_id).logits[:, queries.shape[1] - 1 : -1]
        return both, logits / (temperature + 1e-7)

    ppo_trainer.batch_generation = given
    trainer.train()


serve(hello, train_sft, train_reward, train_ppo)
