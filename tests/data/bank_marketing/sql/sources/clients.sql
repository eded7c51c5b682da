-- description: The clients of a bank and what the last campaigns made of them
-- kind: profiles
-- keys: user_id=row
-- delimiter: ;
-- nulls: unknown
-- types: default text, housing text, loan text, y text
-- There is no customer number, so the number of the row is one; the header is line 1.
SELECT _line - 1 AS row,
       age, job, marital, education, balance,
       "default" = 'yes' AS in_default,
       housing = 'yes' AS housing_loan,
       loan = 'yes' AS personal_loan,
       contact, day, month, duration, campaign,
       nullif(pdays, -1) AS days_since_contact,
       previous, poutcome,
       y = 'yes' AS subscribed
FROM 'raw/bank-full.csv.gz'
