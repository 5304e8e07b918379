"""A training run: token shards and a configuration become checkpoints, metrics and a result."""

from __future__ import annotations

import gc
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from corpus import files
from corpus.errors import ConfigError, ElsewhereError, StoppedError
from corpus.teller import SILENT, Teller
from trainer import (
    collector,
    device,
    evaluate,
    identity,
    limits,
    masked_score,
    metrics,
    model,
    optim,
    parallel,
    preflight,
    schedule,
    tokens,
)
from trainer.average import Ema
from trainer.checkpoint import Checkpoints
from trainer.config import Config
from trainer.experts import Balance
from trainer.generate import complete
from trainer.guard import Guard
from trainer.identity import CHECKPOINTS, RESULT, Branch
from trainer.loader import Batch, Loader
from trainer.loop import Loop, Step
from trainer.mirror import Mirror
from trainer.objective import CAUSAL, objective
from trainer.order import Order
from trainer.permutation import derive
from trainer.result import finished
from trainer.sampling import Sampling
from trainer.shape import counted
from trainer.throughput import Throughput
from trainer.tokens import Tokens
from trainer.world import Stop, World, joined


def train(
    corpus: str, folder: Path, config: Config, teller: Teller, branch: Branch | None = None
) -> dict[str, Any]:
    """Train as configured on the token shards of `corpus`, into `folder`; return result.json's content.

    Resumes from the latest checkpoint if the folder holds this run, and does nothing if it is finished. With
    `branch` a new run starts from another's checkpoint: weights, moments, step. Ranks other than the first
    return {}. Raises ConfigError, DatasetError or CheckpointError for what a user can fix, StoppedError after
    SIGTERM or Ctrl-C.
    """
    collector.freeze_modules()
    with joined(config.run) as world:
        opened = world.decide(lambda: tokens.open(corpus))
        config = tokens.sized(config, opened)
        order = world.decide(lambda: preflight.open_order(config, opened, world.size))
        recorded = identity.record(config, opened, order, branch)
        mirror = _mirror(folder, config, teller) if world.first else None
        found = world.decide(lambda: _checked(folder, recorded, mirror))
        if found is not None:
            if mirror is not None:
                mirror.finish()
            return found if world.first else {}
        world.decide(lambda: preflight.check_tokenizer(opened, teller))
        run = Run(folder, config, opened, order, world, teller, mirror)
        resumed = run.begin(branch)
        # Only after all could be made: the user may correct an error and use the same folder.
        world.decide(lambda: identity.write(folder, recorded, opened, run.shape))
        result = run.go(resumed)
        if world.first:
            files.write_json(str(folder), RESULT, result)
        if mirror is not None:
            mirror.finish()
        run.show()
        return result


class Run:
    """A run in progress: what its steps change, and where it writes."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        opened: Tokens,
        order: Order,
        world: World,
        teller: Teller,
        mirror: Mirror | None = None,
    ) -> None:
        self.folder, self.config, self.opened, self.order, self.world = folder, config, opened, order, world
        self.teller = teller if world.first else SILENT
        self.dtype = device.dtype(config.run.dtype, world.device)
        self.shape = world.decide(lambda: preflight.open_shape(config, opened, world.device, self.dtype))
        device.activate(config.run.flash)
        self.rates = schedule.rates(config.schedule, order.tokens(order.steps))
        self.bare = model.build(
            self.shape, config.seed, world.device, self.dtype, config.z_loss, config.model.dropout
        )
        kind = parallel.kind(config.run, world)
        compiled = parallel.compiles(config.run, world, self.shape, self.dtype)
        self.bare.compile_loss = compiled
        wrapped = parallel.wrap(self.bare, world, kind, compiled=compiled, recompute=config.run.recompute)
        settings = config.optimizer
        self.objective = CAUSAL
        if config.objective.name != "causal":
            paired = self.shape.kind == "encoder-decoder"
            self.objective = world.decide(
                lambda: objective(config.objective, tokens.model(opened), paired=paired)
            )
        self.loop = Loop(
            wrapped,
            # Ranks with the same gradients share Muon's work.
            optim.build(self.bare, settings, world.device, dist.group.WORLD if kind == "ddp" else None),
            Guard(settings.clip, settings.outlier, settings.patience),
            Ema(self.bare, settings.ema) if settings.ema else None,
            world,
            self.objective,
            Balance(self.bare, config.model.experts.balance) if self.shape.experts else None,
        )
        self.mirror = mirror
        self.checkpoints = _checkpoints(folder, config, world, mirror)
        self.step = 0
        self.curve = limits.Curve(order, self.rates, self.shape.active_parameters)
        self.waited = 0.0
        wanted = config.evaluate
        self.sample = (
            world.decide(lambda: evaluate.choose(opened, wanted.documents, wanted.seed))
            if wanted.documents
            else None
        )
        on_gpu = world.device.type == "cuda"
        name = torch.cuda.get_device_name(world.device) if on_gpu else "CPU"
        self.throughput = Throughput(
            self.shape,
            name,
            str(self.dtype).removeprefix("torch."),
            world.size,
            settle=torch.cuda.synchronize if on_gpu else lambda: None,
        )
        self.teller.say(
            f"{counted(self.shape.parameters, self.shape.active_parameters)} parameters, "
            f"{self.shape.matmul_parameters:,} of them in products; "
            f"{world.size} × {name}, {str(self.dtype).removeprefix('torch.')}; {order.steps:,} steps, "
            f"{order.tokens(order.steps):,} tokens"
        )
        preflight.say_of_shape(self.shape, config.objective.name == "masked", self.teller)
        for line in optim.describe(optim.groups(self.bare, settings)):
            self.teller.say(f"  {line}")

    def go(self, resumed: int | None) -> dict[str, Any]:
        """Train from the present state to the end of the run; `resumed` is what `begin` returned."""
        # Of a tokenizer that loses text, bits per byte would be too low.
        exact = self.opened.lost.nothing and self.objective.scored_in_bits
        bytes_per_token = metrics.bytes_per_token(self.opened.manifest) if exact else None
        steps, config = self.order.steps, self.config
        with ExitStack() as stack:
            self.metrics = stack.enter_context(self._open_metrics(resumed))
            self.line = stack.enter_context(
                metrics.Line(steps, self.order.tokens(steps), bytes_per_token, self.teller)
            )
            if self.mirror is not None:
                stack.enter_context(self.mirror)  # its last upload
            stack.enter_context(self.checkpoints)  # finish the checkpoint being written, whatever happens
            stop = stack.enter_context(Stop())
            stack.enter_context(collector.paused())
            loader = stack.enter_context(self.loader())
            for batches in loader.steps(self.step, steps):
                done, rate = self.advance(batches)
                self._report(done, rate, loader)
                if self.loop.guard.rollback:
                    self._roll_back(done)
                last = self.step == steps
                if self.sample and (last or _due(self.step, config.evaluate.every)):
                    self._evaluate(self.sample)
                stopping = self.world.agree(stop.requested)
                if last or stopping or _due(self.step, config.checkpoint.every):
                    self._save()
                if stopping and not last:
                    self.checkpoints.wait()
                    stopped = StoppedError(stop.signal or signal.SIGTERM, self.step)
                    status = 128 + stopped.signal
                    raise stopped if self.world.first else ElsewhereError(str(stopped), status)
            self.checkpoints.wait()
        if not self.world.first:
            return {}
        logged = metrics.read(self.folder / metrics.FILE)
        return finished(self.order, self.shape, self.throughput, self.sample, logged)

    def advance(self, batches: Sequence[Batch]) -> tuple[Step, float]:
        """Train one step; return its result, and its share of the peak learning rates."""
        if self.step and self.order.locate(self.step)[0] != self.order.locate(self.step - 1)[0]:
            self.loop.guard.forget()  # of other windows, the norms are others
        rate = self.rates.step(self.order.tokens(self.step), self.order.tokens(self.step + 1))
        if self.config.model.dropout:  # a resumed run draws what the run without a stop would have drawn
            torch.manual_seed(derive(self.config.seed, "dropout", self.step, self.world.rank) >> 1)
        self.bare.rope = schedule.rope(self.config, self.step + 1)
        optim.set_momentum(self.loop.optimizers, schedule.momentum(self.config.optimizer, self.step))
        try:
            done = self.loop.step(batches, rate)
        except RuntimeError as error:  # also torch's OutOfMemoryError
            if not preflight.out_of_memory(error):
                raise
            raise ConfigError(preflight.too_large(self.config.run, batches)) from None
        self.step += 1
        return done, rate

    def begin(self, branch: Branch | None) -> int | None:
        """Load the checkpoint to start from; return its step if it belongs to this run."""
        latest = self.world.decide(self.checkpoints.latest)
        if latest is not None:
            self.load(self.checkpoints, latest)
            self.teller.say(f"resumed after step {latest:,}")
        elif branch is not None:
            self.load(_checkpoints(branch.folder, self.config, self.world), branch.step)
            self.teller.say(f"starts from step {branch.step:,} of {branch.folder}")
        return latest

    def load(self, checkpoints: Checkpoints, step: int) -> None:
        """Load the state after `step` steps; DatasetError if the data before it are not this run's."""
        expected = tokens.fingerprint(self.opened, self.order, step)
        self.world.decide(lambda: tokens.check(checkpoints.fact(step, "fingerprint"), expected))
        checkpoints.load(step, self._state())
        self.step = step

    def _save(self) -> None:
        with self.throughput.excluded():
            facts = {"fingerprint": tokens.fingerprint(self.opened, self.order, self.step)}
            self.checkpoints.save(self.step, self._state(), facts)
            gc.collect()

    def _state(self) -> dict[str, Any]:
        loop = self.loop
        state = {"model": self.bare, "optimizers": loop.optimizers, "guard": loop.guard}
        return state if loop.ema is None else {**state, "ema": loop.ema}

    def _roll_back(self, done: Step) -> None:
        """Load the weights of the last checkpoint before the bad steps; continue with the next data.

        Before the first checkpoint, norms that are finite but stay high are accepted as usual.
        """
        self.checkpoints.wait()
        patience = self.config.optimizer.patience
        latest = self.world.decide(lambda: self._way_back(done))
        if latest is None:
            self.loop.guard.forget()
            return
        self.checkpoints.load(latest, self._state())
        self.loop.guard.rolled_back(latest)
        self.metrics.write("rollback", self.step, {"to": latest})
        self.teller.say(
            f"step {self.step:,}: {patience} bad steps in a row; loaded the weights of step {latest:,}, "
            "continuing with new data"
        )

    def _way_back(self, done: Step) -> int | None:
        """Return the step of the checkpoint to load, None without one; ConfigError if it would not help."""
        steps, patience = self.checkpoints.steps(), self.config.optimizer.patience
        if not steps and done.decision.skip == "outlier":
            return None
        if not steps:
            raise ConfigError(
                f"the last {patience} steps up to {self.step:,} were skipped, and there is no "
                "checkpoint to go back to: lower optimizer.lr, or lengthen schedule.warmup"
            )
        # Checkpoints saved since the first bad step hold the suspect weights.
        latest = max((step for step in steps if step <= self.step - patience), default=steps[-1])
        if self.loop.guard.hopeless(latest):
            raise ConfigError(
                f"step {self.step:,}: {patience} steps in a row were skipped ({done.decision.skip}: loss "
                f"{done.decision.loss:.4g}, gradient norm {done.decision.norm:.4g}), and going back to the "
                f"checkpoint of step {latest:,} has not helped: lower optimizer.lr or lengthen "
                "schedule.warmup in a new run, from an earlier checkpoint with --branch RUN@STEP"
            )
        return latest

    def _report(self, done: Step, rate: float, loader: Loader) -> None:
        length = self.order.phases[self.order.locate(self.step - 1)[0]].length
        waited = loader.waited - self.waited
        self.throughput.step(done.tokens, done.attended, length, waited, done.encoded)
        self.waited = loader.waited
        speed, decision = self.throughput.recent(), done.decision
        self.metrics.write(
            "train",
            self.step,
            {
                "loss": decision.loss,
                "norm": decision.norm,
                "rate": rate,
                "targets": done.targets,
                "tokens": self.order.tokens(self.step),
                "skipped": decision.skip,
                "tokens_per_second": speed.tokens_per_second,
                "tflops": speed.tflops,
                "mfu": speed.mfu,
                "mfu_full": speed.mfu_full,
                "waited": speed.waited,
            },
        )
        self.line.update(self.step, self.order.tokens(self.step), decision.loss, speed)

    def _evaluate(self, sample: evaluate.Sample) -> None:
        """Score the validation documents with the weights, and with their average if there is one."""
        with self.throughput.excluded():
            self._score(sample, "evaluation")
            if self.loop.ema is not None:
                with self.loop.ema.swapped():
                    self._score(sample, "evaluation_ema")
            if self.loop.balance is not None:
                self.metrics.write("experts", self.step, self.loop.balance.numbers())

    def _score(self, sample: evaluate.Sample, kind: str) -> None:
        length = self.config.data.length
        if not self.objective.scored_in_bits:
            hidden = masked_score.score(
                self.loop.model, sample, length, self.objective, self.world.device, self.world
            )
            part, told = masked_score.NAMES[self.objective.name]
            self.metrics.write(f"{kind}_{part}", self.step, {"scores": asdict(hidden)})
            self.teller.say(f"step {self.step:,}: {hidden.nats:.4f} nats for each {told}")
            return
        found = evaluate.evaluate(self.loop.model, sample, length, self.world.device, self.world)
        scores = {score.name: asdict(score) for score in found.scores}
        self.metrics.write(kind, self.step, {"documents": sample.digest, "scores": scores})
        self.line.evaluated(found.total.bits_per_byte, found.total.exact)
        if kind != "evaluation" or not self.world.first:
            return
        if ahead := self.curve.add(self.step, found.total.bits_per_byte):
            self.metrics.write("outlook", self.step, {"outlook": ahead.as_dict()})
            self.teller.say(f"step {self.step:,}: {ahead}")

    def show(self) -> None:
        """Print a continuation of the configured prompt; only with one rank."""
        prompt = self.config.evaluate.prompt
        if not prompt or self.world.size > 1 or not self.objective.scored_in_bits:
            return
        pieces = tokens.model(self.opened)
        sampling = Sampling(tokens=64, temperature=0.8, top_p=0.95)
        bos = self.opened.bos is not None
        with torch.compiler.set_stance("force_eager"):  # each token has its own shapes
            text = complete(self.bare, pieces, [prompt], sampling, bos)[0]
        self.teller.say(f"\n{prompt}{text}\n")

    def loader(self) -> Loader:
        """Open the loader of this rank's micro-batches."""
        data, world = self.config.data, self.world
        return Loader(
            self.opened,
            self.order,
            rank=world.rank,
            world=world.size,
            micro_batch=self.config.run.micro_batch,
            cache=data.cache,
            cache_gb=data.cache_gb,
            pin=world.device.type == "cuda",
        )

    def _open_metrics(self, resumed: int | None) -> metrics.Metrics:
        if not self.world.first:
            return metrics.Metrics()
        facts = self.config.model_dump(mode="json")
        opened = metrics.open_metrics(self.folder, self.config.run.log, resumed, facts, self.teller.say)
        for line in metrics.read(self.folder / metrics.FILE, "evaluation"):
            self.curve.add(line["step"], line["scores"]["all"]["bits_per_byte"])
        return opened


def _checkpoints(folder: Path, config: Config, world: World, mirror: Mirror | None = None) -> Checkpoints:
    settings = config.checkpoint
    return Checkpoints(folder / CHECKPOINTS, settings.keep, settings.keep_every, world, mirror)


def _mirror(folder: Path, config: Config, teller: Teller) -> Mirror | None:
    url = config.checkpoint.mirror
    return Mirror(folder, url, Checkpoints(folder / CHECKPOINTS), teller.say) if url else None


def _checked(folder: Path, recorded: dict[str, Any], mirror: Mirror | None) -> dict[str, Any] | None:
    """Refuse a folder of another run; return the result if this one is finished. On the first rank."""
    if mirror is not None:
        mirror.fetch()
    identity.check(folder, recorded)
    return identity.result(folder)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
