"""Engines: from a card to something that segments, in this process or in the worker. No torch at file scope."""
