"""What can be read off a denoiser: pure functions of it."""
