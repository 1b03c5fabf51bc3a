CREATE TABLE server_config (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE journal (
    operation TEXT PRIMARY KEY,
    kind      TEXT NOT NULL,
    plan      TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE profiles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    config      TEXT NOT NULL, -- JSON
    devices     TEXT NOT NULL  -- JSON
) STRICT;

CREATE TABLE storage_pools (
    name        TEXT PRIMARY KEY,
    driver      TEXT NOT NULL,
    description TEXT NOT NULL,
    config      TEXT NOT NULL -- JSON
) STRICT;

-- What each pool holds, as its driver names it: container/NAME, image/FINGERPRINT, custom/NAME.
CREATE TABLE volumes (
    pool        TEXT NOT NULL REFERENCES storage_pools (name),
    name        TEXT NOT NULL,
    content     TEXT NOT NULL, -- filesystem or block
    description TEXT NOT NULL,
    config      TEXT NOT NULL, -- JSON
    created_at  INTEGER NOT NULL, -- seconds since the epoch
    PRIMARY KEY (pool, name)
) STRICT;

CREATE TABLE networks (
    name        TEXT PRIMARY KEY,
    driver      TEXT NOT NULL,
    description TEXT NOT NULL,
    config      TEXT NOT NULL, -- JSON
    handle      TEXT           -- JSON, opaque to hulld
) STRICT;

CREATE TABLE images (
    fingerprint   TEXT PRIMARY KEY,
    filename      TEXT NOT NULL,
    size          INTEGER NOT NULL,
    architecture  TEXT NOT NULL,
    type          TEXT NOT NULL,
    public        INTEGER NOT NULL,
    auto_update   INTEGER NOT NULL,
    cached        INTEGER NOT NULL,
    split         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    uploaded_at   INTEGER NOT NULL,
    last_used_at  INTEGER NOT NULL,
    properties    TEXT NOT NULL, -- JSON
    profiles      TEXT NOT NULL, -- JSON
    metadata      TEXT NOT NULL, -- JSON: metadata.yaml
    source        TEXT           -- JSON: where it was fetched from
) STRICT;

CREATE TABLE image_aliases (
    name        TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL REFERENCES images (fingerprint) ON DELETE CASCADE,
    description TEXT NOT NULL
) STRICT;

CREATE TABLE instances (
    name         TEXT PRIMARY KEY,
    type         TEXT NOT NULL, -- container or virtual-machine
    driver       TEXT NOT NULL,
    architecture TEXT NOT NULL,
    description  TEXT NOT NULL,
    ephemeral    INTEGER NOT NULL,
    stateful     INTEGER NOT NULL,
    config       TEXT NOT NULL, -- JSON, volatile.* included
    devices      TEXT NOT NULL, -- JSON
    profiles     TEXT NOT NULL, -- JSON
    pool         TEXT NOT NULL, -- of the root volume; empty without one
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT;

-- A running instance: how its driver and its devices' drivers find it again.
CREATE TABLE running (
    instance TEXT PRIMARY KEY REFERENCES instances (name),
    handle   TEXT NOT NULL, -- JSON
    process  TEXT NOT NULL, -- JSON: pid, start time, boot id
    nics     TEXT NOT NULL, -- JSON: device name to attachment
    given    TEXT NOT NULL  -- JSON: the limits and devices it has, or is about to get
) STRICT;

CREATE TABLE warnings (
    uuid          TEXT PRIMARY KEY,
    type          TEXT NOT NULL,
    entity        TEXT NOT NULL,
    message       TEXT NOT NULL,
    status        TEXT NOT NULL,
    severity      TEXT NOT NULL,
    count         INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL
) STRICT;
