"""A training run: token shards and a configuration become checkpoints, metrics and a result."""

from __future__ import annotations

import gc
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from corpus import files
from corpus.errors import ConfigError, ElsewhereError, StoppedError
from corpus.plural import plural
from corpus.teller import SILENT, Teller
from trainer import (
    collector,
    device,
    evaluate,
    identity,
    limits,
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
from trainer.report import Queued, Report
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
        if config.run.fp8:
            from trainer import float8  # here, as few runs use it

            changed = float8.convert(self.bare.blocks)
            self.teller.say(f"{plural(changed, 'linear layer')} in 8-bit floats")
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
            Guard(settings.clip, settings.outlier, settings.patience, world.device),
            Ema(self.bare, settings.ema) if settings.ema else None,
            world,
            self.objective,
            Balance(self.bare, config.model.experts.balance) if self.shape.experts else None,
        )
        self.mirror = mirror
        self.checkpoints = _checkpoints(folder, config, world, mirror)
        self.step = 0
        self.curve = limits.Curve(order, self.rates, self.shape.active_parameters)
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
        preflight.say_of_repeats(config, order, self.teller)
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
            opened = stack.enter_context(self._open_metrics(resumed))
            line = stack.enter_context(
                metrics.Line(steps, self.order.tokens(steps), bytes_per_token, self.teller)
            )
            report = Report(
                config,
                self.order,
                self.loop,
                self.world,
                opened,
                line,
                self.teller,
                self.throughput,
                self.curve,
                self.step,
            )
            if self.mirror is not None:
                stack.enter_context(self.mirror)  # its last upload
            stack.enter_context(self.checkpoints)  # finish the checkpoint being written, whatever happens
            stop = stack.enter_context(Stop())
            stack.enter_context(collector.paused())
            loader = stack.enter_context(self.loader())
            for batches in loader.steps(self.step, steps):
                done, rate = self.advance(batches)
                report.add(Queued(self.step, done, rate, loader.waited, self.throughput.clock()))
                last = self.step == steps
                self._settle(report, but=1)
                if last:
                    self._settle(report, but=0)
                evaluating = last or _due(self.step, config.evaluate.every)
                stopping = self.world.agree(stop.requested)
                saving = last or stopping or _due(self.step, config.checkpoint.every)
                if evaluating or saving:
                    report.read(but=0)
                if evaluating and self.sample:
                    report.evaluate(self.sample)
                if saving:
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
        """Queue one step; return its result, and its share of the peak learning rates."""
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

    def _settle(self, report: Report, *, but: int) -> None:
        """Read the steps so far, all but the last `but`; go back to a checkpoint if they were bad.

        That is decided one step late, by the steps that were read then, whatever has been read before: a run
        that is killed or stopped in between goes back at the same step.
        """
        report.read(but=but)
        guard = self.loop.guard
        if guard.rollback:
            before = report.step - guard.row
            report.read(but=0)  # what else was queued is lost
            self._roll_back(before, report)

    def _roll_back(self, before: int, report: Report) -> None:
        """Load the weights of the last checkpoint up to step `before`; continue with the next data.

        Before the first checkpoint, norms that are finite but stay high are accepted as usual.
        """
        self.checkpoints.wait()
        guard = self.loop.guard
        latest = self.world.decide(lambda: self._way_back(before))
        if latest is None:
            guard.rolled_back(None)
            return
        self.checkpoints.load(latest, self._state())
        guard.rolled_back(latest)
        report.metrics.write("rollback", self.step, {"to": latest})
        self.teller.say(
            f"step {self.step:,}: {self.config.optimizer.patience} bad steps in a row; loaded the weights of "
            f"step {latest:,}, continuing with new data"
        )

    def _way_back(self, before: int) -> int | None:
        """Return the step of the checkpoint to load, None without one; ConfigError if it would not help."""
        steps, patience, bad = self.checkpoints.steps(), self.config.optimizer.patience, self.loop.guard.bad
        if not steps and bad.skip == "outlier":
            return None
        if not steps:
            raise ConfigError(
                f"{patience} steps in a row up to {self.step:,} were skipped, and there is no "
                "checkpoint to go back to: lower optimizer.lr, or lengthen schedule.warmup"
            )
        # Checkpoints saved since the first bad step hold the suspect weights.
        latest = max((step for step in steps if step <= before), default=steps[-1])
        if self.loop.guard.hopeless(latest):
            raise ConfigError(
                f"step {self.step:,}: {patience} steps in a row were skipped ({bad.skip}: loss "
                f"{bad.loss:.4g}, gradient norm {bad.norm:.4g}), and going back to the "
                f"checkpoint of step {latest:,} has not helped: lower optimizer.lr or lengthen "
                "schedule.warmup in a new run, from an earlier checkpoint with --branch RUN@STEP"
            )
        return latest

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
