-- The same clients, asked of the raw file in DuckDB's words: everything stays the text it is in
-- the file, and what is unknown is the word "unknown".
CREATE TABLE clients AS
SELECT row_number() OVER () AS id, *
FROM read_csv('raw/bank-full.csv.gz', delim = ';', header = true, all_varchar = true, parallel = false);

-- segment: subscribers
SELECT id FROM clients WHERE y = 'yes';

-- segment: young_singles
SELECT id FROM clients WHERE age::INT <= 29 AND marital = 'single';

-- segment: retired_savers
SELECT id FROM clients WHERE job = 'retired' AND balance::INT >= 2001;

-- segment: two_loans
SELECT id FROM clients WHERE housing || loan = 'yesyes';

-- segment: overdrawn
SELECT id FROM clients WHERE starts_with(balance, '-');

-- segment: unknown_education
SELECT id FROM clients WHERE education = 'unknown';

-- segment: known_and_not_student
SELECT id FROM clients WHERE job NOT IN ('student', 'unknown');

-- segment: called_before
SELECT id FROM clients WHERE pdays <> '-1';

-- segment: won_before
SELECT id FROM clients WHERE poutcome = 'success';

-- segment: called_within_100_days
SELECT id FROM clients WHERE pdays::INT BETWEEN 0 AND 100;

-- segment: rich_for_the_job
SELECT id FROM clients AS c
WHERE balance::INT >= (SELECT min(b) FROM (SELECT unnest(max(d.balance::INT, 50)) AS b FROM clients AS d WHERE d.job = c.job));

-- segment: above_the_age
WITH ages AS (SELECT age, sum(balance::INT) AS total, count(*) AS n FROM clients GROUP BY age)
SELECT id FROM clients JOIN ages USING (age) WHERE balance::INT * n > total;

-- segment: office_no_mortgage
SELECT id FROM clients WHERE job SIMILAR TO 'management|admin\.|technician' AND housing = 'no' AND "default" = 'no';

-- segment: prospects
SELECT id FROM clients WHERE y = 'no' AND ((job = 'retired' AND balance::INT > 2000) OR (age::INT < 30 AND marital = 'single'));
