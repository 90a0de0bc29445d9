"""Golden numbers of the losses, metrics and advantages of SFT, reward models and PPO, from TRL 1.9 and torch.

    python tests/golden/align.py        (versions of requirements.txt; writes align.json beside itself)

PPO's arithmetic stands in the middle of TRL's PPOTrainer.train. Its lines are taken from there and run as they are, in
float64 on numbers that float32 holds exactly. The reward loss and its metrics are TRL's RewardTrainer.compute_loss.
"""

import inspect
import json
import os
import textwrap
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
import torch.nn.functional as F
import transformers
import trl
from trl.experimental.ppo import ppo_trainer
from trl.experimental.ppo.ppo_trainer import masked_mean, masked_var, masked_whiten
from trl.trainer import sft_trainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.utils import entropy_from_logits

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(11)
LENGTHS = [7, 1, 4, 9, 2]
VOCAB = 13


def lines_of_ppo(first, last):
    """The lines of PPOTrainer.train from the one that starts with `first` to the one that starts with `last`."""
    lines = inspect.getsource(ppo_trainer.PPOTrainer.train).split("\n")
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(first))
    end = next(i for i, line in enumerate(lines) if i >= start and line.strip().startswith(last))
    return compile(textwrap.dedent("\n".join(lines[start : end + 1])), "PPOTrainer.train", "exec")


REWARDS = lines_of_ppo("logr = ref_logprobs - logprobs", "rewards[actual_start, actual_end] += scores")
WHITEN_REWARDS = lines_of_ppo("if args.whiten_rewards:", "rewards = torch.masked_fill(rewards, padding_mask_p1, 0)")
GAE = lines_of_ppo("lastgaelam = 0", "returns = advantages + values")
WHITEN = lines_of_ppo("advantages = masked_whiten(", "advantages = torch.masked_fill(advantages")
LOSS = lines_of_ppo("vpredclipped = torch.clamp(", "loss = pg_loss + args.vf_coef * vf_loss")


def run(code, **names):
    scope = {**vars(ppo_trainer), **names}
    exec(code, scope)
    return SimpleNamespace(**scope)


def normal(*shape, scale=1.0):
    """Random numbers of float32, as float64."""
    return (torch.randn(*shape, generator=generator) * scale).double()


def rows(tensor, lengths=LENGTHS):
    return [tensor[i, :length].tolist() for i, length in enumerate(lengths)]


def padding(lengths, time):
    return torch.arange(time).repeat(len(lengths), 1) >= torch.tensor(lengths).unsqueeze(1)


def rollout(lengths, time):
    """Log-probabilities and values, 0 where there is padding."""
    mask = ~padding(lengths, time)
    logprobs = -normal(len(lengths), time).abs().float().double() * mask
    ref = (logprobs + normal(len(lengths), time, scale=0.3)).float().double() * mask
    return logprobs, ref, normal(len(lengths), time) * mask, normal(len(lengths))


def advantages(lengths, time, gamma, lam, kl_estimator="k1", whiten_rewards=False):
    """TRL's rewards, GAE and whitening. Rewards are TRL's own where rows are full, so that it has no slot after the end
    for the score; else the score stands on the last real token, and all the rest is TRL's."""
    logprobs, ref_logprobs, values, scores = rollout(lengths, time)
    padding_mask = padding(lengths, time)
    sequence_lengths = torch.tensor(lengths) - 1
    args = SimpleNamespace(kl_coef=0.05, kl_estimator=kl_estimator, gamma=gamma, lam=lam, whiten_rewards=whiten_rewards)
    names = dict(logprobs=logprobs, ref_logprobs=ref_logprobs, args=args, values=values, padding_mask=padding_mask)
    if all(length == time for length in lengths):
        rewarded = run(REWARDS, scores=scores, sequence_lengths_p1=sequence_lengths + 1, sequence_lengths=sequence_lengths, **names)
    else:
        rewarded = run(REWARDS, scores=torch.zeros_like(scores), sequence_lengths_p1=sequence_lengths, sequence_lengths=sequence_lengths, **names)
        rewarded.rewards[torch.arange(len(lengths)), sequence_lengths] += scores
    rewards = run(WHITEN_REWARDS, rewards=rewarded.rewards, padding_mask_p1=padding_mask, **names).rewards
    estimated = run(GAE, rewards=rewards, responses=rewards, **names)
    whitened = run(WHITEN, advantages=estimated.advantages, **names).advantages
    every = dict(
        policyLogprobs=logprobs, refLogprobs=ref_logprobs, values=values, kl=rewarded.kl, rewards=rewards,
        nonScoreRewards=rewarded.non_score_reward, advantages=estimated.advantages, returns=estimated.returns, whitened=whitened,
    )
    return {
        "lengths": lengths, "scores": scores.tolist(), "klCoef": 0.05, "klEstimator": kl_estimator, "gamma": gamma,
        "gaeLambda": lam, "whitenRewards": whiten_rewards, **{name: rows(tensor, lengths) for name, tensor in every.items()},
    }


def whitening():
    values, mask = normal(len(LENGTHS), 9, scale=3) + 2, ~padding(LENGTHS, 9)
    values = values.float().double()
    return {
        "rows": rows(values), "mean": masked_mean(values, mask).item(), "variance": masked_var(values, mask).item(),
        "shifted": rows(masked_whiten(values, mask)), "kept": rows(masked_whiten(values, mask, shift_mean=False)),
    }


def kl_estimates():
    policy, ref = -normal(40).abs(), -normal(40).abs()
    ref[0] = policy[0]
    d = policy - ref
    return {"policy": policy.tolist(), "ref": ref.tolist(), "k1": d.tolist(), "k2": (d**2 / 2).tolist(), "k3": ((-d).exp() - 1 + d).tolist()}


class AdaptiveKLController:
    """As it was in TRL until 0.11 (trl/trainer/utils.py), from Ziegler et al. 2019."""

    def __init__(self, init_kl_coef, target, horizon):
        self.value, self.target, self.horizon = init_kl_coef, target, horizon

    def update(self, current, n_steps):
        proportional_error = min(max(current / self.target - 1, -0.2), 0.2)
        mult = 1 + proportional_error * n_steps / self.horizon
        self.value *= mult


def adaptive_kl():
    controller = AdaptiveKLController(0.15, 6.0, 10000)
    kls = [12.0, 3.0, 6.0, 6.5, 5.9, 0.0, 100.0]
    coefs = []
    for kl in kls:
        controller.update(kl, 256)
        coefs.append(controller.value)
    return {"klCoef": 0.15, "target": 6, "horizon": 10000, "episodes": 256, "kls": kls, "coefs": coefs}


def ppo(cliprange, cliprange_value):
    """TRL's policy and value loss with the gradients; the metrics are masked, where TRL's also count padding."""
    shape = (len(LENGTHS), max(LENGTHS))
    padding_mask = padding(LENGTHS, shape[1])
    logits = normal(*shape, VOCAB).requires_grad_()
    responses = torch.randint(VOCAB, shape, generator=generator)
    new_logprobs = ppo_trainer.selective_log_softmax(logits, responses)
    mb_logprobs = (new_logprobs.detach() + normal(*shape, scale=0.4)).float().double()
    mb_advantage, mb_return = normal(*shape), normal(*shape)
    mb_values = (mb_return + normal(*shape, scale=0.5)).float().double()
    vpred = (mb_values + normal(*shape, scale=0.4)).float().double().requires_grad_()
    args = SimpleNamespace(cliprange=cliprange, cliprange_value=cliprange_value, vf_coef=1.0)
    scope = run(
        LOSS, args=args, vpred=vpred, mb_values=mb_values, mb_return=mb_return, mb_logprobs=mb_logprobs, new_logprobs=new_logprobs,
        mb_advantage=mb_advantage, micro_batch_inds=slice(None), padding_mask=padding_mask, padding_mask_p1=padding_mask,
    )
    mask = ~padding_mask
    entropies = entropy_from_logits(logits)
    entropy = masked_mean(entropies, mask)
    slope = lambda loss, by: torch.autograd.grad(loss, by, retain_graph=True)[0]
    given = dict(logits=logits, responses=responses, oldLogprobs=mb_logprobs, advantages=mb_advantage, oldValues=mb_values, returns=mb_return, values=vpred)
    gradients = dict(
        policyLogprobs=slope(scope.pg_loss, new_logprobs), logits=slope(scope.pg_loss, logits),
        values=slope(scope.vf_loss, vpred), logitsWithEntropy=slope(scope.pg_loss - 0.01 * entropy, logits),
    )
    return {
        "lengths": LENGTHS, "clipRange": cliprange, "valueClipRange": cliprange_value, "entropyCoef": 0.01,
        "inputs": {name: tensor.tolist() for name, tensor in given.items()},
        "policyLogprobs": new_logprobs.tolist(),
        "policyLoss": scope.pg_loss.item(),
        "valueLoss": scope.vf_loss.item(),
        "clipFraction": masked_mean((scope.pg_losses2 > scope.pg_losses).double(), mask).item(),
        "valueClipFraction": scope.vf_clipfrac.item(),
        "approxKl": masked_mean(0.5 * scope.logprobs_diff**2, mask).item(),
        "ratio": masked_mean(scope.ratio, mask).item(),
        "ratioVariance": masked_var(scope.ratio, mask, unbiased=False).item(),
        "entropy": entropy.item(),
        "lossWithEntropy": (scope.pg_loss - 0.01 * entropy).item(),
        "gradients": {name: tensor.tolist() for name, tensor in gradients.items()},
    }


def reward(center, with_margin):
    pairs = 6
    logits = normal(2 * pairs, 1, scale=2).requires_grad_()
    margins = normal(pairs).abs()
    metrics = {"train": defaultdict(list)}

    class Model:
        training = True

        def __call__(self, **_):
            return SimpleNamespace(logits=logits)

    accelerator = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x)
    model = Model()
    trainer = SimpleNamespace(model=model, args=SimpleNamespace(center_rewards_coefficient=center), accelerator=accelerator, _metrics=metrics, _total_train_tokens=0)
    inputs = {"attention_mask": torch.ones(2 * pairs, 1)}
    if with_margin:
        inputs["margin"] = margins
    loss = RewardTrainer.compute_loss(trainer, model, inputs)
    loss.backward()
    chosen, rejected = logits.detach().flatten().chunk(2)
    d_chosen, d_rejected = logits.grad.flatten().chunk(2)
    return {
        "centerRewardsCoefficient": center or 0, "margins": margins.tolist() if with_margin else None,
        "chosen": chosen.tolist(), "rejected": rejected.tolist(), "loss": loss.item(),
        **{name: metrics["train"][name][0] for name in ("accuracy", "margin", "mean_reward")},
        "gradients": {"chosen": d_chosen.tolist(), "rejected": d_rejected.tolist()},
    }


def reward_scores():
    rewards, scores = normal(8).requires_grad_(), normal(8)
    loss = F.mse_loss(rewards, scores)
    loss.backward()
    return {"rewards": rewards.tolist(), "scores": scores.tolist(), "loss": loss.item(), "gradient": rewards.grad.tolist()}


def sft():
    """TRL's chunk of a cross entropy, given logits by way of an identity head: loss, hits and entropy are sums."""
    shape = (len(LENGTHS), max(LENGTHS))
    logits = normal(*shape, VOCAB, scale=2)
    labels = torch.randint(VOCAB, shape, generator=generator)
    # half of the targets are what the model would say, or accuracy is next to nothing
    labels = torch.where(torch.rand(shape, generator=generator) < 0.5, logits.argmax(-1), labels)
    mask = ~padding(LENGTHS, shape[1])
    ignored = torch.where(mask, labels, -100).flatten()
    flat = logits.flatten(0, 1).float().requires_grad_()
    loss, correct, entropy = sft_trainer._chunk(flat, torch.eye(VOCAB), None, ignored, 1.0, None)
    count = mask.sum()
    (loss / count).backward()
    return {
        "lengths": LENGTHS, "logits": logits.tolist(), "targets": labels.tolist(), "loss": (loss / count).item(),
        "accuracy": (correct / count).item(), "entropy": (entropy / count).item(),
        "gradient": flat.grad.reshape(logits.shape).tolist(),
    }


golden = {
    "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__, "trl": trl.__version__},
    "command": "python tests/golden/align.py",
    "advantages": [
        advantages(LENGTHS, 9, 1.0, 0.95),
        advantages(LENGTHS, 9, 0.9, 0.5, kl_estimator="k3"),
        advantages(LENGTHS, 9, 1.0, 0.95, whiten_rewards=True),
        advantages([6] * 4, 6, 1.0, 0.95),
        advantages([6] * 4, 6, 0.97, 1.0, kl_estimator="k3", whiten_rewards=True),
    ],
    "whitening": whitening(),
    "kl": kl_estimates(),
    "adaptiveKl": adaptive_kl(),
    "ppo": [ppo(0.2, 0.2), ppo(0.1, 0.5)],
    "reward": [reward(None, False), reward(None, True), reward(0.01, False), reward(0.5, True)],
    "rewardScores": reward_scores(),
    "sft": sft(),
}


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


Path(__file__).with_suffix(".json").write_text(json.dumps(rounded(golden), allow_nan=False) + "\n")
