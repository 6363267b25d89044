"""What peers have for the same work: one script each, which peers.py starts; none imports anything of ours."""
