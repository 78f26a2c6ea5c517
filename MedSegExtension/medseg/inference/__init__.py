"""torch and MONAI live here: preprocessing, networks, windows over volumes, and the way back."""
