"""Train one run on the ranks this process is part of: `python -m taixue.pretrain.train CONFIG [--key value
...]`.

main() is the table of contents of a training run; each line of it is a module beside this one.
"""

import logging
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from taixue import UserError
from taixue.base import files
from taixue.base.load import load, write_resolved
from taixue.data_tools.shards.manifest import read_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.parallel import group
from taixue.parallel.agree import agreed, from_main
from taixue.parallel.mesh import AXES, Layout
from taixue.parallel.ranks import Ranks, device_number, from_environment
from taixue.parallel.runtime import Runtime
from taixue.parallel.stop import StopRequest

from . import checkpoint
from .config.changes import differences
from .config.schema import RunConfig
from .config.validate import run_folder, validate
from .data import Loader, TrainingData, check_digests, open_data
from .models import ModelSpec, model_spec
from .objectives import Objective, build_objective
from .objectives.facts import facts_of
from .observe import Meter, SinkStart, evaluated, open_sinks, show_messages
from .optim import LossScaler, build_optimizer
from .run.folder import held
from .run.history import History, Origin, Start
from .run.loop import Loop
from .run.state import TrainState
from .start import first_weights

log = logging.getLogger("taixue")

CONFIG, CHECKPOINTS, PREEMPTED = "config.yaml", "checkpoints", "PREEMPTED"

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
        group.start(ranks, device, run.parallel.timeout_seconds)
        try:
            show_messages(on_main=dist.get_rank() == 0)
            train(run, objective, data, device, stop)
        finally:
            group.stop()


def train(
    run: RunConfig, objective: Objective, data: TrainingData, device: torch.device, stop: StopRequest
) -> None:
    """The run, on the ranks of the started process group, in a folder that no other start uses meanwhile."""
    folder = run_folder(run)
    saving = dist.new_group(backend="gloo", timeout=timedelta(seconds=run.parallel.timeout_seconds))
    with held(folder, saving):
        if run.data.check_digests:
            agreed(saving, lambda: check_digests(run, dist.get_rank(), dist.get_world_size()))
        found = checkpoint.newest(folder / CHECKPOINTS, saving)
        evaluation_due = False
        if found is not None:
            before = agreed(saving, lambda: checkpoint.read_state(found))
            checkpoint.check(before, run, data.fingerprint, str(found))
            evaluation_due = before["evaluation_due"] and not from_main(
                saving, lambda: evaluated(folder, before["step"])
            )
            if before["step"] >= run.steps and not evaluation_due:
                log.info("run %s is finished: %s holds all of its %d steps", run.name, found, run.steps)
                return
        _train(run, objective, data, device, stop, saving, found, evaluation_due)


def _train(
    run: RunConfig,
    objective: Objective,
    data: TrainingData,
    device: torch.device,
    stop: StopRequest,
    saving: dist.ProcessGroup,
    found: Path | None,
    evaluation_due: bool,
) -> None:
    """From the checkpoint `found`, or the beginning, to the end or a request to stop."""
    folder, is_main = run_folder(run), dist.get_rank() == 0
    spec = model_spec(run.model, run.seed, _lengths(objective))
    runtime = build_runtime(run, spec, device)
    optimizer = build_optimizer(run.optimizer, runtime.named_parameters())
    scaler = LossScaler() if run.compute.precision == "fp16" else None
    facts = facts_of(run.objective, objective)
    state = TrainState(run, runtime, optimizer, scaler, data.fingerprint, facts, evaluation_due)
    start = 0
    if found is not None:
        start = state.restore(found, saving)
        origin = Origin(kind="checkpoint", path=found.name, step=start)
        log.info("resuming run %s at step %d of %d from %s", run.name, start, run.steps, found)
    else:
        origin = first_weights(run, runtime, saving)
        log.info(
            "starting run %s%s", run.name, f" from the weights in {run.init_from}" if run.init_from else ""
        )

    layout = ", ".join(f"{axis} {size}" for axis, size in zip(AXES, runtime.mesh.devices.shape, strict=True))
    size = f"{_parameters(spec):,} parameters; {run.batch.global_size} samples x {objective.raw_length} tokens a step"
    log.info("%s; mesh: %s", size, layout)

    from_main(saving, lambda: _claim(folder, run))
    told = SinkStart(run.name, folder, start, run.steps, run.model_dump(mode="json"))
    sinks = agreed(saving, lambda: open_sinks(run.logging, told, is_main))
    loader = Loader(
        data, run.batch.global_size, runtime.mesh.dp_rank, runtime.mesh.dp_size, start, run.data.prefetch
    )
    saver = checkpoint.Saver(folder / CHECKPOINTS, run.checkpoint.keep, run.checkpoint.asynchronous, saving)
    history = History(folder, (lambda: _started(state, origin, found)) if is_main else None)
    loop = Loop(state, data, loader, saver, sinks, _meter(run, objective, spec, device), stop)
    try:
        if run.dry_run and start < run.steps:
            loop.dry_run(start)
        done = loop.run(start)
        saver.finish()
    except UserError as error:
        history.failed(loop.done, error)
        saver.wait()  # what was good before training diverged, and may still be on its way to the disk
        raise
    except BaseException as error:
        history.failed(loop.done, error)
        saver.wait(LAST_SAVE_SECONDS)  # the same, but the ranks it needs may be gone
        raise
    finally:
        loader.close()
        for sink in sinks:
            sink.close()
    if done < run.steps or state.evaluation_due:
        log.warning("stopped by %s after step %d of %d; start it again to go on", stop.name, done, run.steps)
        history.stopped(done, stop.name)
        if is_main:
            files.write(folder / PREEMPTED, files.readable_json({"step": done, "signal": stop.name}))
    else:
        history.finished(done)
        log.info("run %s is finished: %d steps, in %s", run.name, run.steps, folder)


def build_runtime(run: RunConfig, spec: ModelSpec, device: torch.device) -> Runtime:
    """This rank's share of the model, in the layout and precision of the run. Needs the process group."""
    compute, parallel = run.compute, run.parallel
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    rest = dist.get_world_size() // (parallel.pp * parallel.dp_replicate * parallel.tp)
    layout = Layout(
        pp=parallel.pp,
        dp_replicate=parallel.dp_replicate,
        dp_shard=parallel.dp_shard or rest,
        tp=parallel.tp,
        sequence_parallel=parallel.sequence_parallel,
        schedule=parallel.pipeline_schedule,
    )
    half = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[compute.precision]
    return Runtime(
        spec,
        layout,
        device,
        micro_batches=run.batch.global_size // (layout.dp_replicate * layout.dp_shard * run.batch.micro_size),
        dtype=torch.float64 if compute.float64 else torch.float32,
        compute_dtype=half,
        activation_checkpointing=compute.activation_checkpointing,
        compile_blocks=compute.compile,
        dropout=run.model.dropout > 0,
    )


def choose_device(run: RunConfig, ranks: Ranks | None) -> torch.device:
    """The device of this rank. Raises UserError if it is asked for and not there."""
    wanted = run.compute.device
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    number = device_number(ranks, count := torch.cuda.device_count())
    if number is None:
        raise UserError(
            f"compute.device: {wanted}, but {ranks.local_world if ranks else 1} ranks were started on a machine with "
            f"{count} CUDA devices: start one rank per device, or set compute.device to cpu"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def _lengths(objective: Objective) -> tuple[int, int]:
    """Source and target length of a sample; target 0 for an encoder alone."""
    shapes = objective.shapes
    return shapes["input_ids"][0], shapes.get("decoder_input_ids", (0,))[0]


def _parameters(spec: ModelSpec) -> int:
    """Size of the whole model, wherever its parts are."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in spec.build(None).parameters())


def _meter(run: RunConfig, objective: Objective, spec: ModelSpec, device: torch.device) -> Meter:
    return Meter(
        batch_size=run.batch.global_size,
        raw_length=objective.raw_length,
        forward_flops=sum(spec.layer_costs),
        world=dist.get_world_size(),
        device=device,
        precision=run.compute.precision,
    )


def _started(state: TrainState, origin: Origin, found: Path | None) -> Start:
    """This start, for the history; `found`: the checkpoint it continues."""
    run, devices = state.run, state.runtime.mesh.devices
    return Start(
        origin=origin,
        config=run.model_dump(mode="json"),
        changes=differences(checkpoint.read_state(found)["config"], run) if found else {},
        ranks=dist.get_world_size(),
        layout=dict(zip(AXES, devices.shape, strict=True)),
        fingerprint=state.fingerprint,
        tokenizer=read_corpus(Path(run.data.sources[0].corpus)).tokenizer.sha256,  # found equal to the run's
        objective=state.objective,
    )


def _claim(folder: Path, run: RunConfig) -> None:
    """Make the run folder this start's own: the resolved configuration in it, no mark of an earlier stop."""
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    write_resolved(run, folder / CONFIG)
    (folder / PREEMPTED).unlink(missing_ok=True)


def command(words: Sequence[str]) -> int:
    """What `python -m taixue.pretrain.train` does with its arguments; returns the exit status."""
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
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
