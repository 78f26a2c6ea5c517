"""Between 3D Slicer's nodes, which are handed in, and the domain: the one place of RAS."""
