"""The networks that dropout draws from one network: their answers, the average of these, and how far they are apart."""

from __future__ import annotations

import math

import numpy as np

import tinyreg as tr


def passes(model: tr.nn.Module, inputs: tr.Tensor, count: int) -> tr.Tensor:
    """Logarithms of probabilities, (count, N, classes), in the mode in which the model is."""
    with tr.no_grad():
        log_p: tr.Tensor = tr.stack([tr.log_softmax(model(inputs), axis=1) for _ in range(count)], axis=0)
    return log_p


def different(log_p: tr.Tensor) -> float:
    """How many different outputs an input has in these passes, averaged over inputs."""
    outputs = log_p.numpy()
    return float(np.mean([len(np.unique(outputs[:, i], axis=0)) for i in range(outputs.shape[1])]))


def averaged(log_p: tr.Tensor) -> tr.Tensor:
    """The logarithm of the mean of the probabilities over passes, (N, classes)."""
    mean: tr.Tensor = tr.logsumexp(log_p, axis=0) - math.log(len(log_p))
    return mean


def spread(log_p: tr.Tensor) -> np.ndarray:
    """(N,): the standard deviation over passes of the probability of the class that is likeliest on average."""
    p = tr.exp(log_p)
    likeliest = tr.argmax(p.mean(axis=0), axis=1)
    deviation = tr.take_along_axis(tr.std(p, axis=0, correction=1), likeliest[:, None], axis=1)[:, 0]
    return settled(deviation)


def disagreement(log_p: tr.Tensor) -> np.ndarray:
    """(N,): H(mean p) - mean H(p) in nats: the mutual information of answer and sub-network.

    Source: Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011.
    """
    return settled(entropy(averaged(log_p)) - entropy(log_p).mean(axis=0))


def entropy(log_p: tr.Tensor) -> tr.Tensor:
    """-sum p log p over the last axis, in nats."""
    total: tr.Tensor = -(tr.exp(log_p) * log_p).sum(axis=-1)
    return total


def settled(values: tr.Tensor) -> np.ndarray:
    """To five decimals: passes that are all the same differ from their mean by roundings, and are not to be told apart."""
    return np.asarray(values.numpy().round(5))


def told(of_known: np.ndarray, of_unknown: np.ndarray) -> float:
    """In how many of all pairs of a known and an unknown input the unknown one has more, in %; equals count half."""
    from sklearn.metrics import roc_auc_score

    unknown = np.repeat([0, 1], [len(of_known), len(of_unknown)])
    return 100 * float(roc_auc_score(unknown, np.concatenate([of_known, of_unknown])))
