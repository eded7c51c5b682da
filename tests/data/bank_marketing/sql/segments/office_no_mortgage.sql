-- description: Office people without a mortgage who pay their debts
-- tags: life, money
SELECT profile_id FROM profiles
WHERE job IN ('management', 'admin.', 'technician') AND NOT housing_loan AND NOT in_default
