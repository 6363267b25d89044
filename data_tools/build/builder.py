"""`taixue corpus build`: text files -> numbered token shards and corpus.json.

The inputs are cut into input shards by names and sizes alone, and each becomes a train and a validation shard
under temporary names, renamed when finished; <shard>.json comes last and says what it was made from. So a
rerun, after a kill too, makes exactly what is missing or was made from something else, and the
result has the same bytes.

Without deduplication and shuffle that is one pass, and ranks need nothing of each other. Otherwise the work goes
through several passes (see passes/), whose files are in work/ until corpus.json is written; a rank waits
before each pass for what the others still owe to the one before.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console

from taixue.base import UserError
from taixue.base.charts import counted

from ..config import CorpusBuildConfig
from ..passes.cut import WORK_FOLDER, InputShard, plan
from ..passes.write import is_finished
from ..shards import manifest
from ..tokenizer.store import load_tokenizer
from . import leftovers, lock, workers
from .finish import finish
from .needed import Pass, schedule
from .outline import outline
from .progress import Progress

Place = Literal["local", "ray"]
_POLL_SECONDS = (0.05, 2.0)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def build(config: CorpusBuildConfig, rank: int = 0, world: int = 1, on: Place = "local") -> Path:
    """Do the work of this rank; return the corpus folder. Ranks share only the folder.

    on: processes of this machine, or the nodes of a Ray cluster, which one rank is enough for.

    The rank that finishes last writes corpus.json; it exists exactly when every shard does, and then nothing of earlier
    builds is left in the folder (see leftovers.py).
    UserError for inputs that cannot be used (see read.documents), no document at all, a worker that dies again and
    again, a full disk, another build in the folder, or ranks that are not heard of for wait_minutes.
    """
    if not 0 <= rank < world:
        raise UserError(f"rank {rank} of {world}: ranks count from 0 to {world - 1}")
    if on == "ray" and world > 1:
        raise UserError(f"--on ray with {world} ranks: start it once, alone; Ray has the nodes")
    output = Path(config.output)
    leftovers.check_place(output, config)
    tokenizer = load_tokenizer(config.tokenizer)
    shards = tuple(plan(config, tokenizer))
    try:
        for folder in (output / "quarantine", output / WORK_FOLDER):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output {str(output)!r} cannot be written: {error.strerror}") from None
    extractors = {shard.extractor for shard in shards if shard.extractor}
    outlined = outline(shards, (tokenizer.library, *extractors))
    leftovers.check_libraries(output, outlined)
    with _full_disk_is_said(output), lock.held(output, rank, f"{outlined.identity} by {world}"):
        with _work_may_be_gone(shards):
            leftovers.claim(output, outlined)
        _build(config, shards, rank, world, on)
    return output


def _build(
    config: CorpusBuildConfig, shards: tuple[InputShard, ...], rank: int, world: int, on: Place
) -> None:
    console, output = Console(), Path(config.output)
    mine = shards[rank::world]
    missing = [shard for shard in mine if not is_finished(shard)]
    if missing:
        (output / manifest.CORPUS_FILE).unlink(missing_ok=True)
    console.print(
        f"{output}: {counted(len(shards), 'input shard')}, {len(mine)} of them for rank {rank} of {world}, "
        f"{len(mine) - len(missing)} finished before"
    )
    progress = Progress(output, rank, world)
    try:
        with _work_may_be_gone(shards):
            if not all(map(is_finished, shards)):
                _run_passes(config, shards, rank, world, progress, on)
    finally:
        progress.close()
    unfinished = [shard for shard in shards if not is_finished(shard)]
    if unfinished:
        console.print(
            f"rank {rank} is done; {len(unfinished)} shards of other ranks are missing, {unfinished[0]} first"
        )
    else:
        finish(config, shards, outline(shards), console)


@contextmanager
def _work_may_be_gone(shards: tuple[InputShard, ...]) -> Iterator[None]:
    """Others may finish the corpus, and remove work/, while this rank has nothing left to do."""
    try:
        yield
    except FileNotFoundError:
        if not all(map(is_finished, shards)):
            raise


@contextmanager
def _full_disk_is_said(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"{output}: {error.strerror}; everything finished so far is kept: make room and run the same command"
        ) from None


def _executor(config: CorpusBuildConfig, on: Place) -> workers.Executor:
    if on == "ray":
        from .on_ray import RayCluster

        return RayCluster(config.workers)
    return workers.Workers(workers.run_task, config.workers or os.cpu_count() or 1)


def _run_passes(
    config: CorpusBuildConfig,
    shards: tuple[InputShard, ...],
    rank: int,
    world: int,
    progress: Progress,
    on: Place,
) -> None:
    with _executor(config, on) as processes:
        for number, current in enumerate(schedule(shards)):
            mine = current.tasks[rank::world]
            missing = [task for task in mine if not task.is_finished()]
            own = sum(task.size for task in mine)
            before = own - sum(task.size for task in missing)
            expected = sum(task.size for task in current.tasks)
            with progress.following(current.name, number, expected, own, before):
                for amount in processes.run(missing):
                    progress.add(amount)
                if not current.last and not _wait(config, shards, current, rank, world, progress):
                    return


def _wait(
    config: CorpusBuildConfig,
    shards: tuple[InputShard, ...],
    current: Pass,
    rank: int,
    world: int,
    progress: Progress,
) -> bool:
    """Until the other ranks' tasks of a pass are finished, or the whole corpus is: then False, for work/ is gone."""
    owed = [(task, number % world) for number, task in enumerate(current.tasks) if number % world != rank]
    sign: object = None
    heard, pause = time.monotonic(), _POLL_SECONDS[0]
    while True:
        left = [(task, owner) for task, owner in owed if not task.is_finished()]
        if not left:
            return True
        # Only of those that owe: the others wait for the same tasks as this one.
        now = progress.life({owner for _, owner in left})
        if len(left) < len(owed) or now != sign:
            heard, sign, owed = time.monotonic(), now, left
        elif all(map(is_finished, shards)):  # nothing was left for this rank, and the others are through
            return False
        if time.monotonic() - heard > 60 * config.wait_minutes:
            owners = sorted({owner for _, owner in left})
            raise UserError(
                f"rank {rank} waits for pass {current.name!r}: {len(left)} tasks of ranks "
                f"{', '.join(map(str, owners[:8]))}{' ...' if len(owners) > 8 else ''} are not finished ({left[0][0]} "
                f"first), and nothing was heard of them for {config.wait_minutes:g} minutes (wait_minutes). Start all "
                f"{world} ranks again; what is finished is kept"
            )
        time.sleep(pause)
        pause = min(2 * pause, _POLL_SECONDS[1])
