-- What somebody and a model have said to each other.
CREATE TABLE uaol_storage.conversations (
    conversation_id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    account_id      uuid NOT NULL, -- whose it is: nobody else of the organisation reads it
    title           text NOT NULL,
    last_seq        integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversations_recent ON uaol_storage.conversations (account_id, organization_id, updated_at DESC, conversation_id DESC);
CREATE INDEX conversations_organization ON uaol_storage.conversations (organization_id);
CREATE TABLE uaol_storage.messages (
    conversation_id uuid NOT NULL REFERENCES uaol_storage.conversations ON DELETE CASCADE,
    seq             integer NOT NULL,
    turn_id         uuid NOT NULL, -- what was said in answer to one request
    role            text NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
    content         text NOT NULL,
    details         text,          -- JSON: model, tokens, citations, tool calls
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, seq)
);
CREATE INDEX messages_turn ON uaol_storage.messages (conversation_id, turn_id);
