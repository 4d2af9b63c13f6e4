-- Rules, silences, and what check made of them. The two below are copies of the topic check-results.

create table shelf.rules (
  id         text primary key,
  revision   bigint not null,
  definition jsonb not null,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone
);

create index rules_revision on shelf.rules using btree (revision);

comment on table shelf.rules is
  'What check watches. Written by shelf rule, which takes a revision for each change; copied into the topic rules, from where check has it.';
comment on column shelf.rules.id is 'The name by which it is edited.';
comment on column shelf.rules.revision is
  'Greater than all before it, in rules and silences, at each change.';
comment on column shelf.rules.definition is
  'The rule: apps, process, metric, operator, threshold and the others of shelf rule show.';
comment on column shelf.rules.created_at is 'When it was first written.';
comment on column shelf.rules.updated_at is 'When it was written last.';
comment on column shelf.rules.deleted_at is 'When it was deleted; null: it is there.';

create table shelf.silences (
  id         text primary key,
  revision   bigint not null,
  app        text,
  rule       text,
  since      timestamp with time zone not null,
  until      timestamp with time zone not null,
  author     text not null,
  reason     text not null,
  created_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone
);

create index silences_revision on shelf.silences using btree (revision);

comment on table shelf.silences is
  'Times in which nobody is notified. Rules are decided all the same.';
comment on column shelf.silences.id is 'The name by which it is deleted.';
comment on column shelf.silences.revision is 'As of shelf.rules.';
comment on column shelf.silences.app is 'The app; null: all.';
comment on column shelf.silences.rule is 'The rule; null: all.';
comment on column shelf.silences.since is 'Windows that end from here on are silent.';
comment on column shelf.silences.until is 'Those that end before it are.';
comment on column shelf.silences.author is 'Who wanted it.';
comment on column shelf.silences.reason is 'Why.';
comment on column shelf.silences.created_at is 'When it was written.';
comment on column shelf.silences.deleted_at is 'When it was taken back; null: it was not.';

create table shelf.check_results (
  app           text not null,
  rule          text not null,
  window_until  timestamp with time zone not null,
  kind          text not null,
  window_since  timestamp with time zone not null,
  decided_at    timestamp with time zone not null,
  rule_revision bigint not null,
  name          text not null,
  process       text,
  metric        text not null,
  operator      text not null,
  threshold     double precision not null,
  severity      text not null,
  state         text not null,
  previous      text not null,
  value         double precision,
  count         bigint not null,
  completeness  double precision,
  incident      text,
  muted         text,
  constraint check_results_pkey primary key (app, rule, window_until, kind)
);

create index check_results_decided_at on shelf.check_results using btree (decided_at);

comment on table shelf.check_results is
  'What check decided: each change of a rule''s state for an app, and each reminder.';
comment on column shelf.check_results.app is 'The app.';
comment on column shelf.check_results.rule is 'The id of the rule.';
comment on column shelf.check_results.window_until is
  'The end of the window that decided, by the time of the events.';
comment on column shelf.check_results.kind is
  'change; or reminder: it still fires.';
comment on column shelf.check_results.window_since is 'The start of the window.';
comment on column shelf.check_results.decided_at is
  'The time of the log when the window was closed: all that was logged before was in.';
comment on column shelf.check_results.rule_revision is 'The revision of the rule that decided.';
comment on column shelf.check_results.name is 'What the rule is called.';
comment on column shelf.check_results.process is 'The process type; null: all together.';
comment on column shelf.check_results.metric is 'The metric, as the rule names it.';
comment on column shelf.check_results.operator is '>=, >, <= or <.';
comment on column shelf.check_results.threshold is 'The threshold, in the unit of the metric.';
comment on column shelf.check_results.severity is 'info, warning, error or critical.';
comment on column shelf.check_results.state is
  'ok; pending: the last minute is across the threshold, the window not yet; firing; unknown: the data is late or has holes.';
comment on column shelf.check_results.previous is 'The state before.';
comment on column shelf.check_results.value is
  'The value of the window; null where there was none: no requests, too few, or nobody knows.';
comment on column shelf.check_results.count is
  'Requests, samples or messages that the value is made of.';
comment on column shelf.check_results.completeness is
  'The share of the app''s messages of the window that was read, 0 to 1; null where nobody knows.';
comment on column shelf.check_results.incident is
  'The id of the row of shelf.incidents; null where none was open.';
comment on column shelf.check_results.muted is
  'Why nobody was told: rule, silence, maintenance or deploy; null: they were.';

create table shelf.incidents (
  id             text not null,
  app            text not null,
  rule           text not null,
  name           text not null,
  process        text,
  metric         text not null,
  operator       text not null,
  threshold      double precision not null,
  severity       text not null,
  state          text not null,
  since          timestamp with time zone not null,
  started_at     timestamp with time zone not null,
  detected_at    timestamp with time zone not null,
  time_to_detect interval generated always as (detected_at - since) stored,
  said_at        timestamp with time zone,
  ended_at       timestamp with time zone,
  first_value    double precision,
  last_value     double precision,
  reminders      integer not null default 0,
  muted          text,
  constraint incidents_pkey primary key (app, id)
);

create index incidents_started_at on shelf.incidents using btree (started_at);

comment on table shelf.incidents is
  'From when to when a rule fired for an app, through times in which nobody knew. Made of shelf.check_results.';
comment on column shelf.incidents.id is 'rule/app/started_at.';
comment on column shelf.incidents.app is 'The app.';
comment on column shelf.incidents.rule is 'The id of the rule.';
comment on column shelf.incidents.name is 'What the rule is called.';
comment on column shelf.incidents.process is 'The process type; null: all together.';
comment on column shelf.incidents.metric is 'The metric.';
comment on column shelf.incidents.operator is '>=, >, <= or <.';
comment on column shelf.incidents.threshold is 'The threshold when it began.';
comment on column shelf.incidents.severity is 'info, warning, error or critical.';
comment on column shelf.incidents.state is 'firing, unknown, or ok: it is over.';
comment on column shelf.incidents.since is
  'The start of the first window that fired: it began between here and started_at.';
comment on column shelf.incidents.started_at is 'The end of the first window that fired.';
comment on column shelf.incidents.detected_at is 'The time of the log when that was decided.';
comment on column shelf.incidents.time_to_detect is
  'detected_at - since: at most so long after it began it was known.';
comment on column shelf.incidents.said_at is
  'The end of the last window of which people were told; null: they were not.';
comment on column shelf.incidents.ended_at is
  'The end of the window that was well again; null: it is open.';
comment on column shelf.incidents.first_value is 'The value that fired.';
comment on column shelf.incidents.last_value is 'The value of the last result; null where it had none.';
comment on column shelf.incidents.reminders is 'How often it was said again.';
comment on column shelf.incidents.muted is 'Why the last result was not told to people; null: it was.';

create table shelf.check_progress (
  partition   integer primary key,
  next_offset bigint not null default 0,
  updated_at  timestamp with time zone not null default now()
);

comment on table shelf.check_progress is
  'How far the topic check-results is in shelf.check_results and shelf.incidents, a row a partition.';
comment on column shelf.check_progress.partition is 'The partition of check-results.';
comment on column shelf.check_progress.next_offset is 'The offset to read next.';
comment on column shelf.check_progress.updated_at is 'When the place moved last.';
