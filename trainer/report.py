"""What a run writes and prints while it trains: the numbers of its steps, evaluations and rollbacks."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field

from corpus.teller import Teller
from trainer import evaluate, masked_score
from trainer.config import Config
from trainer.evaluate import Sample
from trainer.limits import Curve
from trainer.loop import Loop, Step
from trainer.metrics import Line, Metrics
from trainer.order import Order
from trainer.throughput import Throughput
from trainer.world import World


@dataclass(frozen=True, slots=True)
class Queued:
    """A step that the device may not have done yet: which, at what share of the peak learning rates, how long
    the host has waited for data by then, in seconds, and the time at which it was queued."""

    step: int
    done: Step
    rate: float
    waited: float
    at: float


@dataclass(slots=True)
class Report:
    """The numbers of a run in progress: those of a step are read when the next step is queued.

    So the host never waits for a device that has no other work. `step` is the last one that was read.
    """

    config: Config
    order: Order
    loop: Loop
    world: World
    metrics: Metrics
    line: Line
    teller: Teller
    throughput: Throughput
    curve: Curve
    step: int
    _queued: deque[Queued] = field(default_factory=deque)
    _waited: float = 0.0

    def add(self, queued: Queued) -> None:
        """Take a step that was queued after those before it."""
        self._queued.append(queued)

    def read(self, *, but: int) -> None:
        """Read and write the steps that were added, all but the last `but`."""
        while len(self._queued) > but:
            self._read(self._queued.popleft())

    def _read(self, queued: Queued) -> None:
        self.step, done, decision = queued.step, queued.done, queued.done.decision
        self.loop.guard.seen(decision)
        length = self.order.phases[self.order.locate(self.step - 1)[0]].length
        waited, self._waited = queued.waited - self._waited, queued.waited
        # A CPU has done a step when it is queued, another device when its numbers can be read.
        at = queued.at if self.world.device.type == "cpu" else None
        self.throughput.step(done.tokens, done.attended, length, waited, done.encoded, at)
        speed, tokens = self.throughput.recent(), self.order.tokens(self.step)
        self.metrics.write(
            "train",
            self.step,
            {
                "loss": decision.loss,
                "norm": decision.norm,
                "rate": queued.rate,
                "targets": done.targets,
                "tokens": tokens,
                "skipped": decision.skip,
                "tokens_per_second": speed.tokens_per_second,
                "tflops": speed.tflops,
                "mfu": speed.mfu,
                "mfu_full": speed.mfu_full,
                "waited": speed.waited,
            },
        )
        self.line.update(self.step, tokens, decision.loss, speed)

    def evaluate(self, sample: Sample) -> None:
        """Score the validation documents with the weights, and with their average if there is one."""
        with self.throughput.excluded():
            self._score(sample, "evaluation")
            if self.loop.ema is not None:
                with self.loop.ema.swapped():
                    self._score(sample, "evaluation_ema")
            if self.loop.balance is not None:
                self.metrics.write("experts", self.step, self.loop.balance.numbers())

    def _score(self, sample: Sample, kind: str) -> None:
        length, model, objective = self.config.data.length, self.loop.model, self.loop.objective
        if not objective.scored_in_bits:
            hidden = masked_score.score(model, sample, length, objective, self.world.device, self.world)
            part, told = masked_score.NAMES[objective.name]
            self.metrics.write(f"{kind}_{part}", self.step, {"scores": asdict(hidden)})
            self.teller.say(f"step {self.step:,}: {hidden.nats:.4f} nats for each {told}")
            return
        found = evaluate.evaluate(model, sample, length, self.world.device, self.world)
        scores = {score.name: asdict(score) for score in found.scores}
        self.metrics.write(kind, self.step, {"documents": sample.digest, "scores": scores})
        self.line.evaluated(found.total.bits_per_byte, found.total.exact)
        if kind != "evaluation" or not self.world.first:
            return
        if ahead := self.curve.add(self.step, found.total.bits_per_byte):
            self.metrics.write("outlook", self.step, {"outlook": ahead.as_dict()})
            self.teller.say(f"step {self.step:,}: {ahead}")
