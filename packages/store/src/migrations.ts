/**
 * The tables, in the order in which they came to be. Forward only: a migration that has been released never changes, a
 * mistake in it is mended by the next one. `migrate.test.ts` holds their hashes.
 */
export interface Migration {
  readonly name: string
  readonly statements: readonly string[]
}

export const migrations: readonly Migration[] = [
  {
    name: 'interactions',
    statements: [
      // The whole record is in body, as text: jsonb refuses \u0000, which models may write, and json nested deeply enough
      // overflows PGlite's stack, after which it answers nothing any more. It is JSON of our own making.
      `create table plumbline.interactions (
        seq bigint generated always as identity primary key,
        record uuid not null unique,
        id text not null,
        project text not null,
        created_at timestamptz not null,
        body text not null
      )`,
      'create index interactions_project_seq on plumbline.interactions (project, seq)',
      'create index interactions_project_id on plumbline.interactions (project, id)',
    ],
  },
  {
    name: 'gaps',
    statements: [
      // What could not be recorded: how many answers, between when and when, and why.
      `create table plumbline.gaps (
        record uuid primary key,
        from_time timestamptz not null,
        to_time timestamptz not null,
        count integer not null,
        reason text not null
      )`,
    ],
  },
  {
    name: 'api keys',
    statements: [
      `create table plumbline.api_keys (
        id text primary key,
        sha256 text not null unique,
        scope text not null check (scope in ('client', 'reviewer', 'admin')),
        project text not null,
        is_operator boolean not null,
        name text not null,
        created_at timestamptz not null,
        revoked_at timestamptz
      )`,
    ],
  },
  {
    name: 'limits of keys',
    statements: [
      // JSON of our own making; null for a key without limits of its own.
      'alter table plumbline.api_keys add column limits text',
    ],
  },
  {
    name: 'secrets',
    statements: [
      // What signs tokens that go out. The newest of a purpose signs, older ones are kept to check what they signed.
      `create table plumbline.secrets (
        id text primary key,
        purpose text not null,
        secret text not null,
        created_at timestamptz not null
      )`,
      'create index secrets_purpose on plumbline.secrets (purpose, created_at)',
    ],
  },
]
