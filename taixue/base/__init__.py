"""What every folder stands on, and what imports none of them: files, configuration, random numbers, charts."""

__version__ = "0.1.0"


class UserError(Exception):
    """A mistake the user can mend: bad configuration, data or environment.

    The message says what is wrong, where, both numbers, and what would be legal. Every entry point prints it
    without a traceback and exits with status 2. Bugs of ours raise anything else.
    """
