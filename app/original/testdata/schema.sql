-- The tables that the original's migrations make, as far as an import reads them.
CREATE TABLE public.users (
    user_id           uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    email             text NOT NULL CONSTRAINT users_email_key UNIQUE,
    current_credits   bigint DEFAULT 0 NOT NULL,
    subscription_tier text DEFAULT 'Free' NOT NULL CONSTRAINT users_tier CHECK (subscription_tier = ANY (ARRAY['Free', 'Pro', 'Enterprise'])),
    api_key           text NOT NULL CONSTRAINT users_api_key_key UNIQUE,
    created_at        timestamptz DEFAULT now() NOT NULL,
    updated_at        timestamptz DEFAULT now() NOT NULL
);
CREATE TABLE public.mcp_tools (
    tool_id              uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name                 text NOT NULL,
    gateway_url          text NOT NULL,
    credit_cost_per_call integer DEFAULT 1 NOT NULL,
    developer_id         uuid NOT NULL CONSTRAINT tools_developer REFERENCES public.users ON DELETE CASCADE,
    status               text DEFAULT 'Pending' NOT NULL CONSTRAINT tools_status CHECK (status = ANY (ARRAY['Pending', 'Approved', 'Disabled'])),
    created_at           timestamptz DEFAULT now() NOT NULL,
    updated_at           timestamptz DEFAULT now() NOT NULL
);
CREATE TABLE public.processing_jobs (
    job_id              uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id             uuid NOT NULL CONSTRAINT jobs_user REFERENCES public.users ON DELETE CASCADE,
    workflow_definition jsonb NOT NULL,
    status              text DEFAULT 'Queued' NOT NULL CONSTRAINT jobs_status CHECK (status = ANY (ARRAY['Queued', 'Running', 'Success', 'Failed', 'Retrying'])),
    start_time          timestamptz DEFAULT now() NOT NULL,
    end_time            timestamptz,
    final_output        jsonb,
    error_message       text,
    retry_count         integer DEFAULT 0 NOT NULL,
    created_at          timestamptz DEFAULT now() NOT NULL,
    updated_at          timestamptz DEFAULT now() NOT NULL
);
