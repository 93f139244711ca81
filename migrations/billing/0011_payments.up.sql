-- What is known of Stripe's objects. Events come twice and in any order: a row
-- gathers what they say, and the journal follows from the row.
CREATE TABLE uaol_billing.customers (
    organization_id   uuid PRIMARY KEY,
    customer_id       text NOT NULL UNIQUE,
    subscribing_until timestamptz, -- somebody is making a subscription for it, until then at most
    created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE uaol_billing.subscriptions (
    subscription_id      text PRIMARY KEY,
    organization_id      uuid, -- null while nobody has said whose it is
    customer_id          text NOT NULL DEFAULT '',
    tier                 text NOT NULL DEFAULT '',
    status               text NOT NULL DEFAULT '', -- Stripe's word
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    period_end           timestamptz,
    told                 text NOT NULL DEFAULT '',       -- rank of the event that the four above come from: the greatest counts
    ended                boolean NOT NULL DEFAULT false, -- the account has been told that it is over
    created_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subscriptions_organization ON uaol_billing.subscriptions (organization_id);

-- Months that were paid for.
CREATE TABLE uaol_billing.invoices (
    invoice_id      text PRIMARY KEY,
    subscription_id text NOT NULL,
    tier            text NOT NULL DEFAULT '', -- '' for the subscription's
    amount          bigint NOT NULL CHECK (amount >= 0), -- money, in the currency's smallest unit
    currency        text NOT NULL,
    period_from     timestamptz NOT NULL,
    period_until    timestamptz NOT NULL,
    counted         boolean NOT NULL DEFAULT false, -- the account has its month
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX invoices_subscription ON uaol_billing.invoices (subscription_id);

CREATE TABLE uaol_billing.payments (
    payment_id      text PRIMARY KEY, -- Stripe's payment intent
    organization_id uuid, -- null while nobody has said whose it is
    credits         bigint NOT NULL DEFAULT 0 CHECK (credits >= 0), -- what it buys; 0 for a subscription's
    amount          bigint NOT NULL DEFAULT 0 CHECK (amount >= 0),   -- money, in the currency's smallest unit
    currency        text NOT NULL DEFAULT '',
    paid            boolean NOT NULL DEFAULT false,
    refund_seen     bigint NOT NULL DEFAULT 0 CHECK (refund_seen >= 0), -- the most that a charge said was refunded in all
    refunded        bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0), -- money
    disputed        bigint NOT NULL DEFAULT 0 CHECK (disputed >= 0), -- money that disputes under way or lost hold back
    credited        bigint NOT NULL DEFAULT 0 CHECK (credited >= 0), -- of the credits, what the journal has given for it so far
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_organization ON uaol_billing.payments (organization_id, created_at);
CREATE INDEX payments_created ON uaol_billing.payments (created_at);

-- Single refunds and disputes, from which refunded and disputed follow.
CREATE TABLE uaol_billing.reversals (
    reversal_id text PRIMARY KEY,
    payment_id  text NOT NULL,
    kind        text NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0), -- money
    status      text NOT NULL, -- Stripe's word
    told        text NOT NULL, -- rank of the event that it comes from: the greatest counts
    CONSTRAINT reversals_kinds CHECK (kind IN ('refund', 'dispute'))
);
CREATE INDEX reversals_payment ON uaol_billing.reversals (payment_id);

-- Each event counts once.
CREATE TABLE uaol_billing.stripe_events (
    event_id    text PRIMARY KEY,
    type        text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_events_received ON uaol_billing.stripe_events (received_at);
