"""A page held against axe."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = Path(__file__).parents[1] / "ui" / "node_modules" / "axe-core" / "axe.min.js"


async def findings(page: Page) -> list[dict[str, Any]]:
    """What axe finds, of any level."""
    ran: list[dict[str, Any]] = await page.evaluate(
        """async () => {
            const ran = await axe.run(document, {resultTypes: ["violations"]});
            const told = (node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ""}`;
            return ran.violations.map((one) => ({id: one.id, nodes: one.nodes.slice(0, 4).map(told)}));
        }"""
    )
    return ran
