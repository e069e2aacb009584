"""How much memory this process holds, or has held at most."""

import os
import sys
from pathlib import Path


def resident_megabytes() -> float:
    """Return the resident memory now in MB, its peak on macOS, 0 on Windows."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return peak_megabytes()


def peak_megabytes() -> float:
    """Return the most memory that was resident at any time in MB, 0 on Windows."""
    if sys.platform == "win32":
        return 0.0
    import resource

    # Linux counts in kB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )
