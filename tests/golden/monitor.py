"""Golden numbers of the monitor's statistics, from scipy.

    python tests/golden/monitor.py        (scipy 1.17.1, numpy 2.4.6; writes monitor.json beside itself)

The beta-binomial sequence: roots of the mixture martingale with scipy's betaln and brentq. The weighted sequence: the
formulas of Waudby-Smith & Ramdas, theorem 2, over whole arrays. The melded interval: two million draws of each beta.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln
from scipy.stats import beta


def sequence(hits, n, alpha):
    def log_martingale(p):
        return betaln(0.5 + hits, 0.5 + n - hits) - betaln(0.5, 0.5) - hits * np.log(p) - (n - hits) * np.log1p(-p)

    def excess(p):
        return log_martingale(p) - np.log(1 / alpha)

    middle = min(max(hits / n, 1e-12), 1 - 1e-12)
    low = 0.0 if hits == 0 else brentq(excess, 1e-15, middle, xtol=1e-15)
    high = 1.0 if hits == n else brentq(excess, middle, 1 - 1e-12, xtol=1e-15)
    return {"hits": hits, "n": n, "alpha": alpha, "low": low, "high": high}


def weighted(values, probabilities, smallest, alpha):
    x = np.array([0.0 if v is None else v / p * smallest for v, p in zip(values, probabilities)])
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before_mean = np.concatenate([[0.5], means[:-1]])
    before_variance = np.concatenate([[0.25], variances[:-1]])
    bets = np.minimum(np.sqrt(2 * np.log(2 / alpha) / (before_variance * t * np.log(1 + t))), 0.5)
    cost = np.sum((x - before_mean) ** 2 * (-np.log(1 - bets) - bets))
    middle = np.sum(bets * x) / np.sum(bets)
    half = (np.log(2 / alpha) + cost) / np.sum(bets)
    return {
        "values": values,
        "probabilities": probabilities,
        "smallest": smallest,
        "alpha": alpha,
        "middle": middle / smallest,
        "half": half / smallest,
    }


def melded(observed, sensitivity, specificity, alpha, draws=2_000_000):
    rng = np.random.default_rng(7)

    def below(count):
        hits, n = count
        return np.zeros(draws) if hits == 0 else beta.rvs(hits, n - hits + 1, size=draws, random_state=rng)

    def above(count):
        hits, n = count
        return np.ones(draws) if hits == n else beta.rvs(hits + 1, n - hits, size=draws, random_state=rng)

    def rate(p, se, sp):
        return np.clip((p + sp - 1) / (se + sp - 1), 0, 1)

    return {
        "observed": observed,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "alpha": alpha,
        "low": float(np.quantile(rate(below(observed), above(sensitivity), below(specificity)), alpha / 2)),
        "high": float(np.quantile(rate(above(observed), below(sensitivity), above(specificity)), 1 - alpha / 2)),
    }


rng = np.random.default_rng(3)
probabilities = [float(p) for p in rng.choice([0.1, 0.5, 1.0], size=200)]
values = [float(rng.random() < 0.2) if rng.random() < p else None for p in probabilities]
golden = {
    "sequence": [sequence(h, n, a) for h, n, a in [(0, 50, 0.05), (1, 1, 0.05), (20, 1000, 0.05), (600, 30000, 0.01), (37, 40, 0.1)]],
    "weighted": weighted(values, probabilities, 0.1, 0.05),
    "melded": [
        melded((60, 1000), (90, 100), (970, 1000), 0.05),
        melded((0, 200), (45, 50), (100, 100), 0.05),
        melded((80, 200), (48, 50), (47, 50), 0.05),
        melded((730, 30000), (180, 200), (1960, 2000), 0.05),
    ],
}
Path(__file__).with_name("monitor.json").write_text(json.dumps(golden, indent=1) + "\n")
