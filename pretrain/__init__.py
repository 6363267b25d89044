"""What is learned: configuration, models, objectives, data order, optimizer, the loop, checkpoints, export."""
