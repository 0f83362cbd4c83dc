"""Training with mmengine."""
