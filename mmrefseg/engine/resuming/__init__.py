"""What a training needs to resume exactly: its state in checkpoints, and checks of that state."""
