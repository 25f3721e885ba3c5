"""The documents' own curl lines, as they stand there but for base URL, key and ids.

Each runs in a shell. What stands in braces is filled in: {base}, {key}, and ids of things that the
test has made.
"""

from __future__ import annotations

from collections.abc import Mapping

SENDFLARE: Mapping[str, str] = {
    "D-01": """
curl -X POST {base}/v1/send \\
  -H "Content-Type: application/json; charset=utf-8" \\
  -H "Authorization: Bearer {key}" \\
  -d '{{
    "from": "from@example.com",
    "to": "to@example.com",
    "subject": "test send",
    "body": "test content"
  }}'
""",
    "D-03": """
curl -X POST {base}/v1/contact \\
  -H "Content-Type: application/json; charset=utf-8" \\
  -H "Authorization: Bearer {key}" \\
  -d '{{
    "appId": "1234567890",
    "emailAddress": "john.doe@example.com",
    "status": "Confirmed",
    "data": {{
      "language": "en",
      "firstName": "John",
      "lastName": "Doe",
      "phoneNumber": "1234567890",
      "birthday": "1990-01-01",
      "company": "Example Inc.",
      "vipLevel": 1,
      "amount": "100.00"
    }}
  }}'
""",
    "D-02": """
curl -X GET {base}/v1/contact \\
  -H "Content-Type: application/json; charset=utf-8" \\
  -H "Authorization: Bearer {key}" \\
  -d 'appId=1234567890&page=1&pageSize=50'
""",
    "D-04": """
curl -X DELETE {base}/v1/contact?appId=1234567890&emailAddress=john.doe@example.com \\
  -H "Content-Type: application/json; charset=utf-8" \\
  -H "Authorization: Bearer {key}"
""",
}
"""Row -> line. The last is cut by the shell at its `&`: the server sees neither the address nor
the headers."""

SK_LIVE: Mapping[str, str] = {
    "S-01": """
curl -X POST {base}/api/v1/emails \\
-H "Authorization: Bearer {key}" \\
-H "Content-Type: application/json" \\
-d '{{
"to": "user@example.com",
"from": "you@yourdomain.com",
"subject": "Welcome!",
"html": "<h1>Hello!</h1><p>Welcome aboard.</p>",
"tags": {{ "type": "welcome" }}
}}'
""",
    "S-02": """
curl -X POST {base}/api/v1/emails/batch \\
-H "Authorization: Bearer {key}" \\
-H "Content-Type: application/json" \\
-d '{{
"emails": [
{{ "to": "a@example.com", "from": "you@domain.com", "subject": "Hi", "html": "<p>Hello A</p>" }},
{{ "to": "b@example.com", "from": "you@domain.com", "subject": "Hi", "html": "<p>Hello B</p>" }}
]
}}'
""",
    "S-03": """
curl "{base}/api/v1/emails?limit=20&status=sent" \\
-H "Authorization: Bearer {key}"
""",
    "S-04": """
curl {base}/api/v1/emails/{email} \\
-H "Authorization: Bearer {key}"
""",
    "S-05": """
curl -X POST {base}/api/v1/contacts \\
-H "Authorization: Bearer {key}" \\
-H "Content-Type: application/json" \\
-d '{{ "email": "new@example.com", "name": "John Doe", "listId": "{list}" }}'
""",
    "S-06": """
curl "{base}/api/v1/contacts?limit=50&listId={list}" \\
-H "Authorization: Bearer {key}"
""",
    "S-07": """
curl {base}/api/v1/domains \\
-H "Authorization: Bearer {key}"
""",
    "S-08": """
curl -X POST {base}/api/v1/domains/{domain}/verify \\
-H "Authorization: Bearer {key}"
""",
    "S-09": """
curl -X POST {base}/api/v1/webhooks \\
-H "Authorization: Bearer {key}" \\
-H "Content-Type: application/json" \\
-d '{{
"url": "{receiver}",
"events": ["email.sent", "email.opened", "email.clicked", "email.bounced"]
}}'
""",
    "S-10": """
curl {base}/api/v1/webhooks \\
-H "Authorization: Bearer {key}"
""",
    "S-11": """
curl -X POST {base}/api/v1/campaigns \\
-H "Authorization: Bearer {key}" \\
-H "Content-Type: application/json" \\
-d '{{ "name": "March Newsletter", "subject": "News!", "listId": "{list}", \
"content": "<h1>Hello</h1>" }}'
""",
    "S-12": """
curl -X POST {base}/api/v1/campaigns/{campaign}/launch \\
-H "Authorization: Bearer {key}"
""",
    "S-13": """
curl {base}/api/v1/stats \\
-H "Authorization: Bearer {key}"
""",
}
"""Row -> line."""
