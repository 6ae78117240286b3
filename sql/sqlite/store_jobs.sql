-- Work with a beginning and an end, for `jobs`. Made when the first one begins, in a store of any age: programs that do not
-- know the table leave it alone, so it is no new format version. exit_code is -1 and finished NULL while a job runs.
CREATE TABLE IF NOT EXISTS jobs (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,
    message TEXT NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER,
    row_count INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    exit_code INTEGER NOT NULL
);
