-- The same customers, asked of the raw file in DuckDB's words. The file is read as lines of text
-- and cut by a pattern, since its columns stand at blanks and not at a delimiter.
CREATE TABLE purchases AS
SELECT f[1] AS id, strptime(f[2], '%Y%m%d')::DATE AS day, f[3]::INTEGER AS cds, f[4]::DECIMAL(10,2) AS amount
FROM (SELECT regexp_split_to_array(trim(line, chr(32) || chr(13)), ' +') AS f
      FROM read_csv('raw/CDNOW_master.txt', header = false, delim = '|', quote = '', skip = 1, columns = {'line': 'VARCHAR'}));

-- segment: one_time
SELECT id FROM purchases GROUP BY id HAVING count(*) = 1;

-- segment: repeat_buyers
SELECT id FROM purchases GROUP BY id HAVING min(day) <> max(day);

-- segment: active_90_days
SELECT id FROM purchases GROUP BY id HAVING max(day) >= DATE '1998-07-01' - 90;

-- segment: lapsed_regulars
SELECT id FROM purchases GROUP BY id HAVING count(*) >= 5 AND date_diff('day', max(day), DATE '1998-07-01') > 180;

-- segment: big_spenders
SELECT id FROM purchases GROUP BY id HAVING sum(amount) >= 500;

-- segment: champions
SELECT id FROM purchases GROUP BY id HAVING sum(amount) >= 500 AND bool_or(day >= DATE '1998-04-02');

-- segment: top_1_percent
WITH spent AS (SELECT id, sum(amount) AS total FROM purchases GROUP BY id)
SELECT id FROM spent WHERE total >= (SELECT total FROM spent ORDER BY total DESC LIMIT 1 OFFSET 234);

-- segment: got_one_free
SELECT DISTINCT id FROM purchases WHERE NOT amount > 0;

-- segment: hoarders
SELECT id FROM purchases GROUP BY id HAVING max(cds) > 9;

-- segment: january_starters
SELECT DISTINCT id FROM purchases WHERE strftime(day, '%Y-%m') = '1997-01';

-- segment: quick_return
SELECT DISTINCT p.id FROM purchases AS p JOIN (SELECT id, min(day) AS first_day FROM purchases GROUP BY id) AS f USING (id)
WHERE p.day - f.first_day BETWEEN 1 AND 30;

-- segment: christmas_1997
SELECT DISTINCT id FROM purchases WHERE year(day) = 1997 AND month(day) = 12;

-- segment: growing
SELECT id FROM purchases GROUP BY id
HAVING sum(CASE WHEN day >= DATE '1998-07-01' - 180 THEN amount WHEN day >= DATE '1998-07-01' - 360 THEN -amount ELSE 0 END) > 0;

-- segment: steady
SELECT id FROM (SELECT DISTINCT id, year(day) * 12 + month(day) FROM purchases) GROUP BY id HAVING count(*) >= 6;
