-- description: Every invoice line: a purchase, or a return where the invoice number begins with C
-- kind: events
-- keys: user_id=CustomerID
-- header: none
-- columns: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country
-- types: InvoiceNo text, StockCode text, Description text, Quantity int, UnitPrice decimal(12,3)
-- times: %Y-%m-%d %H:%M:%S
-- timezone: Europe/London
-- rejects: 30%
-- One line in four names no customer; those are the rejects.
SELECT "CustomerID",
       "InvoiceDate" AS ts,
       CASE WHEN "InvoiceNo" LIKE 'C%' THEN 'return' ELSE 'purchase' END AS event,
       "InvoiceNo" AS invoice,
       "StockCode" AS stock_code,
       trim("Description") AS description,
       "Quantity" AS quantity,
       CAST("Quantity" * "UnitPrice" AS DECIMAL(14, 3)) AS amount
FROM 'raw/online_retail.csv.gz'
