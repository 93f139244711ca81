-- While a backup copies contents, none of those that its snapshot names goes.
CREATE TABLE uaol_storage.backups (
    backup_id  uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL -- a lease: of one that died no content stays for long
);
