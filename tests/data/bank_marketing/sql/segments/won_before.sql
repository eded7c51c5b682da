-- description: An earlier campaign won them
-- tags: contact, outcome
SELECT profile_id FROM profiles WHERE poutcome = 'success'
