"""What a run folder holds, by name, for all who look into it. No torch."""

CONFIG = "config.yaml"
"""The resolved configuration of the last start."""

CHECKPOINTS = "checkpoints"

LOGS = "logs"
"""A folder: what each rank had to say. rank-N.error: the traceback of the last error that ended rank N."""

PREEMPTED = "PREEMPTED"
"""Left by a start that saved because of a signal; removed when the run starts again."""

FILLS = "fills.jsonl"
"""What the model put into blanks of held-out samples, see fills.py."""

PAGE = "index.html"
"""The run to look at: report/."""
