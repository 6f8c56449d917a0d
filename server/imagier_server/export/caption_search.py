# SPDX-License-Identifier: Apache-2.0
"""Greedy and beam search over any decoder as one loop of tensors, which `torch.onnx.export` turns into one ONNX `Loop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch._higher_order_ops import while_loop

_NEVER = -1e9
"""A score below any caption's; finite, so that sums stay finite."""

_Condition = Callable[..., Tensor]
_Body = Callable[..., tuple[Tensor, ...]]
_Choice = tuple[Tensor, Tensor | None, tuple[Tensor, ...]]
"""The next tokens [N, K], which beam each continues [N, K] (None: its own), and the search's state."""


class Decoder(Protocol):
    """A network that writes captions, as the search sees it; a `torch.nn.Module`. N pictures, K beams, V words.

    Data shared by a picture's beams belongs in the memory, which is never repeated per beam: attend from [N, …, K, …]
    queries to [N, …] keys. Only a beam's own tokens belong in the caches.
    """

    def look(self, pixels: Tensor) -> Sequence[Tensor]:
        """The memory of UINT8 `pixels` [N, S, S, 3] RGB: tensors [N, …] that every step reads, such as keys and values."""
        ...

    def begin(self, memory: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """FP32 logits [N, V] of the first token, and caches [N, …] with room for all tokens, the same for all beams."""
        ...

    def step(
        self, tokens: Tensor, position: Tensor, memory: Sequence[Tensor], caches: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """FP32 logits [N, K, V] of what follows INT64 `tokens` [N, K], and the caches [N, K, …] with these tokens written.

        `position`, INT64 [1], is 0 for the first token that the search chose. The caches keep their shapes.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Search parameters; beams and length penalty as in transformers' `generate`.

    `end` and `pad` are token ids. `max_tokens` and `min_tokens` count the end; no caption is shorter than the latter. One beam is
    greedy decoding. `candidates` is the number of captions returned per picture.
    """

    end: int
    pad: int
    max_tokens: int
    beams: int = 1
    candidates: int = 1
    length_penalty: float = 1.0
    min_tokens: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.candidates <= self.beams:
            raise ValueError(f"{self.candidates} candidates of {self.beams} beams")


class CaptionSearch(nn.Module):
    """A decoder and its search as one module for inference.

    UINT8 `pixels` [N, S, S, 3] → INT32 token ids [N, C, L], C candidates best first, L = `max_tokens`, padded after the end; and
    FP32 log-probabilities [N, C], each the sum over its candidate's tokens, end included, by the decoder's own log-softmax.
    """

    def __init__(self, decoder: nn.Module, options: SearchOptions) -> None:
        super().__init__()
        self.decoder = decoder
        self.options = options
        self._search = _Greedy(options) if options.beams == 1 else _Beams(options)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        decoder: Decoder = self.decoder  # type: ignore[assignment]
        search, limit = self._search, self.options.max_tokens
        # The loop's body captures the memory; captured tensors must not be views of one another.
        memory = [tensor.clone() for tensor in decoder.look(pixels)]
        logits, caches = decoder.begin(memory)
        written = torch.zeros(1, dtype=torch.int64)
        tokens, parents, state = search.choose(written, logits[:, None], search.start(logits.shape[0]))

        def goes_on(written: Tensor, _tokens: Tensor, unfinished: Tensor, *_rest: Tensor) -> Tensor:
            return unfinished.any() & (written < limit).all()

        def write(written: Tensor, tokens: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            logits, caches = decoder.step(tokens, written - 1, memory, rest[len(state) :])
            tokens, parents, now = search.choose(written, logits, rest[: len(state)])
            return (written + 1, tokens, *now, *(_pick(cache, parents) for cache in caches))

        caches = [_pick(cache[:, None].clone(), parents) for cache in caches]
        loop = while_loop if torch.compiler.is_compiling() else _loop
        _, _, _, ids, log_probabilities, *_ = loop(goes_on, write, (written + 1, tokens, *state, *caches))
        kept = self.options.candidates
        return ids[:, :kept].to(torch.int32), log_probabilities[:, :kept].clone()


def _loop(goes_on: _Condition, write: _Body, carried: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """`while_loop` in Python, because outside an export torch's would compile its body first."""
    while goes_on(*carried):
        carried = write(*carried)
    return carried


class _Greedy:
    """Greedy search. State: unfinished [N, 1], ids [N, 1, L], log-probabilities [N, 1]."""

    def __init__(self, options: SearchOptions) -> None:
        self.options = options

    def start(self, pictures: int) -> tuple[Tensor, ...]:
        ids = torch.full((pictures, 1, self.options.max_tokens), self.options.pad)
        return torch.ones((pictures, 1), dtype=torch.bool), ids, torch.zeros((pictures, 1))

    def choose(self, written: Tensor, logits: Tensor, state: Sequence[Tensor]) -> _Choice:
        unfinished, ids, log_probabilities = state
        gains = logits.log_softmax(-1)
        best = _allowed(gains, written, self.options).argmax(-1)
        tokens = torch.where(unfinished, best, self.options.pad)
        gained = torch.where(unfinished, gains.gather(2, best[..., None])[..., 0], 0.0)
        state = unfinished & (best != self.options.end), _write(ids, written, tokens), log_probabilities + gained
        return tokens, None, state


class _Beams:
    """Beam search as in transformers 5 (`GenerationMixin._beam_search`, `early_stopping=False`), with one end token.

    Of the 2 K best continuations those that end are finished captions if they are among the first K, and the first K that do not
    end go on. A picture is done when K captions are finished and its best beam, at its present length, does not beat the worst of
    them; then nothing of it changes any more. State: undone [N, 1]; of the finished captions, best first, ids [N, K, L],
    log-probabilities and scores [N, K], a score being log-probability / length ** penalty; ids and log-probabilities of the beams.
    """

    def __init__(self, options: SearchOptions) -> None:
        self.options = options

    def start(self, pictures: int) -> tuple[Tensor, ...]:
        beams = self.options.beams
        ids = torch.full((pictures, beams, self.options.max_tokens), self.options.pad)
        none = torch.full((pictures, beams), _NEVER)
        # Starts with one beam, or the others would repeat it.
        return (
            torch.ones((pictures, 1), dtype=torch.bool),
            ids,
            none,
            none.clone(),
            ids[:, :1].clone(),
            torch.zeros((pictures, 1)),
        )

    def choose(self, written: Tensor, logits: Tensor, state: Sequence[Tensor]) -> _Choice:
        undone, ids, log_probabilities, scores, beam_ids, beam_log_probabilities = state
        beams, words = self.options.beams, logits.shape[-1]
        gains = _allowed(logits.log_softmax(-1), written, self.options)
        sums, places = (beam_log_probabilities[..., None] + gains).flatten(1).topk(2 * beams)
        tokens, parents = places % words, places // words
        continued = _write(_pick(beam_ids, parents), written, tokens)

        ends = (tokens == self.options.end) | (written + 1 == self.options.max_tokens)
        length = (written + 1) ** self.options.length_penalty
        finished = ends & undone & (torch.arange(2 * beams) < beams)
        merged = torch.cat([scores, torch.where(finished, sums / length, _NEVER)], 1)
        scores, kept = merged.topk(beams)
        ids = _pick(torch.cat([ids, continued], 1), kept)
        log_probabilities = torch.cat([log_probabilities, sums], 1).gather(1, kept)

        beam_log_probabilities, going = torch.where(ends, sums + _NEVER, sums).topk(beams)
        full = scores[:, -1:] > _NEVER / 2
        better = beam_log_probabilities[:, :1] / length > scores[:, -1:]
        undone = undone & (better | ~full)
        state = undone, ids, log_probabilities, scores, _pick(continued, going), beam_log_probabilities
        return tokens.gather(1, going), parents.gather(1, going), state


def _allowed(gains: Tensor, written: Tensor, options: SearchOptions) -> Tensor:
    """Mask the end token in `gains` [N, K, V] while a caption would be too short."""
    if options.min_tokens < 2:
        return gains
    is_end = torch.arange(gains.shape[-1]) == options.end
    return torch.where(is_end & (written + 1 < options.min_tokens), _NEVER, gains)


def _write(ids: Tensor, position: Tensor, tokens: Tensor) -> Tensor:
    """`ids` [N, K, L] with `tokens` [N, K] at `position`."""
    return torch.where(torch.arange(ids.shape[-1]) == position, tokens[..., None], ids)


def _pick(tensor: Tensor, beams: Tensor | None) -> Tensor:
    """Gather `beams` [N, M] (or all) of `tensor` [N, K, …]: [N, M, …]. By row index, so that ONNX copies whole blocks."""
    if beams is None:
        return tensor
    rows = torch.arange(tensor.shape[0])[:, None] * tensor.shape[1] + beams
    return tensor.flatten(0, 1).index_select(0, rows.flatten()).view(*beams.shape, *tensor.shape[2:])
