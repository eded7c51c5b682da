//! What to do about messages that people meet who write the SQL of another product.

/// Functions of other products, and what says the same here.
const FUNCTIONS: [(&[&str], &str); 12] = [
    (
        &["dateadd", "date_add", "date_sub", "adddate"],
        "add or take a span of time: ts - INTERVAL '30 days'",
    ),
    (
        &["datediff", "date_diff", "timestampdiff", "months_between"],
        "compare the moments: ts < now() - INTERVAL '30 days'",
    ),
    (
        &["year", "quarter", "month", "week", "day", "hour", "minute", "dayofweek", "weekday"],
        "take the part of a date: date_part('month', ts)",
    ),
    (&["getdate", "sysdate", "curdate"], "it is now(), or current_date"),
    (&["isnull", "zeroifnull"], "it is coalesce(value, other)"),
    (&["iif", "if"], "it is CASE WHEN .. THEN .. ELSE .. END"),
    (&["len"], "it is length(text)"),
    (&["group_concat", "listagg"], "it is string_agg(text, ', ')"),
    (&["countif", "count_if"], "it is count(*) FILTER (WHERE ..)"),
    (&["sumif", "sum_if"], "it is sum(value) FILTER (WHERE ..)"),
    (&["uniq", "uniqexact"], "it is count(DISTINCT value)"),
    (&["has"], "for an item in a list it is array_has(list, 'item')"),
];

/// A hint for an error whose message is `message`.
pub(super) fn for_message(message: &str) -> Option<String> {
    if let Some(name) =
        message.strip_prefix("Invalid function '").and_then(|m| m.split('\'').next())
    {
        let known = FUNCTIONS.iter().find(|(names, _)| names.contains(&name));
        return known.map(|(_, hint)| (*hint).to_owned());
    }
    let hint = if message.contains("parsing timestamp") || message.contains("parsing date") {
        "write a date as '2026-10-31', a moment as '2026-10-31 18:00:00' (in UTC)"
    } else if message.contains("incompatible types") && message.contains("List(") {
        "for an item in a list: array_has(column, 'item')"
    } else if message.contains("incompatible types") && message.contains("Timestamp(") {
        "a span of time is written INTERVAL '30 days'"
    } else if message.starts_with("Cast error: Cannot cast string") {
        "a number is written without quotes and units"
    } else if message == "not supported: TOP" {
        "SELECT TOP is another product's: put LIMIT 100 at the end"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// A hint for a column that is not there, and is like none that is.
pub(super) fn for_column(name: &str) -> String {
    format!("if it is a text, write it in single quotes: '{name}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_products_functions_are_known() {
        let hint = for_message("Invalid function 'dateadd'.\nDid you mean 'date_bin'?");
        assert!(hint.is_some_and(|h| h.contains("INTERVAL")));
        assert_eq!(for_message("Invalid function 'frobnicate'"), None);
    }

    #[test]
    fn types_that_do_not_meet_have_a_hint() {
        let text = "expressions have incompatible types: Timestamp(ns, \"UTC\") and Int64";
        assert!(for_message(text).is_some_and(|h| h.contains("INTERVAL")));
        let text = "expressions have incompatible types: List(Utf8) and Utf8";
        assert!(for_message(text).is_some_and(|h| h.contains("array_has")));
    }
}
