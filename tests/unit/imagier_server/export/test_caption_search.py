# SPDX-License-Identifier: Apache-2.0
"""The search finds what a plain one, a picture at a time over lists, finds; its ends are early, late and missing."""

from __future__ import annotations

import pytest
import torch
from imagier_server.export.caption_search import CaptionSearch, SearchOptions

END, PAD, LIMIT = 3, 0, 9
# With these each of several pictures ends at another length, one at the limit.
ENDS = pytest.mark.parametrize("ends", [-1.0, 2.0, 4.0])


def search(decoder, pixels, beams, **options):
    options = SearchOptions(END, PAD, LIMIT, beams=beams, candidates=beams, **options)
    with torch.inference_mode():
        return CaptionSearch(decoder, options)(pixels)


def log_softmax(decoder, picture, tokens, min_tokens):
    """Of what may follow `tokens`; everything is computed again from the first token on."""
    memory = decoder.look(picture)
    logits, caches = decoder.begin(memory)
    logits, caches = logits[:, None], [cache[:, None] for cache in caches]
    for position, token in enumerate(tokens):
        logits, caches = decoder.step(torch.tensor([[token]]), torch.tensor([position]), memory, caches)
    gains = logits[0, 0].log_softmax(-1)
    if len(tokens) + 1 < min_tokens:
        gains[END] = -torch.inf
    return gains.tolist()


def greedy(decoder, picture, min_tokens=0):
    tokens, total = [], 0.0
    while len(tokens) < LIMIT and END not in tokens:
        gains = log_softmax(decoder, picture, tokens, min_tokens)
        tokens.append(gains.index(max(gains)))
        total += gains[tokens[-1]]
    return [(tokens, total)]


def beam_search(decoder, picture, beams, length_penalty=1.0, min_tokens=0):
    """As in the documentation of transformers, over lists."""
    running, finished = [([], 0.0)], []
    for length in range(1, LIMIT + 1):
        continued = [
            ([*tokens, token], total + gain)
            for tokens, total in running
            for token, gain in enumerate(log_softmax(decoder, picture, tokens, min_tokens))
        ]
        continued = sorted(continued, key=lambda beam: -beam[1])[: 2 * beams]
        ended = [beam for beam in continued[:beams] if beam[0][-1] == END or length == LIMIT]
        finished += [(tokens, total, total / length**length_penalty) for tokens, total in ended]
        finished = sorted(finished, key=lambda beam: -beam[2])[:beams]
        running = [beam for beam in continued if beam[0][-1] != END][:beams]
        if len(finished) == beams and running[0][1] / length**length_penalty <= finished[-1][2]:
            break
    return [(tokens, total) for tokens, total, _ in finished]


def check(found, row, expected):
    ids, log_probabilities = found
    wanted = torch.tensor([[*tokens, *[PAD] * (LIMIT - len(tokens))] for tokens, _ in expected], dtype=torch.int32)
    torch.testing.assert_close(ids[row], wanted)
    torch.testing.assert_close(log_probabilities[row], torch.tensor([total for _, total in expected]))


@ENDS
@pytest.mark.parametrize("min_tokens", [0, 4])
def test_greedy_is_the_most_probable_token_each_time(rememberer, six_pictures, ends, min_tokens):
    decoder = rememberer(ends)
    found = search(decoder, six_pictures, 1, min_tokens=min_tokens)
    for row in range(len(six_pictures)):
        check(found, row, greedy(decoder, six_pictures[row : row + 1], min_tokens))


@ENDS
@pytest.mark.parametrize(("beams", "length_penalty", "min_tokens"), [(2, 1.0, 0), (3, 0.8, 0), (3, 2.0, 4)])
def test_beams_are_those_of_a_plain_search(rememberer, six_pictures, ends, beams, length_penalty, min_tokens):
    decoder = rememberer(ends)
    found = search(decoder, six_pictures, beams, length_penalty=length_penalty, min_tokens=min_tokens)
    for row in range(len(six_pictures)):
        check(found, row, beam_search(decoder, six_pictures[row : row + 1], beams, length_penalty, min_tokens))


@pytest.mark.parametrize("beams", [1, 3])
def test_these_captions_end_early_late_and_not_at_all(rememberer, six_pictures, beams):
    lengths = set()
    for ends in (-1.0, 2.0, 4.0):
        ids, _ = search(rememberer(ends), six_pictures, beams)
        lengths |= {row.tolist().index(END) + 1 if END in row else None for row in ids[:, 0]}
    assert None in lengths
    assert len(lengths) >= 4
    assert min(lengths - {None}) <= 2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_picture_that_is_done_does_not_change_while_others_go_on(rememberer, six_pictures, beams):
    decoder = rememberer(2.0)
    ids, log_probabilities = search(decoder, six_pictures, beams)
    for row in range(len(six_pictures)):
        alone, its_log_probabilities = search(decoder, six_pictures[row : row + 1], beams)
        assert alone[0].tolist() == ids[row].tolist()
        torch.testing.assert_close(its_log_probabilities[0], log_probabilities[row])


def test_the_search_stops_when_all_are_done(rememberer, six_pictures):
    decoder, steps = rememberer(30.0), []
    step = decoder.step
    decoder.step = lambda *arguments: steps.append(1) or step(*arguments)
    search(decoder, six_pictures, 1)
    assert steps == []


def test_no_more_candidates_than_beams():
    with pytest.raises(ValueError, match="3 candidates of 2 beams"):
        SearchOptions(END, PAD, LIMIT, beams=2, candidates=3)
