"""Reading, completing and writing of checkpoints and pretrained weights."""
