"""What every folder stands on, and what imports none of them: files, configuration, random numbers, charts."""
