-- description: A house and something else on credit
-- tags: money
SELECT profile_id FROM profiles WHERE housing_loan AND personal_loan
