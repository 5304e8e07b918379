"""fastText's classifiers asked for the labels of a line, by kernels that answer as fastText does to the bit.

Words and their n-grams of characters are hashed as bytes, the rows of the input matrix that they name are
averaged, and the output matrix makes scores of the average. It takes a seventh to two fifths of the time of
fastText's own predictor, which makes a string of each n-gram and looks it up in a list of what pruning left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from corpus import classifier_file
from corpus.classifier_file import HIERARCHICAL, SOFTMAX, Model

_LEAST = np.float32(np.log(1e-5))  # fastText adds 1e-5 to a probability before it takes the logarithm
_STEPS, _REACH = 512, 8.0  # of fastText's table of the sigmoid
_SIGMOID = (1.0 / (1.0 + np.exp(-np.linspace(-_REACH, _REACH, _STEPS + 1)))).astype(np.float32)


class Classifier:
    """A model that answers lines."""

    def __init__(self, model: Model) -> None:
        self.labels = model.labels
        self._model = (*model[1:4], _slots(model.text, model.entries), *model[4:])

    def predict(self, line: str, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable labels (-1: all) of a line, the best first; none for an empty one.

        Labels of equal scores come in the order of the file. Raises ValueError where the line has a line
        break, or half a surrogate pair.
        """
        if "\n" in line:
            raise ValueError(f"{line[:80]!r}: a classifier takes one line at a time; expected no line break")
        data = np.frombuffer((line + "\n").encode(), np.uint8)
        found: Any = _answer(data, k if k > 0 else len(self.labels), *self._model)
        return list(zip([self.labels[n] for n in found[0].tolist()], found[1].tolist(), strict=True))


def line(text: str) -> str:
    """Return a text as the line that a classifier takes: each run of white space is a blank."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def load(path: str) -> Classifier:
    """Return the classifier of a file; raises as `classifier_file.read` does."""
    return Classifier(classifier_file.read(path))


@njit(cache=True)
def _hashed(state, byte):  # type: ignore[no-untyped-def]
    """Take one byte into FNV-1a of 32 bits, as fastText does: a byte is a signed number."""
    return np.uint32((state ^ np.uint32(np.int32(np.int8(byte)))) * np.uint32(16777619))


@njit(cache=True)
def _slots(text, entries):  # type: ignore[no-untyped-def]
    """Return a table of entries by hash, at most half full."""
    size = 16
    while size < 2 * entries.shape[0]:
        size *= 2
    slots = np.full(size, -1, np.int32)
    for n in range(entries.shape[0]):
        state = np.uint32(2166136261)
        for at in range(entries[n, 0], entries[n, 1]):
            state = _hashed(state, text[at])
        slot = np.int64(state) & (size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = n
    return slots


@njit(cache=True)
def _found(word, length, state, text, entries, slots):  # type: ignore[no-untyped-def]
    """Return the number of a dictionary's entry, -1 where the word has none."""
    slot = np.int64(state) & (slots.size - 1)
    while slots[slot] >= 0:
        n = slots[slot]
        start = entries[n, 0]
        if entries[n, 1] - start == length:
            same = 0
            while same < length and text[start + same] == word[1 + same]:
                same += 1
            if same == length:
                return n
        slot = (slot + 1) & (slots.size - 1)
    return -1


@njit(cache=True)
def _is_inside(byte):  # type: ignore[no-untyped-def]
    """Return whether a byte continues a code point of UTF-8."""
    return byte & 0xC0 == 0x80


@njit(cache=True)
def _features(line, shape, text, entries, slots, found):  # type: ignore[no-untyped-def]
    """Fill `found` with what a line has, and return how many: buckets of n-grams, and -1 - a word's entry."""
    buckets = np.uint32(shape.buckets)
    filled = words = 0
    word = np.empty(line.size + 6, np.uint8)
    hashes = np.empty(line.size + 1, np.int32)
    at = 0
    while at < line.size:
        byte = line[at]
        ends_line = byte == 10
        if byte == 32 or (9 <= byte <= 13 and not ends_line) or byte == 0:
            at += 1
            continue
        length = 0
        if ends_line:
            for sign in (60, 47, 115, 62):  # fastText has a word for the end of a line: </s>
                word[1 + length] = sign
                length += 1
            at += 1
        else:
            while at < line.size and line[at] != 32 and not 9 <= line[at] <= 13 and line[at] != 0:
                word[1 + length] = line[at]
                length += 1
                at += 1
        state = np.uint32(2166136261)
        for n in range(1, length + 1):
            state = _hashed(state, word[n])
        is_end = length == 4 and word[1] == 60 and word[2] == 47 and word[3] == 115 and word[4] == 62
        entry = _found(word, length, state, text, entries, slots)
        is_label = entries[entry, 2] == 1 if entry >= 0 else _begins_a_label(word, length)
        if not is_label:
            hashes[words] = np.int32(state)
            words += 1
            if entry >= 0:
                found[filled] = -1 - entry
                filled += 1
            if shape.longest > 0 and not is_end:
                word[0], word[length + 1] = 60, 62
                filled = _ngrams(word, length + 2, shape.shortest, shape.longest, buckets, found, filled)
        if is_end:
            break
    for first in range(words):  # n-grams of words, whose hashes fastText takes for signed numbers
        wide = np.uint64(np.int64(hashes[first]))
        for last in range(first + 1, min(words, first + shape.word_ngrams)):
            wide = wide * np.uint64(116049371) + np.uint64(np.int64(hashes[last]))
            found[filled] = np.int64(wide % np.uint64(shape.buckets))
            filled += 1
    return filled


@njit(cache=True)
def _begins_a_label(word, length):  # type: ignore[no-untyped-def]
    """Return whether a word starts with __label__, by which fastText tells labels."""
    same = 0
    for sign in (95, 95, 108, 97, 98, 101, 108, 95, 95):
        same += same < length and word[1 + same] == sign
    return same == 9


@njit(cache=True)
def _ones(bits):  # type: ignore[no-untyped-def]
    """Count the bits that are set."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def _ngrams(word, end, shortest, longest, buckets, found, filled):  # type: ignore[no-untyped-def]
    """Append the buckets of a word's n-grams of characters, its end signs included, but never alone."""
    for start in range(end):
        if _is_inside(word[start]):
            continue
        state = np.uint32(2166136261)
        at = start
        n = 1
        while at < end and n <= longest:
            state = _hashed(state, word[at])
            at += 1
            while at < end and _is_inside(word[at]):
                state = _hashed(state, word[at])
                at += 1
            if n >= shortest and not (n == 1 and (start == 0 or at == end)):
                found[filled] = np.int64(state % buckets)
                filled += 1
            n += 1
    return filled


@njit(cache=True)
def _rows(found, filled, words, kept, before):  # type: ignore[no-untyped-def]
    """Turn features into rows of the input matrix in their place, and return how many pruning left."""
    left = 0
    for n in range(filled):
        feature = np.int64(found[n])
        if feature < 0:
            row = -1 - feature
        elif kept.size == 0:
            row = words + feature
        else:
            bits, place = kept[feature >> 6], np.uint64(feature & 63)
            if not (bits >> place) & np.uint64(1):
                continue
            row = words + before[feature >> 6] + _ones(bits & ((np.uint64(1) << place) - np.uint64(1)))
        found[left] = row
        left += 1
    return left


@njit(cache=True)
def _answer(line, k, shape, text, entries, slots, kept, before, matrix, output, norms, tree):  # type: ignore[no-untyped-def]
    """Return the `k` most probable labels by number, and their probabilities as fastText gives them."""
    widths = max(shape.longest - shape.shortest + 1, 0)
    features = np.empty((widths + 1) * (2 * line.size + 8) + shape.word_ngrams * line.size, np.int32)
    filled = _features(line, shape, text, entries, slots, features)
    filled = _rows(features, filled, shape.words, kept, before)
    if filled == 0:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    dim = matrix.shape[1]
    hidden = np.zeros(dim, np.float32)
    for n in range(filled):
        row = np.uint64(
            features[n]
        )  # a signed number might count from the end, so the loop would be no vector's
        for d in range(dim):
            hidden[d] += matrix[row, d]
    share = np.float32(1.0 / filled)
    for d in range(dim):
        hidden[d] *= share
    scores = _scores(hidden, shape, output, norms, tree)
    chosen = np.empty(min(k, scores.size), np.int32)
    found = np.empty(chosen.size, np.float32)
    for place in range(chosen.size):
        best = 0
        for label in range(1, scores.size):
            if scores[label] > scores[best]:
                best = label
        if scores[best] < _LEAST:
            return chosen[:place], found[:place]
        chosen[place], found[place] = best, np.exp(scores[best])
        scores[best] = -np.inf
    return chosen, found


@njit(cache=True)
def _scores(hidden, shape, output, norms, tree):  # type: ignore[no-untyped-def]
    """Return the logarithm of each label's probability."""
    labels = output.shape[0]
    products = np.empty(labels, np.float32)
    for label in range(labels):
        product = np.float32(0.0)
        for d in range(hidden.size):
            product += output[label, d] * hidden[d]
        products[label] = product * norms[label]
    if shape.loss == HIERARCHICAL:
        return _down(products, tree)
    if shape.loss == SOFTMAX:
        highest = products[0]
        for label in range(1, labels):
            highest = max(highest, products[label])
        total = np.float32(0.0)
        for label in range(labels):
            products[label] = np.float32(np.exp(np.float64(products[label] - highest)))
            total += products[label]
        for label in range(labels):
            products[label] /= total
    else:
        for label in range(labels):
            products[label] = _sigmoid(products[label])
    for label in range(labels):
        products[label] = _log(products[label])
    return products


@njit(cache=True)
def _log(probability):  # type: ignore[no-untyped-def]
    return np.float32(np.log(np.float64(probability) + 1e-5))


@njit(cache=True)
def _sigmoid(product):  # type: ignore[no-untyped-def]
    """Return what fastText's table says, which knows 512 steps."""
    if product < -_REACH:
        return np.float32(0.0)
    if product > _REACH:
        return np.float32(1.0)
    return _SIGMOID[np.int64((product + np.float32(_REACH)) * _STEPS / _REACH / 2)]


@njit(cache=True)
def _down(products, tree):  # type: ignore[no-untyped-def]
    """Return the scores of the leaves of a hierarchical softmax: the sums of the turns that lead to them."""
    labels = products.size
    scores = np.zeros(2 * labels - 1, np.float32)
    for node in range(2 * labels - 2, labels - 1, -1):
        inner = node - labels
        if scores[node] < _LEAST:  # fastText goes no further, though what it adds to a turn might lift a leaf
            scores[node] = -np.inf
        right = np.float32(1.0 / np.float64(np.float32(1.0) + np.exp(-products[inner])))
        scores[tree[inner, 0]] = scores[node] + _log(np.float32(1.0 - np.float64(right)))
        scores[tree[inner, 1]] = scores[node] + _log(right)
    return scores[:labels]
