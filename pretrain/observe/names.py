"""Parts of the names of metrics that their writers and readers share."""

WITHOUT_TAGS = "-without-tags"
"""Ends the names of held-out losses that were measured without linguistic inputs."""
