"""Training a network that registers: pairs of images in, velocities out, no reference but the images themselves."""
