"""What businesses send (buttons, lists, templates, interactive messages), and what people answer to it."""

import re
from typing import Any

import orjson

from gateway.wasender.texts.cards import location
from gateway.wasender.texts.commerce import flow_order, is_order, product
from gateway.wasender.texts.lines import joined, joined_all, on_one_line, texts
from gateway.wasender.values import objects, present, text_at, under

_MAX_ROWS = 200
_MAX_JSON = 256 * 1024
_MAX_DEPTH = 6
_FLOW_FIELD = re.compile(r"screen_\d+_(.+)_\d+")  # as flows name the fields of their screens
_MACHINE = frozenset({"flow_token", "wa_flow_response_params", "flow_id", "version", "reference_id", "type"})
_LABELS = ("display_text", "title", "text", "displayText", "flow_cta", "button_text")
_TARGETS = ("url", "merchant_url", "link.in_app_url", "link.url", "phone_number", "copy_code", "code")

_HEADERS = ("imageMessage", "videoMessage", "documentMessage")
_HEADED = {
    "buttonsMessage": ("",),
    "interactiveMessage": ("header",),
    "templateMessage": (
        "hydratedTemplate", "hydratedFourRowTemplate", "fourRowTemplate", "interactiveMessageTemplate.header",
    ),
}  # fmt: skip


def header_of(kind: str, part: Any) -> tuple[str, dict[str, Any]] | None:
    """The picture, film or file at the head of a message of a business: its kind and its part."""
    for path in _HEADED.get(kind, ()):
        head = under(part, path) if path else part
        for name in _HEADERS:
            media = present(head).get(name)
            if isinstance(media, dict) and media:
                return name, media
    return None


# ------------------------------------------------------------------------------------------------ sent


def buttons(part: Any) -> str | None:
    """Head, body and foot, and a button per line."""
    return joined(
        text_at(part, "text", "headerText"),
        location(under(part, "locationMessage")),
        *texts(part, "contentText", "footerText"),
        _buttons(part, "buttons"),
    )


def listed(part: Any) -> str | None:
    """Title, description, and the rows of each section."""
    products = objects(under(part, "productListInfo.productSections"))[:_MAX_ROWS]
    return joined(
        *texts(part, "title", "description", "footerText"),
        _sections(part),
        *(text_at(section, "title") for section in products),
    )


def template(part: Any) -> str | None:
    """The words of a template in whichever of its formats it came."""
    return _template(part, 0)


def structured(part: Any) -> str | None:
    """A template of the oldest form: its finished text, else the values that were put into it."""
    return _structured(part, 0)


def _template(part: Any, depth: int) -> str | None:
    if not isinstance(part, dict) or depth > _MAX_DEPTH:
        return None
    for name in ("hydratedTemplate", "hydratedFourRowTemplate", "fourRowTemplate"):
        found = _rows(part.get(name), depth)
        if found:
            return found
    return interactive(part.get("interactiveMessageTemplate")) or _rows(part, depth)


def _rows(part: Any, depth: int) -> str | None:
    if not isinstance(part, dict):
        return None
    return joined(
        text_at(part, "hydratedTitleText", "titleText"),
        _structured(part.get("highlyStructuredMessage"), depth),
        location(part.get("locationMessage")),
        text_at(part, "hydratedContentText") or _structured(part.get("content"), depth),
        text_at(part, "hydratedFooterText") or _structured(part.get("footer"), depth),
        _buttons(part, "hydratedButtons") or _buttons(part, "buttons"),
    )


def _structured(part: Any, depth: int) -> str | None:
    if not isinstance(part, dict):
        return None
    whole = _template(part.get("hydratedHsm"), depth + 1)
    if whole:
        return whole
    params = part.get("params")
    values = [value for value in params if isinstance(value, str)] if isinstance(params, list) else []
    return joined(*values[:_MAX_ROWS]) or text_at(part, "elementName")


def interactive(part: Any) -> str | None:
    """Head, body, foot, what its buttons open, and the cards of a carousel."""
    return _interactive(part, 0)


def _interactive(part: Any, depth: int) -> str | None:
    cards = objects(under(part, "carouselMessage.cards"))[:_MAX_ROWS] if depth < _MAX_DEPTH else []
    return joined(
        *texts(part, "header.title", "header.subtitle"),
        location(under(part, "header.locationMessage")),
        product(under(part, "header.productMessage")),
        text_at(part, "body.text", "contentText", "text"),
        _footer(part),
        _buttons(under(part, "nativeFlowMessage"), "buttons"),
        *(_interactive(card, depth + 1) for card in cards),
    )


def _footer(part: Any) -> str | None:
    footer = under(part, "footer")
    return footer if isinstance(footer, str) else text_at(footer, "text")


def flows_of(part: Any) -> list[dict[str, Any]]:
    """The parameters of an interactive message's buttons, for those who look for an order or a payment."""
    found = [under(part, "nativeFlowMessage"), under(part, "interactiveMessageTemplate.nativeFlowMessage")]
    return [
        params
        for flow in found
        for button in objects(under(flow, "buttons"))[:_MAX_ROWS]
        if isinstance(params := _json(text_at(button, "buttonParamsJson", "buttonParamsJSON")), dict)
    ]


# ------------------------------------------------------------------------------------------------ buttons


def _buttons(part: Any, name: str) -> str | None:
    return joined_all(map(_button, objects(under(part, name))[:_MAX_ROWS]))


def _button(button: dict[str, Any]) -> str | None:
    flow = _json(text_at(button, "buttonParamsJson", "buttonParamsJSON", "nativeFlowInfo.paramsJson"))
    if isinstance(flow, dict):
        found = _flow_button(flow)
        if found:
            return found
    for name, target in (("urlButton", "url"), ("callButton", "phoneNumber"), ("quickReplyButton", "")):
        own = button.get(name)
        if isinstance(own, dict):
            return _labelled(_hsm(own, "displayText"), _hsm(own, target) if target else None)
    text = button.get("buttonText")
    label = text if isinstance(text, str) else text_at(text, "displayText")
    return _labelled(label or text_at(button, "displayText", "title"), text_at(button, "url", "phoneNumber"))


def _hsm(part: dict[str, Any], name: str) -> str | None:
    """A text, or a template of the oldest form in its place."""
    return text_at(part, name) or structured(part.get(name))


def _flow_button(params: dict[str, Any]) -> str | None:
    if is_order(params):
        return flow_order(params)
    own = _labelled(text_at(params, *_LABELS), text_at(params, *_TARGETS))
    return joined(own, _sections(params))


def _labelled(label: str | None, target: str | None) -> str | None:
    """`• Yes` for what is answered by a tap, `Track: https://…` for what opens something."""
    if target:
        return on_one_line(label, target, by=": ")
    return f"• {label}" if label else None


def _sections(part: Any) -> str | None:
    lines: list[str | None] = []
    for section in objects(under(part, "sections"))[:_MAX_ROWS]:
        lines.append(text_at(section, "title"))
        lines += map(_row, objects(section.get("rows"))[:_MAX_ROWS])
    return joined_all(lines)


def _row(row: dict[str, Any]) -> str | None:
    words = on_one_line(*texts(row, "header", "title", "description"), by=": ")
    return f"• {words}" if words else None


# ------------------------------------------------------------------------------------------------ answered


def button_answer(part: Any) -> str | None:
    """The label of the button that was tapped, or its id where it has none."""
    return text_at(
        part,
        "selectedDisplayText", "Response.SelectedDisplayText", "response.selectedDisplayText",
        "selectedButtonId", "selectedButtonID", "selectedId", "selectedID",
    )  # fmt: skip


def list_answer(part: Any) -> str | None:
    """The row that was chosen: title and description, or its id where it has none."""
    return joined(*texts(part, "title", "description")) or text_at(
        part, "singleSelectReply.selectedRowId", "singleSelectReply.selectedRowID"
    )


def interactive_answer(part: Any) -> str | None:
    """What was tapped or chosen, or the answers given in a flow, a line each."""
    body = text_at(part, "body.text")
    raw = text_at(
        part, "nativeFlowResponseMessage.paramsJson", "nativeFlowResponseMessage.paramsJSON"
    ) or under(part, "nativeFlowResponseMessage.paramsJson")
    params = _json(raw)
    if isinstance(params, dict):
        return _answers(params, body) or body or text_at(part, "nativeFlowResponseMessage.name")
    words = raw if isinstance(raw, str) and raw.strip() and params is None else None
    return joined(body, words) or text_at(part, "nativeFlowResponseMessage.name")


def _answers(params: dict[str, Any], body: str | None) -> str | None:
    told = {name: value for name, value in params.items() if name != "id" and name not in _MACHINE}
    label = text_at(told, *_LABELS)
    if label and told.keys() <= {*_LABELS, "description"}:
        return joined(body, label, text_at(told, "description"))
    lines = _told(told, "", 0)
    if lines:
        return joined(body, *lines)
    return body or text_at(params, "id")


def _told(value: Any, name: str, depth: int) -> list[str]:
    """The answers of a flow as `name: value`, nested ones included."""
    if depth > _MAX_DEPTH:
        return []
    if isinstance(value, dict):
        fields = [(field, item) for field, item in value.items() if field not in _MACHINE][:_MAX_ROWS]
        return [line for field, item in fields for line in _told(item, _label(field), depth + 1)][:_MAX_ROWS]
    if isinstance(value, list):
        plain = [str(item) for item in value[:_MAX_ROWS] if isinstance(item, str | int | float)]
        if plain:
            return [f"{name}: {', '.join(plain)}"]
        return [line for item in value[:_MAX_ROWS] for line in _told(item, name, depth + 1)][:_MAX_ROWS]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    inner = _json(value) if isinstance(value, str) and value[:1] in ("{", "[") else None
    if isinstance(inner, dict | list):  # JSON within JSON, as some flows answer
        return _told(inner, name, depth + 1)
    said = str(value).strip() if isinstance(value, str | int | float) else ""
    return [f"{name}: {said}" if name else said] if said else []


def _label(field: str) -> str:
    found = _FLOW_FIELD.fullmatch(field)
    return found[1].replace("_", " ") if found else field


def _json(text: Any) -> Any:
    """The value of a JSON text, or the object that stands where one is expected; None if it is neither."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str) or len(text) > _MAX_JSON:
        return None
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
