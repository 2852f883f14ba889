"""Samples: what businesses send, and the answers to it."""

import json

from tests.unit.wasender.content_samples import Says

_BILL = {
    "currency": "BRL",
    "reference_id": "R7",
    "total_amount": {"value": 4250, "offset": 100},
    "order": {"items": [{"name": "Tea", "quantity": 2, "amount": {"value": 2125, "offset": 100}}]},
    "payment_settings": [
        {
            "type": "pix_static_code",
            "pix_static_code": {"merchant_name": "Tea House", "key": "tea@pix.example", "key_type": "EMAIL"},
        }
    ],
}

BUSINESS: list[Says] = [
    (
        "buttons",
        {
            "buttonsMessage": {
                "text": "Visit",
                "contentText": "At 10?",
                "footerText": "Clinic",
                "buttons": [{"buttonText": {"displayText": "Yes"}}, {"buttonText": {"displayText": "Later"}}],
            }
        },
        "text",
        "Visit\nAt 10?\nClinic\n• Yes\n• Later",
    ),
    (
        "a list",
        {
            "listMessage": {
                "title": "Sizes",
                "description": "Choose one",
                "buttonText": "Open",
                "sections": [
                    {"title": "Adults", "rows": [{"title": "M", "description": "medium", "rowId": "m"}]},
                    {"rows": [{"title": "XS"}]},
                ],
            }
        },
        "text",
        "Sizes\nChoose one\nAdults\n• M: medium\n• XS",
    ),
    (
        "an answer to a list",
        {"listResponseMessage": {"title": "M", "description": "medium"}},
        "text",
        "M\nmedium",
    ),
    (
        "a list of products",
        {
            "listMessage": {
                "title": "Shop",
                "listType": "PRODUCT_LIST",
                "productListInfo": {
                    "productSections": [{"title": "Lamps", "products": [{"productId": "1"}]}]
                },
            }
        },
        "text",
        "Shop\nLamps",
    ),
    (
        "an answer to a list by id",
        {"listResponseMessage": {"singleSelectReply": {"selectedRowId": "size-m"}}},
        "text",
        "size-m",
    ),
    ("a button by id", {"buttonsResponseMessage": {"selectedButtonId": "later"}}, "text", "later"),
    (
        "a template's button",
        {"templateButtonReplyMessage": {"selectedDisplayText": "Stop", "selectedId": "s"}},
        "text",
        "Stop",
    ),
    (
        "a template",
        {
            "templateMessage": {
                "hydratedTemplate": {
                    "hydratedTitleText": "Parcel",
                    "hydratedContentText": "On its way",
                    "hydratedFooterText": "Post",
                    "hydratedButtons": [
                        {"urlButton": {"displayText": "Track", "url": "https://post.example/9"}},
                        {"callButton": {"displayText": "Call", "phoneNumber": "+49 30 1234567"}},
                        {"quickReplyButton": {"displayText": "Thanks", "id": "t"}},
                    ],
                }
            }
        },
        "text",
        "Parcel\nOn its way\nPost\nTrack: https://post.example/9\nCall: +49 30 1234567\n• Thanks",
    ),
    (
        "a template of four rows",
        {
            "templateMessage": {
                "fourRowTemplate": {"content": {"elementName": "greeting", "params": ["Hi Mia"]}}
            }
        },
        "text",
        "Hi Mia",
    ),
    (
        "an interactive template",
        {
            "templateMessage": {
                "interactiveMessageTemplate": {"body": {"text": "Rate us"}, "footer": {"text": "1 to 5"}}
            }
        },
        "text",
        "Rate us\n1 to 5",
    ),
    (
        "a template of the oldest form",
        {
            "highlyStructuredMessage": {
                "hydratedHsm": {"hydratedFourRowTemplate": {"hydratedContentText": "Code 4711"}}
            }
        },
        "text",
        "Code 4711",
    ),
    (
        "an interactive message with links",
        {
            "interactiveMessage": {
                "body": {"text": "Your table"},
                "nativeFlowMessage": {
                    "buttons": [
                        {
                            "name": "cta_url",
                            "buttonParamsJson": '{"display_text":"Menu","url":"https://eat.example/menu"}',
                        },
                        {
                            "name": "cta_call",
                            "buttonParamsJson": '{"display_text":"Ring","phone_number":"+4930999"}',
                        },
                        {
                            "name": "cta_copy",
                            "buttonParamsJson": '{"display_text":"Copy","copy_code":"TABLE7"}',
                        },
                        {"name": "quick_reply", "buttonParamsJson": '{"display_text":"Fine","id":"f"}'},
                        {"name": "quick_reply", "buttonParamsJson": "not json"},
                    ]
                },
            }
        },
        "text",
        "Your table\nMenu: https://eat.example/menu\nRing: +4930999\nCopy: TABLE7\n• Fine",
    ),
    (
        "an interactive list",
        {
            "interactiveMessage": {
                "body": {"text": "Pick"},
                "nativeFlowMessage": {
                    "buttons": [
                        {
                            "name": "single_select",
                            "buttonParamsJson": json.dumps(
                                {
                                    "title": "Rooms",
                                    "sections": [
                                        {"title": "West", "rows": [{"title": "12", "description": "sea"}]}
                                    ],
                                }
                            ),
                        }
                    ]
                },
            }
        },
        "text",
        "Pick\n• Rooms\nWest\n• 12: sea",
    ),
    (
        "a carousel",
        {
            "interactiveMessage": {
                "body": {"text": "Tours"},
                "carouselMessage": {
                    "cards": [
                        {
                            "header": {"title": "Lake"},
                            "body": {"text": "2 h"},
                            "nativeFlowMessage": {
                                "buttons": [
                                    {
                                        "name": "cta_url",
                                        "buttonParamsJson": '{"display_text":"Book","url":"https://t.example/1"}',
                                    }
                                ]
                            },
                        },
                        {"body": {"text": "Hill"}},
                    ]
                },
            }
        },
        "text",
        "Tours\nLake\n2 h\nBook: https://t.example/1\nHill",
    ),
    (
        "a payment asked for in a flow",
        {
            "interactiveMessage": {
                "body": {"text": "Your bill"},
                "nativeFlowMessage": {
                    "buttons": [
                        {
                            "name": "review_and_pay",
                            "buttonParamsJson": json.dumps(_BILL),
                        }
                    ]
                },
            }
        },
        "payment",
        "Your bill\nOrder R7\n• 2 × Tea · 21.25 BRL\nTotal: 42.50 BRL\nPix · Tea House · EMAIL · tea@pix.example",
    ),
    (
        "answers of a flow",
        {
            "interactiveResponseMessage": {
                "body": {"text": "Sent"},
                "nativeFlowResponseMessage": {
                    "name": "flow",
                    "paramsJson": json.dumps(
                        {
                            "flow_token": "x",
                            "screen_0_Full_name_0": "Mia",
                            "when": {"day": "Mon"},
                            "extras": ["bed", "desk"],
                            "smoker": False,
                        }
                    ),
                },
            }
        },
        "text",
        "Sent\nFull name: Mia\nday: Mon\nextras: bed, desk\nsmoker: no",
    ),
    (
        "answers of a flow within answers",
        {
            "interactiveResponseMessage": {
                "nativeFlowResponseMessage": {
                    "paramsJson": json.dumps({"response_json": json.dumps({"day": "Mon", "people": 2})})
                }
            }
        },
        "text",
        "day: Mon\npeople: 2",
    ),
    (
        "a quick reply without a label",
        {
            "interactiveResponseMessage": {
                "nativeFlowResponseMessage": {"name": "quick_reply", "paramsJson": '{"id":"yes-7"}'}
            }
        },
        "text",
        "yes-7",
    ),
    (
        "a quick reply with a label",
        {
            "interactiveResponseMessage": {
                "body": {"text": "Yes"},
                "nativeFlowResponseMessage": {"paramsJson": '{"id":"yes-7"}'},
            }
        },
        "text",
        "Yes",
    ),
    (
        "a row chosen in a flow",
        {
            "interactiveResponseMessage": {
                "nativeFlowResponseMessage": {
                    "paramsJson": '{"id":"12","title":"Room 12","description":"sea"}'
                }
            }
        },
        "text",
        "Room 12\nsea",
    ),
    (
        "answers that are no JSON",
        {
            "interactiveResponseMessage": {
                "body": {"text": "Sent"},
                "nativeFlowResponseMessage": {"paramsJson": "day=Mon"},
            }
        },
        "text",
        "Sent\nday=Mon",
    ),
]
