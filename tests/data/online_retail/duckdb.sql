-- The same customers, asked of the raw file in DuckDB's words. Times stay as the file has them,
-- on London's clock, so hours need no time zone here.
CREATE TABLE lines AS
SELECT *, CAST(CAST(CustomerID AS DOUBLE) AS INTEGER)::VARCHAR AS id, Quantity * UnitPrice AS amount, InvoiceNo[1] = 'C' AS returned
FROM read_csv('raw/online_retail.csv.gz', header = false, columns = {
    'InvoiceNo': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR', 'Quantity': 'INTEGER',
    'InvoiceDate': 'TIMESTAMP', 'UnitPrice': 'DECIMAL(12,3)', 'CustomerID': 'VARCHAR', 'Country': 'VARCHAR'})
WHERE CustomerID IS NOT NULL;

CREATE TABLE home AS SELECT id, arg_max(Country, (InvoiceDate, InvoiceNo)) AS country FROM lines GROUP BY id;

-- segment: uk_customers
SELECT id FROM home WHERE country = 'United Kingdom';

-- segment: neighbours
SELECT id FROM home WHERE country SIMILAR TO 'France|Belgium|Netherlands|Germany|EIRE|Channel Islands';

-- segment: moved_country
SELECT DISTINCT a.id FROM lines AS a JOIN lines AS b USING (id) WHERE a.Country < b.Country;

-- segment: active_90_days
SELECT id FROM lines WHERE NOT returned GROUP BY id HAVING max(InvoiceDate) >= TIMESTAMP '2011-09-11';

-- segment: big_spenders
SELECT id FROM lines GROUP BY id HAVING sum(amount) > 5000;

-- segment: top_100
WITH spent AS (SELECT id, sum(amount) AS total FROM lines GROUP BY id)
SELECT id FROM spent AS s WHERE (SELECT count(*) FROM spent AS t WHERE t.total > s.total) < 100;

-- segment: frequent_buyers
SELECT id FROM (SELECT DISTINCT id, InvoiceNo FROM lines WHERE NOT returned) GROUP BY id HAVING count(*) >= 10;

-- segment: one_order
SELECT id FROM lines WHERE NOT returned GROUP BY id HAVING min(InvoiceNo) = max(InvoiceNo);

-- segment: heavy_returners
SELECT id FROM lines GROUP BY id HAVING count(*) >= 10 AND sum(returned::INT) * 5 >= count(*);

-- segment: only_returns
SELECT id FROM lines GROUP BY id HAVING bool_and(returned);

-- segment: content_regulars
SELECT id FROM lines GROUP BY id HAVING NOT bool_or(returned) AND count(DISTINCT InvoiceNo) >= 10;

-- segment: lapsed_valuable
SELECT id FROM lines GROUP BY id
HAVING sum(amount) > 5000 AND coalesce(max(InvoiceDate) FILTER (NOT returned) < TIMESTAMP '2011-09-11', true);

-- segment: wholesale
SELECT id FROM lines GROUP BY id HAVING sum(CASE WHEN Quantity >= 200 AND NOT returned THEN 1 ELSE 0 END) >= 3;

-- segment: early_christmas
SELECT id FROM lines
WHERE NOT returned AND contains(Description, 'CHRISTMAS') AND year(InvoiceDate) = 2011 AND month(InvoiceDate) BETWEEN 3 AND 9;

-- segment: evening_buyers
SELECT id FROM (SELECT DISTINCT id, InvoiceNo FROM lines WHERE NOT returned AND hour(InvoiceDate) >= 18) GROUP BY id HAVING count(*) >= 2;

-- segment: quick_second_order
WITH orders AS (SELECT id, InvoiceNo, min(InvoiceDate) AS moment FROM lines WHERE NOT returned GROUP BY ALL),
     moments AS (SELECT id, list_sort(list(moment)) AS m FROM orders GROUP BY id)
SELECT id FROM moments WHERE len(m) >= 2 AND m[2] <= m[1] + INTERVAL 7 DAY;

-- segment: bag_then_box
SELECT id FROM lines AS bag
WHERE NOT returned AND starts_with(trim(Description), 'LUNCH BAG')
  AND EXISTS (FROM lines AS box WHERE box.id = bag.id AND NOT box.returned AND starts_with(trim(box.Description), 'LUNCH BOX')
              AND box.InvoiceDate - bag.InvoiceDate > INTERVAL 0 DAY AND box.InvoiceDate - bag.InvoiceDate <= INTERVAL 60 DAY);
