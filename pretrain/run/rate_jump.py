"""What the learning rate does where a run goes on with another schedule than it was saved with. No torch."""

from ..config.schema import RunConfig
from ..optim import learning_rate

SMOOTH = 1.05
"""Factor between two steps up to which a rate is said to go on."""


def jump(saved: RunConfig, run: RunConfig, done: int) -> str:
    """What to say of a rate that jumps after `done` steps, against what `saved` would go on with; "": none does.

    Both numbers, and for a run that was finished the schedule that continues it.
    """
    if not 0 < done < run.steps:
        return ""
    last = learning_rate(saved.schedule, saved.optimizer.lr, done - 1, saved.steps)
    planned = learning_rate(saved.schedule, saved.optimizer.lr, done, saved.steps)
    now = learning_rate(run.schedule, run.optimizer.lr, done, run.steps)
    if abs(now - planned) <= (SMOOTH - 1) * max(planned, now) or run.schedule.extend == done:
        return ""
    said = f"the learning rate jumps from {last:.3g} in step {done} to {now:.3g} in step {done + 1}"
    if done < saved.steps:
        return f"{said}: optimizer.lr, schedule or steps ({saved.steps} -> {run.steps}) were changed"
    room = run.steps - done
    shorter = f" --schedule.warmup_steps {max(room // 10, 1)}" if run.schedule.warmup_steps >= room else ""
    way_out = f"--schedule.extend {done}{shorter} warms up from there and decays again"
    return f"{said}: steps {saved.steps} -> {run.steps} stretches the schedule. To go on smoothly stop: {way_out}"
