-- How far check is, where who looks at the dashboard at night can see it.

alter table shelf.check_progress add column decided_until timestamp with time zone;

comment on column shelf.check_progress.decided_until is
  'All windows of its apps that end here or before are decided; null until that is known. It stands still while check does.';
