-- What was sent to whom. Copied from the topic deliveries, on which notify itself depends alone.

create table shelf.deliveries (
  key          text not null,
  target       text not null,
  severity     text not null,
  title        text not null,
  apps         text[] not null,
  items        integer not null,
  created_at   timestamp with time zone not null,
  outcome      text not null,
  tries        integer not null,
  tried_at     timestamp with time zone not null,
  retry_at     timestamp with time zone,
  delivered_at timestamp with time zone,
  error        text,
  constraint deliveries_pkey primary key (key)
);

create index deliveries_tried_at on shelf.deliveries using btree (tried_at);

comment on table shelf.deliveries is
  'Messages of notify and what became of them: a row a message, once it was tried. Rows come late where PostgreSQL was away; nothing depends on them.';
comment on column shelf.deliveries.key is
  'The key by which a receiver drops repeats: webhook-id, and the left of the Message-ID.';
comment on column shelf.deliveries.target is 'Where it went, without secrets.';
comment on column shelf.deliveries.severity is 'info, warning, error or critical.';
comment on column shelf.deliveries.title is 'The first line of the message.';
comment on column shelf.deliveries.apps is 'The apps that it speaks of, 50 at most.';
comment on column shelf.deliveries.items is 'How many results of check it tells.';
comment on column shelf.deliveries.created_at is 'When it was written down.';
comment on column shelf.deliveries.outcome is
  'delivered; failed: it is tried again at retry_at; dead: it was given up, and is in the topic dead-letter.';
comment on column shelf.deliveries.tries is 'How often it was tried.';
comment on column shelf.deliveries.tried_at is 'When it was tried last.';
comment on column shelf.deliveries.retry_at is 'When it is tried again; null where it is not.';
comment on column shelf.deliveries.delivered_at is 'When the receiver took it; null where it has not.';
comment on column shelf.deliveries.error is 'What the last try met with; null where it was taken.';

create table shelf.delivery_progress (
  singleton   boolean not null default true,
  next_offset bigint not null default 0,
  updated_at  timestamp with time zone not null default now(),
  constraint delivery_progress_pkey primary key (singleton),
  constraint delivery_progress_one check (singleton)
);

insert into shelf.delivery_progress default values;

comment on table shelf.delivery_progress is 'How far the topic deliveries is in shelf.deliveries: one row.';
comment on column shelf.delivery_progress.singleton is 'True: there is one row.';
comment on column shelf.delivery_progress.next_offset is 'The offset in deliveries, partition 0, to read next.';
comment on column shelf.delivery_progress.updated_at is 'When the place moved last.';
