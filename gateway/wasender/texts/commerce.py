"""Orders, products and payments."""

from collections.abc import Callable
from typing import Any

from gateway.wasender.texts.lines import counted, joined, joined_all, money, on_one_line, texts, thousandths
from gateway.wasender.values import objects, text_at, under, whole
from gateway.wasender.wrappers import unwrapped

_MAX_ITEMS = 100


def call(part: Any) -> str | None:
    """What was ordered, how much of it, the total, and what the customer wrote."""
    if not isinstance(part, dict):
        return None
    sums = on_one_line(
        counted(part.get("itemCount"), "item", "items"),
        thousandths(part.get("totalAmount1000"), part.get("totalCurrencyCode")),
    )
    title = text_at(part, "orderTitle")
    if title is None:
        title = on_one_line("Order", text_at(part, "orderId", "orderID"), by=" ")
    return joined(title, sums, text_at(part, "message"))


def product(part: Any) -> str | None:
    """Title, price and description of a product or a catalogue, and what was written with it."""
    price = thousandths(under(part, "product.salePriceAmount1000"), under(part, "product.currencyCode"))
    return joined(
        text_at(part, "product.title", "catalog.title", "title"),
        price or thousandths(under(part, "product.priceAmount1000"), under(part, "product.currencyCode")),
        text_at(part, "product.description", "catalog.description", "description"),
        *texts(part, "product.url", "body", "footer"),
    )


# ------------------------------------------------------------------------------------------------ payments


def payment(part: Any) -> str | None:
    return joined("Payment", _note(part))


def payment_request(part: Any) -> str | None:
    """The amount asked for, and the note."""
    amount = money(under(part, "amount"))
    if amount is None:
        amount = thousandths(under(part, "amount1000"), under(part, "currencyCodeIso4217"))
    return joined(on_one_line("Payment request", amount, by=": "), _note(part))


def payment_declined(_: Any) -> str:
    return "The payment request was declined"


def payment_cancelled(_: Any) -> str:
    return "The payment request was cancelled"


def invoice(part: Any) -> str | None:
    return joined("Invoice", text_at(part, "note"))


def payment_invite(part: Any) -> str:
    """An invitation to set up payments, with the service where it is named."""
    services = {"1": "Facebook Pay", "2": "Novi", "3": "UPI", "4": "Pix"}
    service = under(part, "serviceType")
    name = services.get(str(whole(service))) or (service if isinstance(service, str) else None)
    named = name if name and name.upper() != "UNKNOWN" and not name.isdigit() else None
    return on_one_line("Invitation to pay through WhatsApp", named, by=": ") or ""


def payment_reminder(part: Any) -> str | None:
    return joined(
        on_one_line("Payment reminder", money(under(part, "amount")), by=": "), text_at(part, "description")
    )


def split_payment(part: Any) -> str | None:
    """The sum that several people share."""
    return joined(
        on_one_line("Shared payment", money(under(part, "totalAmount")), by=": "),
        text_at(part, "description"),
    )


def split_payment_paid(_: Any) -> str:
    return "A share of a payment changed"


def _note(part: Any) -> str | None:
    """The text of a payment's note, which is a message of its own."""
    note = unwrapped(under(part, "noteMessage"))
    return text_at(note, "conversation", "extendedTextMessage.text", "imageMessage.caption")


# ------------------------------------------------------------------------------------------------ in a flow


def is_order(params: Any) -> bool:
    """Whether the parameters of a native flow hold an order or a payment."""
    return isinstance(params, dict) and bool(
        params.keys()
        & {"order", "total_amount", "payment_settings", "payment_configuration", "payment_method"}
    )


def flow_order(params: Any) -> str | None:
    """The items, the total and the ways to pay that stand in the parameters of a native flow."""
    if not isinstance(params, dict):
        return None
    currency = params.get("currency")
    items = objects(under(params, "order.items"))[:_MAX_ITEMS]
    settings = objects(params.get("payment_settings"))[:_MAX_ITEMS]
    total = _flow_amount(params.get("total_amount"), currency)
    return joined_all(
        [
            on_one_line("Order", text_at(params, "reference_id"), by=" ") if items else None,
            *(_item(item, currency) for item in items),
            on_one_line("Total", total, by=": ") if total else None,
            *map(_way_to_pay, settings),
            text_at(params, "order.description"),
        ]
    )


def _item(item: dict[str, Any], currency: Any) -> str | None:
    count = whole(item.get("quantity"))
    name = text_at(item, "name", "retailer_id")
    amount = _flow_amount(item.get("sale_amount"), currency) or _flow_amount(item.get("amount"), currency)
    return on_one_line(f"• {count} × {name}" if count and name else name and f"• {name}", amount)


def _flow_amount(value: Any, currency: Any) -> str | None:
    return money({"currencyCode": currency, **value}) if isinstance(value, dict) else None


def _way_to_pay(setting: dict[str, Any]) -> str | None:
    """The key, code or link of one way to pay."""
    kind = text_at(setting, "type")
    own = setting.get(kind) if kind else None
    fields = texts(own, "merchant_name", "key_type", "key", "code", "uri", "url", "digitable_line")
    label = {"pix_static_code": "Pix", "pix_dynamic_code": "Pix", "boleto": "Boleto", "payment_link": "Link"}
    name = label.get(kind or "", kind)
    return on_one_line(name, *fields)


TEXTS: dict[str, Callable[[Any], str | None]] = {
    "sendPaymentMessage": payment,
    "requestPaymentMessage": payment_request,
    "declinePaymentRequestMessage": payment_declined,
    "cancelPaymentRequestMessage": payment_cancelled,
    "invoiceMessage": invoice,
    "paymentInviteMessage": payment_invite,
    "paymentReminderMessage": payment_reminder,
    "splitPaymentMessage": split_payment,
    "splitPaymentUpdateMessage": split_payment_paid,
}
"""Every payment kind of WAProto."""
