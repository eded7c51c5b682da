-- description: One row a customer: the country on the latest invoice, and how many countries there were
-- kind: profiles
-- keys: user_id=CustomerID
-- header: none
-- columns: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country
-- types: InvoiceNo text, StockCode text, Description text
-- The order makes the profile numbers the same in every run.
SELECT "CustomerID",
       last_value("Country" ORDER BY "InvoiceDate", "InvoiceNo") AS country,
       count(DISTINCT "Country") AS countries
FROM 'raw/online_retail.csv.gz'
WHERE "CustomerID" IS NOT NULL
GROUP BY "CustomerID"
ORDER BY "CustomerID"
