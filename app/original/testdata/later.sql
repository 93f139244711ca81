-- What later migrations, and by hand whoever needs protocols, have added to it.
ALTER TABLE public.users
    ADD COLUMN is_guest boolean DEFAULT false NOT NULL,
    ADD COLUMN session_id text,
    ADD COLUMN expires_at timestamptz,
    ADD CONSTRAINT users_guests CHECK (NOT is_guest OR session_id IS NOT NULL);
ALTER TABLE public.mcp_tools ADD COLUMN protocol text DEFAULT 'json-rpc';
CREATE TABLE public.user_api_keys (
    key_id        uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
    provider      text NOT NULL,
    encrypted_key text NOT NULL,
    is_default    boolean DEFAULT false NOT NULL,
    created_at    timestamptz DEFAULT now() NOT NULL,
    updated_at    timestamptz DEFAULT now() NOT NULL,
    UNIQUE (user_id, provider)
);
CREATE TABLE public.user_oauth_tokens (
    token_id      uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
    provider      varchar(50) NOT NULL,
    access_token  text NOT NULL,
    refresh_token text,
    UNIQUE (user_id, provider)
);
