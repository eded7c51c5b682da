-- description: What customers did, from web, app, mail, tills and the call center; one file a month
-- owner: data
-- kind: events
-- keys: user_id
-- time: ts
-- event: event
-- The export's event_id stays behind: no segment asks for it.
SELECT
    user_id,
    ts,
    event,
    channel,
    category,
    product_id,
    amount,
    quantity,
    session_id,
    campaign,
    url_path
FROM 'demo-data/events/*.parquet'
