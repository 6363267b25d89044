"""What happens between the steps of a run: loop, state, evaluation, folder."""
