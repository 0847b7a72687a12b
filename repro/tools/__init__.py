"""What knows no mechanics: the command line, writing files safely, where a number comes from."""

__all__ = [
    "cli",
    "csv_files",
    "engine",
    "files",
    "processor",
    "progress",
    "provenance",
    "timing",
    "values",
    "vtk",
]
