"""The commands of the trainer, one function each; heavy imports are inside the functions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commands.scale import app as scaling_app
from commands.terminal import (
    TRAIN,
    AsJson,
    Group,
    Terminal,
    console,
    fail,
    local,
    place,
    reported,
    say,
    shortened,
)
from corpus.errors import NotThereError

if TYPE_CHECKING:
    from trainer.load_run import LoadedRun
    from trainer.selfcheck import Repeated
    from trainer.tasks.contamination import Held
    from trainer.tasks.questions import Task

app = typer.Typer()
data_app = typer.Typer(cls=Group, help="Show what a training run reads, and when.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel=TRAIN)

Corpus = Annotated[
    str, typer.Argument(metavar="CORPUS", parser=place, help="A build's output folder with token shards.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", parser=local, help="A training run's folder.")]
Preset = Annotated[
    str, typer.Option(metavar="NAME_OR_FILE", help="A packaged configuration (tiny, 124m …), or a TOML file.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set data.batch=8."),
]
Step = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", show_default="the latest", help="The checkpoint of this step."),
]
Ema = Annotated[bool, typer.Option("--ema", help="Use the moving average of the weights.")]
OnDevice = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="auto: the GPU where there is one.")
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"], typer.Option("--dtype", help="auto: bfloat16 on a GPU.")
]
Last = Annotated[int, typer.Option(min=1, metavar="N", help="Average the weights of the last N checkpoints.")]


@app.command(rich_help_panel=TRAIN)
def train(
    corpus: Corpus,
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="RUN", parser=local, help="The run's folder.")
    ],
    preset: Preset = "tiny",
    parameters: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Train a model of about N parameters (that a token is multiplied by) in place of the "
            "preset's, with the batch, rates and decay that follow.",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--tokens",
            min=1,
            metavar="N",
            show_default="20 for each of --parameters",
            help="Train on N tokens, with the batch, rates and decay that follow.",
        ),
    ] = None,
    overrides: Set = None,
    branch: Annotated[
        str | None,
        typer.Option(metavar="RUN@STEP", help="Start from this checkpoint of another run."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Afterwards, repeat a few steps and compare losses.")
    ] = False,
) -> None:
    """Train a model on token shards; run the same command again to resume.

    Under torchrun it uses all ranks: torchrun --nproc-per-node 8 -m derlem train CORPUS -o RUN.
    """
    from corpus import places

    with _one_of_several(), reported():
        places.folder(corpus, "CORPUS")
        places.writable(str(folder), "--output")
        from trainer import config, identity, recipe, run, selfcheck, tokens
        from trainer.load_run import described

        if parameters is not None or budget is not None:
            vocabulary = tokens.open(corpus).vocabulary
            found = recipe.beside(preset, overrides or (), vocabulary, parameters, budget)
            if os.environ.get("RANK", "0") == "0":
                say(f"recipe: {' '.join(f'--set {each}' for each in found)}")
            overrides = [*found, *(overrides or ())]
        loaded = config.load(preset, overrides or ())
        begin = identity.branch(branch) if branch else None
        if check:
            selfcheck.one_process()
        result = run.train(corpus, folder, loaded, Terminal(), begin)
        if not result:  # the first rank reports
            return
        if found := result.get("evaluation", {}).get("all"):
            say(f"bits per byte: {described(found)}")
        if check:
            _say_repeated(selfcheck.repeat(corpus, folder, loaded))
        say(f"done: {shortened(str(folder))}\nnext: derlem generate {shortened(str(folder))} --prompt …")


@contextmanager
def _one_of_several() -> Iterator[None]:
    """End a process that torchrun started at once after an error; the others may wait for it elsewhere."""
    try:
        yield
    except Exception as error:
        if "RANK" in os.environ:
            from trainer import world

            world.leave(error)
        raise


def _say_repeated(found: list[Repeated]) -> None:
    """Report whether repeated steps gave the losses that were logged."""
    worst = max(each.difference for each in found)
    steps = f"steps {found[0].step:,} to {found[-1].step:,}, repeated from a checkpoint"
    if worst == 0:
        say(f"resume check: {steps}: the same losses, bit for bit")
    elif worst < 1e-3:
        say(
            f"resume check: {steps}: losses differ by at most {worst:.1e}, as expected from rounding on a GPU"
        )
    else:
        fail(f"resume check: {steps}: losses differ by {worst:.1e}: this run would not resume as it was")


@app.command(rich_help_panel=TRAIN)
def evaluate(
    folder: RunFolder,
    corpus: Annotated[
        str | None,
        typer.Argument(
            metavar="CORPUS",
            parser=place,
            show_default="the run's own, unless --tasks or --text",
            help="Token shards, or a build's folder.",
        ),
    ] = None,
    documents: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of documents of each stream.")
    ] = 200,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME_OR_PATH", help="turkish, a folder of TurBLiMP, or JSON lines; repeatable."
        ),
    ] = None,
    texts: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="Score this text by token; repeatable.")
    ] = None,
    step: Step = None,
    ema: Ema = False,
    last: Last = 1,
    device: OnDevice = "auto",
    dtype: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Score a run's model: on the validation documents of a corpus, on tasks, on texts.

    The corpus may be any that was made with the same tokenizer. Tasks are minimal pairs, or prompts with
    options; they are judged by the probabilities of the options, and each is looked for in the run's corpus
    (docs/tasks.md).
    """
    from corpus import places

    with reported():
        places.folder(str(folder), "RUN")
        if corpus is not None:
            places.folder(corpus, "CORPUS")
        from commands.render import scores
        from commands.render import tasks as shown
        from trainer import evaluate as scoring
        from trainer import masked_score, tokens
        from trainer.load_run import load_run
        from trainer.metrics import finite
        from trainer.tasks import judge, likelihood, questions

        asked = [questions.load(each) for each in tasks or ()]
        if not all(texts or ()):
            fail("--text: expected a text of one character or more", status=2)
        model = load_run(folder, step, ema=ema, last=last, device=device, dtype=dtype)
        found: dict[str, object] = {}
        if corpus is not None or not (asked or texts):
            opened = tokens.open(corpus or model.corpus)
            tokens.same_tokenizer(opened, model.tokenizer)
            sample = scoring.choose(opened, documents, model.config.evaluate.seed)
            on, length = model.model.embedding.weight.device, model.config.data.length
            if model.encoder or model.spans:
                hidden = masked_score.score(model.model, sample, length, model.objective(), on)
                part, told = masked_score.NAMES[model.config.objective.name]
                found[part] = finite(asdict(hidden))
                if not as_json:
                    print(f"{hidden.nats:.4f} nats for each {told}, {hidden.tokens:,} tokens")
            else:
                scored = scoring.evaluate(model.decoder(), sample, length, on)
                found |= {score.name: finite(asdict(score)) for score in scored.scores}
                if not as_json:
                    scores.render_scores(scored, console(stderr=False))
        for task in asked:
            judged = judge.judge(model, task, _held(model, task))
            found[f"task {task.name}"] = judged.as_dict()
            if not as_json:
                shown.render_judged(judged, console(stderr=False))
        for text in texts or ():
            read = likelihood.by_token(model, text)
            found[f"text {text}"] = read.as_dict()
            if not as_json:
                shown.render_text(read, console(stderr=False))
        if as_json:
            print(json.dumps(found, ensure_ascii=False, allow_nan=False))


def _held(model: LoadedRun, task: Task) -> Held | None:
    """Return what the corpus of a run holds of a task; None, told to the user, where it has no texts now."""
    from trainer.tasks import contamination

    try:
        return contamination.look(model.folder, model.corpus, task)
    except NotThereError as error:
        say(f"what the run's corpus holds of {task.name} is not known: {error}")
        return None


@app.command(rich_help_panel=TRAIN)
def generate(
    folder: RunFolder,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", metavar="TEXT", help="Text to continue; repeatable.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a sampling key, e.g. --set temperature=0.7."
        ),
    ] = None,
    step: Step = None,
    ema: Ema = False,
    last: Last = 1,
    device: OnDevice = "auto",
    dtype: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Continue prompts with a run's model: by sampling, greedily, by beam or contrastive search.

    A model of span corruption writes the spans that a prompt marks <|reserved_0|>, <|reserved_1|> …
    """
    from corpus import places

    with reported():
        places.folder(str(folder), "RUN")
        from corpus import settings
        from trainer.generate import complete, stream
        from trainer.load_run import load_run
        from trainer.marked import Marked
        from trainer.sampling import Sampling

        where = settings.named("derlem generate", overrides or ())
        sampling = settings.parse(Sampling, settings.overlay({}, overrides or ()), where)
        model = load_run(folder, step, ema=ema, last=last, device=device, dtype=dtype)
        decoder, pieces = model.model if model.spans else model.decoder(), model.tokenizer
        if model.spans:
            pieces = Marked(pieces.model)
        given = prompts or [""]
        if len(given) == 1 and not as_json:
            print(given[0], end="", flush=True)
            made = ""
            for piece in stream(decoder, pieces, given[0], sampling, model.bos):
                print(piece, end="", flush=True)
                made += piece
            print()
            texts = [made]
        else:
            texts = complete(decoder, pieces, given, sampling, model.bos)
            for prompt, text in zip(given, texts, strict=True):
                as_line = json.dumps({"prompt": prompt, "text": text}, ensure_ascii=False)
                print(as_line if as_json else f"{prompt}{text}\n")
        _say_beyond(model, [f"{prompt}{text}" for prompt, text in zip(given, texts, strict=True)])


def _say_beyond(model: LoadedRun, texts: list[str]) -> None:
    """Warn if a text is longer than any window that the model was trained on."""
    longest = max(len(model.tokenizer.encode(text)) for text in texts)
    if longest > model.window:
        say(
            f"this text has {longest:,} tokens, but the model was trained on windows of {model.window:,}: "
            f"expect worse text after the first {model.window:,}; --set tokens=N makes fewer"
        )


@app.command(rich_help_panel=TRAIN)
def export(
    folder: RunFolder,
    output: Annotated[Path, typer.Argument(metavar="DIR", parser=local, help="The directory to write.")],
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="float32 or bfloat16.")] = "bfloat16",
    step: Step = None,
    ema: Ema = False,
    last: Last = 1,
) -> None:
    """Write a Hugging Face directory that transformers, vLLM and others load as they are."""
    from corpus import places

    with reported():
        places.folder(str(folder), "RUN")
        places.writable(str(output), "DIR")
        if dtype not in ("float32", "bfloat16"):
            fail(f"--dtype {dtype}: expected float32 or bfloat16", status=2)
        from trainer.export import export as write
        from trainer.load_run import load_run

        model = load_run(folder, step, ema=ema, last=last, device="cpu", dtype="float32")
        write(
            model.exported(),
            model.tokenizer,
            output,
            length=model.window,
            dtype="float32" if dtype == "float32" else "bfloat16",
            card=model.facts(),
            bos=model.bos,
            encoder=model.encoder,
        )
        decoder = "AutoModelForSeq2SeqLM" if model.spans else "AutoModelForCausalLM"
        loader = "AutoModelForMaskedLM" if model.encoder else decoder
        say(f"wrote {output}: {loader}.from_pretrained({str(output)!r})")


@data_app.command()
def order(
    corpus: Annotated[
        str,
        typer.Argument(metavar="CORPUS_OR_RUN", parser=place, help="Token shards, or the folder of a run."),
    ],
    step: Annotated[int, typer.Option(min=0, metavar="N", help="The training step, counted from 0.")],
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_FILE", show_default="tiny", help="The configuration of a planned run."),
    ] = None,
    overrides: Set = None,
    rank: Annotated[int, typer.Option(min=0, metavar="N", help="Show the rows of this rank.")] = 0,
    world: Annotated[int, typer.Option(min=1, metavar="N", help="Number of ranks.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Print the documents that a training step reads, row by row: of a run, or of one that is planned."""
    from corpus import places
    from corpus.errors import ConfigError

    with reported():
        places.folder(corpus, "CORPUS_OR_RUN")
        from commands.render.order import render_order
        from trainer import config, identity, tokens
        from trainer.trace import trace

        held = identity.read(Path(corpus))
        if held is not None and (preset is not None or overrides):
            fail(f"{corpus} is a run, and has a configuration: omit --preset and --set", status=2)
        if held is None:
            opened = tokens.open(corpus)
            loaded = tokens.sized(config.load(preset or "tiny", overrides or ()), opened)
        else:
            opened, loaded = tokens.open(held["corpus"]), identity.config(Path(corpus), held)
        try:
            rows = trace(opened, tokens.order(loaded, opened), step, rank, world)
        except (
            ValueError
        ) as error:  # weights or lengths that do not fit these streams; a rank outside the world
            raise ConfigError(str(error)) from None
        if as_json:
            for row in rows:
                print(json.dumps(row.as_dict(), ensure_ascii=False))
        else:
            render_order(rows, console(stderr=False))


app.add_typer(scaling_app)  # its commands follow
