"""Reports a person reads: HTML and PNG. Needs the extra `review` (matplotlib, jinja2, pillow)."""

from medseg.report.write import write_report

__all__ = ["write_report"]
