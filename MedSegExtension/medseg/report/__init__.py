"""Reports a person reads: HTML and PNG."""
