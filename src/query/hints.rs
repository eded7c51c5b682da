//! What to do about messages that people meet who write their first segments, or the SQL of another
//! product.

use std::collections::HashSet;

use datafusion::common::Column;

use crate::error::nearest;

/// Columns that a hint lists; of more it says how many there are.
const LISTED: usize = 12;

/// Functions of other products, and what says the same here.
const FUNCTIONS: [(&[&str], &str); 18] = [
    (
        &["dateadd", "date_add", "date_sub", "adddate"],
        "add or take a span of time: ts - INTERVAL '30 days'",
    ),
    (
        &["datediff", "date_diff", "timestampdiff", "months_between"],
        "date_part('epoch', b - a) / 86400 is the days from a to b",
    ),
    (
        &["year", "quarter", "month", "week", "day", "hour", "minute", "dayofweek", "weekday"],
        "take the part of a date: date_part('month', ts)",
    ),
    (&["getdate", "sysdate", "curdate"], "it is now(), or current_date"),
    (&["isnull", "zeroifnull"], "it is coalesce(value, other)"),
    (&["iif", "iff", "if"], "it is CASE WHEN .. THEN .. ELSE .. END"),
    (&["len"], "it is length(text)"),
    (&["group_concat", "listagg"], "it is string_agg(text, ', ')"),
    (&["countif", "count_if"], "it is count(*) FILTER (WHERE ..)"),
    (&["sumif", "sum_if"], "it is sum(value) FILTER (WHERE ..)"),
    (&["uniq", "uniqexact"], "it is count(DISTINCT value)"),
    (
        &["approx_count_distinct", "approxcountdistinct", "ndv", "hll_count"],
        "it is approx_distinct(value), or exactly count(DISTINCT value)",
    ),
    (&["safe_divide", "div0", "divide"], "it is a / nullif(b, 0)"),
    (
        &[
            "json_extract",
            "json_extract_scalar",
            "json_value",
            "json_query",
            "get_json_object",
            "json_extract_string",
            "jsonextractstring",
            "json_extract_path_text",
            "parse_json",
        ],
        "there is no JSON here: make columns of its fields in sql/sources, or take a part of the text with regexp_match",
    ),
    (
        &["safe_cast", "toint32", "toint64", "tofloat64", "to_number"],
        "it is try_cast(value AS INT)",
    ),
    (&["array_size", "arraylength"], "it is array_length(list)"),
    (&["unix_timestamp", "to_unix_timestamp"], "it is date_part('epoch', ts)"),
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
    let is_about = |types: &str| message.contains("incompatible types") && message.contains(types);
    let is_cast_to = |types: &[&str]| {
        message.starts_with("Cast error: Cannot cast string")
            && types.iter().any(|t| message.contains(&format!("to value of {t}")))
    };
    let hint = if message.contains("parsing timestamp")
        || message.contains("parsing date")
        || is_cast_to(&["Date", "Timestamp"])
    {
        "write a date as '2026-10-31', a moment as '2026-10-31 18:00:00' (in UTC)"
    } else if is_about("List(") {
        "for an item in a list: array_has(column, 'item')"
    } else if is_about("Duration(") {
        "count a span of time in seconds: date_part('epoch', max(ts) - min(ts))"
    } else if is_about("Timestamp(") {
        "a span of time is written INTERVAL '30 days'"
    } else if is_about("Boolean") || is_cast_to(&["Boolean"]) {
        "it is true or false by itself: WHERE column, or WHERE NOT column"
    } else if is_cast_to(&["Int", "UInt", "Float", "Decimal"]) {
        "a number is written without quotes and units"
    } else if message.contains(".profile_id' must appear in GROUP BY clause") {
        "a condition on many rows of a profile needs them together: GROUP BY profile_id HAVING .."
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// How a date is written, for a comparison of a moment with `number`.
pub(super) fn for_date(number: Option<&str>) -> String {
    let digits = number.unwrap_or_default();
    match (digits.len(), digits.get(..4), digits.get(4..6), digits.get(6..8)) {
        (8, Some(year), Some(month), Some(day)) => {
            format!("a date is written '{year}-{month}-{day}'")
        }
        (4, ..) => {
            format!("a date is written '{digits}-01-01', its year is date_part('year', date)")
        }
        (10, ..) => format!("a moment in seconds since 1970 is to_timestamp({digits})"),
        (13, ..) => format!("a moment in milliseconds since 1970 is to_timestamp_millis({digits})"),
        _ => "a date is written '2026-10-31', a moment '2026-10-31 18:00:00' (in UTC)".to_owned(),
    }
}

/// A hint for the column `field` of the query `sql`, which is none of `valid`.
pub(super) fn for_column(sql: &str, field: &Column, valid: &[Column]) -> String {
    let name = &field.name;
    if let Some(elsewhere) = valid.iter().find(|column| column.name == *name) {
        return match &elsewhere.relation {
            Some(relation) => format!("{} has it: {}.{name}", relation.table(), relation.table()),
            None => format!("it is {name} by itself"),
        };
    }
    let own = |column: &&Column| field.relation.is_none() || column.relation == field.relation;
    let names: Vec<&str> = valid.iter().filter(own).map(|column| column.name.as_str()).collect();
    if let (Some(relation), true) = (&field.relation, names.is_empty()) {
        return format!("the query has no table {}: its FROM names them", relation.table());
    }
    match nearest(name, names.iter().copied()) {
        // SQL folds what is not quoted to lower case.
        Some(near) if near.to_lowercase() == *name => {
            format!("did you mean \"{near}\"? Quote it: names that are not quoted are lower-cased")
        }
        Some(near) => format!("did you mean \"{near}\"?"),
        None if sql.contains(&format!("\"{name}\"")) => {
            format!("if it is a text, write it in single quotes: '{name}'")
        }
        None if is_alias(sql, name) => {
            "a name that SELECT gives is known behind GROUP BY only: HAVING, ORDER BY".to_owned()
        }
        None => listed(&names),
    }
}

/// Whether `sql` says `AS name`.
fn is_alias(sql: &str, name: &str) -> bool {
    let words: Vec<&str> =
        sql.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case("as") && pair[1] == name)
}

fn listed(names: &[&str]) -> String {
    // An ORDER BY knows the columns of the table and those of the list.
    let mut known = HashSet::new();
    let names: Vec<&str> = names.iter().copied().filter(|name| known.insert(*name)).collect();
    let shown = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => format!("the columns are {shown}"),
        more => format!("the columns are {shown} and {more} more"),
    }
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

    fn hint(sql: &str, name: &str) -> String {
        let column = |table: &str, name: &str| Column::new(Some(table.to_owned()), name);
        let valid = [
            column("profiles", "profile_id"),
            column("profiles", "Plan"),
            column("profiles", "country"),
            column("e", "ts"),
        ];
        let field = match name.split_once('.') {
            Some((table, name)) => column(table, name),
            None => Column::new_unqualified(name),
        };
        for_column(sql, &field, &valid)
    }

    #[test]
    fn a_column_that_is_not_there_has_the_hint_that_fits() {
        assert_eq!(hint("", "contry"), "did you mean \"country\"?");
        assert!(hint("", "plan").contains("Quote it"));
        assert_eq!(hint("", "e.country"), "profiles has it: profiles.country");
        assert!(hint("WHERE country = \"DE\"", "DE").contains("single quotes: 'DE'"));
        assert!(hint("SELECT count(*) AS n WHERE n > 3", "n").contains("HAVING"));
        assert_eq!(hint("", "age"), "the columns are profile_id, Plan, country, ts");
        assert_eq!(hint("", "e.age"), "the columns are ts");
        assert_eq!(listed(&["ts", "plan", "ts"]), "the columns are ts, plan");
        assert!(hint("", "x.age").contains("no table x"));
    }

    #[test]
    fn casts_have_the_hint_of_their_type() {
        let cast = |to: &str| {
            for_message(&format!("Cast error: Cannot cast string 'x' to value of {to} type"))
                .unwrap_or_default()
        };
        assert!(cast("Date32").contains("a date as"));
        assert!(cast("Int32").contains("a number"));
        assert!(cast("Decimal128(38, 10)").contains("a number"));
        let text = "expressions have incompatible types: Boolean and Int64";
        assert!(for_message(text).is_some_and(|hint| hint.contains("true or false")));
    }
}
