-- description: Has a job that we know, and it is not studying (an unknown job is not "not student")
-- tags: life
SELECT profile_id FROM profiles WHERE NOT (job = 'student')
