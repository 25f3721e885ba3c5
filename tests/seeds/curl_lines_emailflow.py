"""The curl lines of EmailFlow's and FlushIt's documents, as curl_lines.py has those of others."""

from __future__ import annotations

from collections.abc import Mapping

EMAILFLOW: Mapping[str, str] = {
    "E-02": """
curl {base}/api/v1/me \\
-H "Authorization: Bearer {key}"
""",
    "E-45": """
curl "{base}/api/v1/me?api_token={key}"
""",
    "E-01": """
curl -X POST {base}/api/v1/user/login \\
-d email=you@example.com \\
-d password=YOUR_PASSWORD
""",
    "E-07": """
curl -X POST {base}/api/v1/lists \\
-H "Authorization: Bearer {key}" \\
-d name="Newsletter" \\
-d from_name="Acme" \\
-d from_email="hi@acme.com" \\
-d contact[company]="Acme Inc." \\
-d contact[address_1]="1 Market St" \\
-d contact[city]="San Francisco" \\
-d contact[zip]="94105" \\
-d contact[phone]="+1 555 0100" \\
-d contact[country_id]=1 \\
-d contact[email]="hi@acme.com"
""",
    "E-09": """
curl -X POST {base}/api/v1/lists/{uid}/add-field \\
-H "Authorization: Bearer {key}" \\
-d type=text \\
-d label="First name" \\
-d tag=FIRST_NAME
""",
    "E-12": """
curl -X POST {base}/api/v1/subscribers \\
-H "Authorization: Bearer {key}" \\
-d list_uid={uid} \\
-d EMAIL=alice@example.com \\
-d FIRST_NAME=Alice \\
-d tag=vip,newsletter \\
-d status=subscribed
""",
    "E-22": """
curl -X POST "{base}/api/v1/lists/{uid}/subscribers/bulk" \\
-H "Authorization: Bearer {key}" \\
-H "Content-Type: application/json" \\
-d '{{
"mode": "overwrite",
"subscribers": [
{{ "EMAIL": "alice@example.com", "FIRST_NAME": "Alice", "tags": ["vip"] }},
{{ "EMAIL": "bob@example.com", "FIRST_NAME": "Bob", "status": "subscribed" }}
]
}}'
""",
    "E-23": """
curl -X POST "{base}/api/v1/lists/{uid}/subscribers/bulk/async" \\
-H "Authorization: Bearer {key}" \\
-F "file=@subscribers.csv" \\
-F 'mapping={{"Email":"EMAIL","First Name":"FIRST_NAME"}}' \\
-F "mode=overwrite"
""",
    "E-25": """
curl "{base}/api/v1/import-jobs/{uid}" \\
-H "Authorization: Bearer {key}"
""",
    "E-28": """
curl -X POST {base}/api/v1/campaigns \\
-H "Authorization: Bearer {key}" \\
-d list_uid={uid} \\
-d name="Spring sale" \\
-d subject="20% off this week" \\
-d from_email=hi@acme.com \\
-d from_name="Acme" \\
-d track_open=true \\
-d track_click=true \\
--data-urlencode 'html=<p>Hello!</p>'
""",
    "E-31": """
curl -X POST {base}/api/v1/campaigns/{uid}/run \\
-H "Authorization: Bearer {key}"
""",
    "E-42": """
curl -X POST {base}/api/v1/automations/{uid}/execute \\
-H "Authorization: Bearer {key}"
""",
    "E-43": """
curl -X POST {base}/api/v1/notification/bounce \\
-H "Authorization: Bearer {key}" \\
-d message_id="{uid}" \\
-d description="550 mailbox not found"
""",
}
"""Row -> line; {uid} is what the line before has made."""

FLUSHIT = """
curl -H "X-API-Key: {key}" \\
{base}/api/credits/balance
"""

FLUSHIT_JAVASCRIPT = """
const res = await fetch("{base}/api/credits/balance",
{{ headers: {{ "X-API-Key": "{key}" }} }}); const data = await res.json();
"""
"""The lines of FlushIt's document, for its one call."""
