"""File formats, one file each, under `medseg.files`: what each can hold, and what readers of it get wrong."""
