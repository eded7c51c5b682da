-- description: Every purchase of the first customers of 1997, one a line
-- kind: events
-- keys: user_id=customer_id
-- time: date
-- event: 'purchase'
-- delimiter: blanks
-- types: customer_id text, date date, dollar_value decimal(10,2)
-- times: %Y%m%d
-- The zeros in front of a customer's number are part of it.
SELECT customer_id, date, number_of_cds AS cds, dollar_value AS amount
FROM 'raw/CDNOW_master.txt'
