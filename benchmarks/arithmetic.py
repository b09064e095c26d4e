"""What is made of the raw samples: ratios within a round, medians, means over cases, slopes."""

from math import comb, exp, log
from statistics import fmean, linear_regression, median


def ratios(samples, ours, theirs):
    """ours / theirs in each round, whose turns stood next to each other in time."""
    return [a / b for a, b in zip(samples[ours], samples[theirs])]


def median_interval(values, coverage=0.95):
    """(low, median, high). low and high are two of the values, which enclose the true median with a
    probability of `coverage` at least, whatever the distribution. Fewer than 6 values cannot do
    that; of these, low and high are the smallest and the largest.

    The number of values below the true median is binomial with p = 1/2: the k-th smallest and the
    k-th largest fail to enclose it with probability 2 sum_{i<k} C(n, i) / 2^n.
    """
    ordered, n = sorted(values), len(values)
    k, fails = 1, 2 / 2**n
    while fails + 2 * comb(n, k) / 2**n <= 1 - coverage:
        fails += 2 * comb(n, k) / 2**n
        k += 1
    return ordered[k - 1], median(ordered), ordered[n - k]


def geometric_mean(values):
    """The mean for ratios: of 2 and 1/2 it is 1."""
    return exp(fmean(map(log, values)))


def power(sizes, values):
    """p of values ~ sizes^p: the slope on log-log axes, by least squares."""
    return linear_regression([*map(log, sizes)], [*map(log, values)]).slope
