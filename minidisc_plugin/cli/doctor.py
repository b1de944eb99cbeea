"""`minidisc doctor`, printed."""

from __future__ import annotations

from minidisc_plugin.integrations.requirements.diagnosis import Diagnosis
from minidisc_plugin.integrations.requirements.routes import TITLES


def render(diagnosis: Diagnosis, width: int = 110) -> str:
    """Print a diagnosis as text: a table of packages, then one line for each capability.

    Args:
        diagnosis: what `diagnose` returned.
        width: of the table, in characters; pip commands are never broken.

    Returns:
        Plain text without colours or markup.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("package", "version", "verdict", "remedy")
    for row in diagnosis.rows:
        verdict = row.verdict + (f" for {', '.join(TITLES[name] for name in row.blocks)}" if row.blocks else "")
        verdict += f": {row.why}" if row.why else ""
        table.add_row(*(Text(cell) for cell in (row.package, row.version or "-", verdict, row.remedy or "")))
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    lines = [capture.get().rstrip("\n")]
    for capability, title in TITLES.items():
        if routes := diagnosis.routes[capability]:
            by = " or ".join(dict.fromkeys(route.said for route in routes if route.said))
            lines.append(f"{title}: works" + (f", by {by}" if by else ""))
        else:
            needed = " ".join(f'"{pin}"' for pin in diagnosis.pins[capability])
            where = "in an environment of its own, " if capability in diagnosis.apart else ""
            lines.append(f"{title}: no; {where}pip install {needed}")
    return "\n".join(lines)
