"""Train one run on the ranks this process is part of: `python -m taixue.pretrain.train CONFIG [--key value ...]`.

The table of contents of a training run: main() is what this process is, train() what the ranks do together; each line
of them is a module beside this one.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from taixue.base import UserError
from taixue.base.load import load
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.parallel import group
from taixue.parallel.agree import agreed, from_main
from taixue.parallel.mesh import AXES
from taixue.parallel.ranks import from_environment
from taixue.parallel.stop import StopRequest

from . import checkpoint
from .config.changes import differences
from .config.schema import RunConfig, recorded_run
from .config.validate import run_folder, validate
from .data import Data, Loader, check_digests, open_data
from .models import ModelSpec, model_spec
from .models.family import Lengths
from .objectives import Objective, build_objective
from .objectives.summary import facts_of
from .observe import Meter, Sink, SinkStart, evaluated, open_sinks, show_messages
from .run.build import build_engine, choose_device, layout_of
from .run.contents import CHECKPOINTS
from .run.folder import claim, held, mark_preempted
from .run.history import History, Origin, Start
from .run.loop import Loop
from .run.predictions import max_predictions
from .run.rate_jump import jump
from .run.state import TrainState
from .start import first_weights

log = logging.getLogger("taixue")

LAST_SAVE_SECONDS = 60.0
"""How long a run that ends with an error waits for a save that is under way."""


def main(run: RunConfig) -> None:
    """Start or continue a run until it is finished or asked to stop; both return normally.

    A run that was asked to stop leaves the file PREEMPTED in its folder. Raises UserError.
    """
    with StopRequest() as stop:
        ranks = from_environment()
        tokenizer = load_tokenizer(run.data.tokenizer)
        validate(run, ranks.world if ranks else 1, tokenizer.vocab_size)
        objective = build_objective(run.objective, tokenizer)
        data = open_data(run, tokenizer, objective)
        device = choose_device(run, ranks)
        with group.joined(ranks, device, run.parallel.timeout_seconds):
            show_messages(on_main=dist.get_rank() == 0)
            train(run, objective, data, device, stop)


def train(run: RunConfig, objective: Objective, data: Data, device: torch.device, stop: StopRequest) -> None:
    """The run, on the ranks of the started process group, in a folder that no other start uses meanwhile."""
    folder, is_main = run_folder(run), dist.get_rank() == 0
    saving = dist.new_group(backend="gloo", timeout=timedelta(seconds=run.parallel.timeout_seconds))
    with held(folder, saving):
        if run.data.check_digests:
            agreed(saving, lambda: check_digests(run, dist.get_rank(), dist.get_world_size()))
        found = checkpoint.newest(folder / CHECKPOINTS, saving)
        before, due = (0, False) if found is None else _done(found, run, data, saving)
        if found is not None and before >= run.steps and not due:
            log.info("run %s is finished: %s holds all of its %d steps", run.name, found, run.steps)
            return

        if found is not None:
            saved = recorded_run(checkpoint.read_state(found)["config"], found)
            if said := jump(saved, run, before):
                log.warning("%s", said)
        spec = model_spec(run.model, run.seed, _lengths(run, objective))
        engine = build_engine(run, spec, device)
        state = TrainState(run, engine, data.fingerprint, facts_of(run.objective, objective), due)
        origin = _weights(state, spec, found, saving)
        start = origin.step if found is not None else 0
        log.info("%s; %s", _size(run, spec, objective), engine.describe())

        from_main(saving, lambda: claim(folder, run))
        told = SinkStart(run.name, folder, start, run.steps, run.model_dump(mode="json"))
        sinks = agreed(saving, lambda: open_sinks(run.logging, told, is_main))
        saver = checkpoint.Saver(
            folder / CHECKPOINTS, run.checkpoint.keep, run.checkpoint.asynchronous, saving
        )
        size, prefetch = run.batch.global_size, run.data.prefetch
        loader = Loader(data, size, engine.data_rank, engine.data_ranks, start, prefetch)
        started = (lambda: _started(state, origin, found)) if is_main else None
        history = History(folder, started)
        loop = Loop(state, data, loader, saver, sinks, _meter(run, objective, spec, device), stop)
        with _closed(sinks), loader, _saved(saver), _recorded(history, loop):
            if run.dry_run and start < run.steps:
                loop.dry_run(start)
            done = loop.run(start)

        if done == run.steps and not state.evaluation_due:
            history.finished(done)
            log.info("run %s is finished: %d steps, in %s", run.name, run.steps, folder)
            return
        log.warning("stopped by %s after step %d of %d; start it again to go on", stop.name, done, run.steps)
        history.stopped(done, stop.name)
        if is_main:
            mark_preempted(folder, done, stop.name)


def _done(found: Path, run: RunConfig, data: Data, saving: dist.ProcessGroup) -> tuple[int, bool]:
    """Steps of the checkpoint, and whether the evaluation after them was cut short and not made up for since.

    UserError where the run cannot go on from the checkpoint. Collective: gathers on `saving`.
    """
    before = agreed(saving, lambda: checkpoint.read_state(found))
    checkpoint.check(before, run, data.fingerprint, str(found))
    step, due = int(before["step"]), bool(before["evaluation_due"])
    return step, due and not from_main(saving, lambda: evaluated(run_folder(run), step))


def _weights(state: TrainState, spec: ModelSpec, found: Path | None, saving: dist.ProcessGroup) -> Origin:
    """Give the engine the weights the run starts or goes on with; what they are. Collective."""
    run = state.run
    if found is not None:
        start = state.restore(found, saving)
        log.info("resuming run %s at step %d of %d from %s", run.name, start, run.steps, found)
        return Origin(kind="checkpoint", path=found.name, step=start)
    origin = first_weights(run, state.engine, spec, saving)
    source = f" from the weights in {run.init_from}" if run.init_from else ""
    log.info("starting run %s%s", run.name, source)
    return origin


def _started(state: TrainState, origin: Origin, found: Path | None) -> Start:
    """This start, for the history; `found`: the checkpoint it continues."""
    run, layout = state.run, layout_of(state.run)
    return Start(
        origin=origin,
        config=run.model_dump(mode="json"),
        changes=differences(checkpoint.read_state(found)["config"], run) if found else {},
        ranks=dist.get_world_size(),
        layout={axis: getattr(layout, axis) for axis in AXES},
        fingerprint=state.fingerprint,
        tokenizer=load_tokenizer(run.data.tokenizer).sha256,
        objective=state.objective,
    )


@contextmanager
def _recorded(history: History, loop: Loop) -> Iterator[None]:
    """An error that ends the run is the last line of its history."""
    try:
        yield
    except BaseException as error:
        history.failed(loop.done, error)
        raise


@contextmanager
def _closed(sinks: Sequence[Sink]) -> Iterator[None]:
    try:
        yield
    finally:
        for sink in sinks:
            sink.close()


@contextmanager
def _saved(saver: checkpoint.Saver) -> Iterator[None]:
    """Leave with the last save on the disk; on an error with what was good before it, as far as that still can be."""
    try:
        yield
        saver.finish()
    except UserError:
        saver.wait()
        raise
    except BaseException:
        saver.wait(LAST_SAVE_SECONDS)  # the ranks it needs may be gone
        raise


def _lengths(run: RunConfig, objective: Objective) -> Lengths:
    """Those of a sample."""
    shapes = objective.shapes
    target = shapes.get("decoder_input_ids")
    return shapes["input_ids"][0], target[0] if target else max_predictions(run)


def _size(run: RunConfig, spec: ModelSpec, objective: Objective) -> str:
    """How large the whole model and a step are, for a person."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in spec.build(None).parameters())
    return (
        f"{parameters:,} parameters; {run.batch.global_size} samples x {objective.raw_length} tokens a step"
    )


def _meter(run: RunConfig, objective: Objective, spec: ModelSpec, device: torch.device) -> Meter:
    return Meter(
        batch_size=run.batch.global_size,
        raw_length=objective.raw_length,
        forward_flops=sum(spec.layer_costs),
        world=dist.get_world_size(),
        device=device,
        precision=run.compute.precision,
    )


def command(words: Sequence[str]) -> int:
    """What `python -m taixue.pretrain.train` does with its arguments; returns the exit status. A rank that fails beside
    others does not return: its process ends."""
    try:
        if not words:
            raise UserError(
                "expected a configuration: python -m taixue.pretrain.train CONFIG [--key value ...]"
            )
        main(load(RunConfig, words[0], words[1:]))
    except UserError as error:
        ranks = from_environment()
        if ranks is None or ranks.rank == 0:
            print(f"taixue: {error}", file=sys.stderr)
        if group.has_peers():
            group.abandon(2)
        return 2
    except BaseException:
        if not group.has_peers():
            raise
        traceback.print_exc()
        group.abandon(1)
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
