"""Lists cut into pages, in the two forms upstream has: its framework's paginator, and the short one of
contacts.
"""

from typing import Any

from starlette.requests import Request


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, "")
    return min(max(int(text), 1), most) if text.isdecimal() and len(text) < 9 else default


def paginated(request: Request, rows: list[Any], default_size: int = 15) -> dict[str, Any]:
    """A page of `rows` as the log endpoints give it (`?page= &per_page=`)."""
    size = _number(request, "per_page", default_size, 100)
    page = _number(request, "page", 1, 10**8)
    last = max(1, -(-len(rows) // size))
    part = rows[(page - 1) * size : page * size]
    path = str(request.url.replace(query=""))

    def link(number: int) -> str | None:
        return f"{path}?page={number}" if 1 <= number <= last else None

    return {
        "current_page": page,
        "data": part,
        "first_page_url": link(1),
        "from": (page - 1) * size + 1 if part else None,
        "last_page": last,
        "last_page_url": link(last),
        "next_page_url": link(page + 1),
        "path": path,
        "per_page": size,
        "prev_page_url": link(page - 1),
        "to": (page - 1) * size + len(part) if part else None,
        "total": len(rows),
    }


def maybe_paged(request: Request, rows: list[Any]) -> Any:
    """All rows, or with `?paginated=true&page=&limit=` one page of them."""
    if request.query_params.get("paginated") not in ("true", "1"):
        return rows
    size, page = _number(request, "limit", 20, 100), _number(request, "page", 1, 10**8)
    total_pages = max(1, -(-len(rows) // size))
    counts = {"page": page, "limit": size, "total": len(rows), "totalPages": total_pages}
    return {"items": rows[(page - 1) * size : page * size], "pagination": counts}
