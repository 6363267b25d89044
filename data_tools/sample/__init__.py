"""Text to try with: essays written by hand (*.jsonl), and sentences about facts of the world, made from tables."""

from .generate import generate as generate
from .relations import relations as relations
