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
  {
    name: 'columns to find interactions by',
    statements: [
      // Records from before have none of these: filters do not find them.
      `alter table plumbline.interactions
        add column key_id text,
        add column model text,
        add column termination text,
        add column subjects text[],
        add column redacted_at timestamptz`,
      'create index interactions_created_at on plumbline.interactions (created_at)',
      'create index interactions_whole on plumbline.interactions (created_at) where redacted_at is null',
      'create index interactions_subjects on plumbline.interactions using gin (subjects) where subjects is not null',
    ],
  },
  {
    name: 'erasures',
    statements: [
      `create table plumbline.subject_secret (
        is_only boolean primary key default true check (is_only),
        secret text not null
      )`,
      // target is a subject's hash or a record's id. Rows stay: a record may come out of a spool long afterwards.
      `create table plumbline.erasures (
        project text not null,
        target text not null,
        mode text not null check (mode in ('delete', 'redact')),
        at timestamptz not null,
        primary key (project, target, mode)
      )`,
    ],
  },
  {
    name: 'jobs',
    statements: [
      `create table plumbline.jobs (
        id uuid primary key,
        kind text not null,
        project text,
        payload text not null,
        idempotency_key text,
        state text not null check (state in ('waiting', 'running', 'done', 'dead')),
        run_at timestamptz not null,
        repeat_ms bigint,
        attempts integer not null default 0,
        max_attempts integer not null,
        lease uuid,
        leased_until timestamptz,
        created_at timestamptz not null default now(),
        finished_at timestamptz,
        result text,
        error text
      )`,
      "create unique index jobs_idempotency on plumbline.jobs (kind, coalesce(project, ''), idempotency_key)",
      "create index jobs_waiting on plumbline.jobs (run_at) where state = 'waiting'",
      "create index jobs_running on plumbline.jobs (leased_until) where state = 'running'",
    ],
  },
  {
    name: 'audit log',
    statements: [
      // The entry is text because its hash is over its characters.
      `create table plumbline.audit (
        position bigint primary key,
        project text not null,
        entry text not null,
        sha256 text not null
      )`,
      'create index audit_project on plumbline.audit (project, position)',
      `create function plumbline.refuse_change() returns trigger language plpgsql as
        $$ begin raise exception 'the audit log is append only'; end $$`,
      `create trigger append_only before update or delete or truncate on plumbline.audit
        for each statement execute function plumbline.refuse_change()`,
    ],
  },
  {
    name: 'sessions',
    statements: [
      `create table plumbline.sessions (
        sha256 text primary key,
        key_id text not null,
        created_at timestamptz not null,
        expires_at timestamptz not null
      )`,
      'create index sessions_key on plumbline.sessions (key_id, created_at)',
    ],
  },
  {
    name: 'feedback',
    statements: [
      // About an answer that may come later, or never: so no foreign key. record is interaction where that is a UUID.
      `create table plumbline.feedback (
        seq bigint generated always as identity primary key,
        project text not null,
        id uuid not null,
        interaction text not null,
        record uuid,
        kind text not null,
        category text,
        rating double precision,
        content text,
        chosen text,
        rejected text,
        actor_kind text not null,
        actor text not null,
        consent boolean,
        people integer not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        unique (project, id)
      )`,
      'create index feedback_interaction on plumbline.feedback (project, interaction)',
      'create index feedback_actor on plumbline.feedback (project, actor)',
      'create index feedback_seq on plumbline.feedback (project, seq)',
    ],
  },
  {
    name: 'review',
    statements: [
      `create table plumbline.review_items (
        id uuid primary key,
        project text not null,
        interaction text not null,
        record uuid,
        reasons text[] not null,
        category text,
        priority integer not null,
        wanted integer not null,
        gold text,
        state text not null check (state in ('open', 'disputed', 'done')),
        outcome text,
        created_at timestamptz not null,
        finished_at timestamptz,
        unique (project, interaction)
      )`,
      "create index review_queue on plumbline.review_items (project, priority desc, created_at, id) where state <> 'done'",
      `create table plumbline.review_responses (
        item uuid not null references plumbline.review_items (id) on delete cascade,
        reviewer text not null,
        state text not null check (state in ('leased', 'submitted', 'skipped')),
        lease uuid not null,
        leased_until timestamptz not null,
        started_at timestamptz not null,
        draft text,
        label text,
        is_adjudication boolean not null default false,
        submitted_at timestamptz,
        lead_ms bigint,
        primary key (item, reviewer)
      )`,
      'create index review_reviewer on plumbline.review_responses (reviewer)',
    ],
  },
  {
    name: 'bodies without compression',
    statements: [
      // Compressing a body costs much of the time in which a record is written. Up to 8 KB they now stay in their row as they
      // are; longer ones are compressed as before.
      'alter table plumbline.interactions set (toast_tuple_target = 8160)',
    ],
  },
  {
    name: 'monitoring',
    statements: [
      // How far each kind of evaluation has come in the order of records.
      'create table plumbline.monitor_cursors (lane text primary key, seq bigint not null)',
      // Labels, never words: it outlives the content of its record.
      `create table plumbline.evaluations (
        record uuid not null,
        evaluator text not null,
        version text not null,
        project text not null,
        outcome text not null check (outcome in ('flagged', 'passed', 'set_aside', 'error')),
        label text,
        category text,
        score double precision,
        error text,
        probability double precision not null,
        record_at timestamptz not null,
        at timestamptz not null,
        primary key (record, evaluator, version)
      )`,
      `create index evaluations_found on plumbline.evaluations (project, evaluator, version, outcome, record_at)
        where outcome in ('flagged', 'error')`,
      // Sums by the day of the record: pages over a million records read these alone. Answers with one probability of
      // being drawn are one stratum.
      `create table plumbline.monitor_traffic (
        project text not null,
        lane text not null,
        day date not null,
        probability double precision not null,
        answers integer not null,
        failed integer not null,
        sampled integer not null,
        evaluated integer not null,
        primary key (project, lane, day, probability)
      )`,
      `create table plumbline.monitor_rates (
        project text not null,
        evaluator text not null,
        version text not null,
        day date not null,
        probability double precision not null,
        lane text not null,
        judged integer not null,
        flagged integer not null,
        set_aside integer not null,
        errors integer not null,
        primary key (project, evaluator, version, day, probability)
      )`,
      `create table plumbline.monitor_cohorts (
        project text not null,
        evaluator text not null,
        version text not null,
        day date not null,
        attribute text not null,
        cohort text not null,
        judged integer not null,
        flagged integer not null,
        primary key (project, evaluator, version, day, attribute, cohort)
      )`,
      // The state is JSON of our own making.
      `create table plumbline.monitor_detectors (
        project text not null,
        evaluator text not null,
        version text not null,
        state text not null,
        primary key (project, evaluator, version)
      )`,
      // When a model, or a configuration, answered first.
      `create table plumbline.monitor_marks (
        project text not null,
        kind text not null,
        name text not null,
        at timestamptz not null,
        primary key (project, kind, name)
      )`,
      `create table plumbline.monitor_drift (
        project text not null,
        day date not null,
        report text not null,
        primary key (project, day)
      )`,
      `create table plumbline.monitor_reviews (
        project text not null,
        day date not null,
        items integer not null,
        primary key (project, day)
      )`,
      // subject is the evaluator, or empty. One open alarm for each.
      `create table plumbline.alarms (
        seq bigint generated always as identity primary key,
        id uuid not null unique,
        project text not null,
        kind text not null,
        subject text not null,
        version text,
        state text not null check (state in ('open', 'closed')),
        summary text not null,
        evidence text not null,
        detections integer not null,
        opened_at timestamptz not null,
        last_at timestamptz not null,
        closed_at timestamptz,
        closed_by text
      )`,
      "create unique index alarms_open on plumbline.alarms (project, kind, subject) where state = 'open'",
      'create index alarms_project on plumbline.alarms (project, seq)',
    ],
  },
  {
    name: 'counterfactual pairs',
    statements: [
      // Answers to a live prompt and to the same one about somebody else: outcomes, never words.
      `create table plumbline.counterfactual_pairs (
        record uuid not null,
        evaluator text not null,
        version text not null,
        project text not null,
        axis text not null,
        swaps text not null,
        first text not null check (first in ('flagged', 'passed', 'set_aside', 'error')),
        second text not null check (second in ('flagged', 'passed', 'set_aside', 'error')),
        is_first_original boolean not null,
        error text,
        probability double precision not null,
        record_at timestamptz not null,
        at timestamptz not null,
        primary key (record, evaluator, version)
      )`,
      'create index counterfactual_pairs_project on plumbline.counterfactual_pairs (project, record_at)',
      'create index counterfactual_pairs_at on plumbline.counterfactual_pairs (at)',
      `create table plumbline.counterfactual_days (
        project text not null,
        day date not null,
        looked integer not null,
        named integer not null,
        not_asked integer not null,
        primary key (project, day)
      )`,
    ],
  },
  {
    name: 'what monitoring asks of a record',
    statements: [
      // As the record came: taking out its words leaves them. Null where an older version wrote it; its text is searched
      // if a lane still comes by, so that no table of millions is written anew at an upgrade.
      `alter table plumbline.interactions
        add column config text,
        add column has_answer boolean,
        add column is_guarded boolean`,
    ],
  },
  {
    name: 'calibration on reviewers’ labels',
    statements: [
      // Of an item of the even sample: how likely its answer was to be judged by the classifiers and drawn.
      'alter table plumbline.review_items add column probability double precision',
      // When that was: an item may be older, for another reason.
      'alter table plumbline.review_items add column drawn_at timestamptz',
      'alter table plumbline.review_items add column outcome_category text',
      'create index review_even_sample on plumbline.review_items (project, drawn_at) where probability is not null',
      // Whoever was leased it was shown nothing that evaluators or guards say.
      'alter table plumbline.review_responses add column is_blind boolean not null default false',
    ],
  },
  {
    name: 'order of strata',
    statements: [
      // In which order answers with one probability first came: the error that a band may have is shared out in it.
      'alter table plumbline.monitor_traffic add column seq bigint generated always as identity',
    ],
  },
]
