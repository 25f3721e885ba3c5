"""What automations add to the schema; the conventions of schema.py hold."""

from __future__ import annotations

AUTOMATIONS: tuple[str, ...] = (
    """
CREATE TABLE automations (
    -- What is done for contacts whom something happens to, step by step.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "aut_..." ids
    tenant_id INTEGER NOT NULL,  -- tenants.id
    name TEXT NOT NULL,          -- for people
    status TEXT NOT NULL,        -- "active", "paused", or "deleted": its runs are being removed
    trigger_type TEXT NOT NULL,  -- of core.automation.TriggerType
    version INTEGER NOT NULL,    -- of automation_versions, that new runs begin with
    secret TEXT NOT NULL,        -- signs its webhooks
    is_test INTEGER NOT NULL,    -- 1: made with a test key, its mail goes to the sandbox
    since_seq INTEGER NOT NULL,  -- only events behind this one set it off
    look_at INTEGER,             -- when dates are looked at next; NULL: it has no dates
    look_after INTEGER NOT NULL, -- contacts or members up to this row are done in this look
    runs INTEGER NOT NULL DEFAULT 0,      -- that have begun; these five by triggers
    active INTEGER NOT NULL DEFAULT 0,    -- of those, under way
    completed INTEGER NOT NULL DEFAULT 0, -- that got to the end
    failed INTEGER NOT NULL DEFAULT 0,    -- that a step ended which could not be done
    canceled INTEGER NOT NULL DEFAULT 0,  -- that were ended from outside
    created_at INTEGER NOT NULL, -- when it was made
    updated_at INTEGER NOT NULL  -- when it was changed, paused or resumed last
)
""",
    "CREATE INDEX automations_by_tenant ON automations (tenant_id, id)",
    "CREATE INDEX automations_at_work ON automations (id) WHERE status <> 'paused'",
    """
CREATE TABLE automation_versions (
    -- What an automation says, or said when a run under way began. Rows never change.
    automation_id INTEGER NOT NULL REFERENCES automations (id),
    version INTEGER NOT NULL,    -- 1, 2, ...
    definition TEXT NOT NULL,    -- JSON: trigger, conditions, steps, reentry, as they were given
    PRIMARY KEY (automation_id, version)
) WITHOUT ROWID
""",
    """
CREATE TABLE automation_runs (
    -- Contacts on their way through automations, and those who have been.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "run_..." ids
    automation_id INTEGER NOT NULL REFERENCES automations (id),
    contact_id INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,    -- of automation_versions
    audience TEXT NOT NULL,      -- "aud_..." in which it began; '' none
    data TEXT NOT NULL,          -- JSON object of the request that set it off
    state TEXT NOT NULL,         -- "active", "completed", "failed" or "canceled"
    position INTEGER NOT NULL,   -- in the program of the version: what is next
    moves INTEGER NOT NULL,      -- grows with each change: two readers cannot both go on
    attempts INTEGER NOT NULL,   -- failed posts of the webhook at this position
    posts INTEGER NOT NULL,      -- 1: a webhook is next, which has workers of its own
    due_at INTEGER,              -- when it goes on; NULL: it has ended
    reason TEXT NOT NULL,        -- why it has failed; '' otherwise
    is_kept INTEGER NOT NULL,    -- 1: retention leaves it, it says that the contact has been
    created_at INTEGER NOT NULL, -- when it began
    ended_at INTEGER             -- NULL: it is under way
)
""",
    # Waiting runs are found by their automation and time: those of a paused one cost nothing.
    """
CREATE INDEX automation_runs_due ON automation_runs (automation_id, posts, due_at, version)
WHERE due_at IS NOT NULL
""",
    "CREATE INDEX automation_runs_by_automation ON automation_runs (automation_id, id)",
    "CREATE INDEX automation_runs_by_contact ON automation_runs (contact_id, automation_id, id)",
    """
CREATE INDEX automation_runs_ended ON automation_runs (ended_at)
WHERE ended_at IS NOT NULL AND is_kept = 0
""",
    """
CREATE TABLE automation_steps (
    -- What each run has done.
    run_id INTEGER NOT NULL REFERENCES automation_runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,     -- moves of the run: the order
    path TEXT NOT NULL,          -- where the step is in the definition, such as "steps[2]"
    type TEXT NOT NULL,          -- of the step
    result TEXT NOT NULL,        -- "done", "skipped", "failed" or "retrying"
    detail TEXT NOT NULL,        -- why, or what came of it; may be ''
    email_id TEXT NOT NULL,      -- "em_..." that was accepted; '' none
    at INTEGER NOT NULL,         -- when it was done
    PRIMARY KEY (run_id, number)
) WITHOUT ROWID
""",
    """
CREATE TRIGGER automation_runs_begun AFTER INSERT ON automation_runs BEGIN
    UPDATE automations SET runs = runs + 1, active = active + 1 WHERE id = NEW.automation_id;
END
""",
    """
CREATE TRIGGER automation_runs_over AFTER UPDATE OF state ON automation_runs
WHEN OLD.state = 'active' AND NEW.state <> 'active' BEGIN
    UPDATE automations SET active = active - 1,
        completed = completed + (NEW.state = 'completed'),
        failed = failed + (NEW.state = 'failed'),
        canceled = canceled + (NEW.state = 'canceled')
    WHERE id = NEW.automation_id;
END
""",
    """
CREATE TRIGGER automation_runs_erased AFTER DELETE ON automation_runs
WHEN OLD.state = 'active' BEGIN
    UPDATE automations SET active = active - 1, canceled = canceled + 1
    WHERE id = OLD.automation_id;
END
""",
)
"""The migration."""
